"""What an import loads: the wall between the library and what runs on it, seen from outside."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from posenb import __main__ as door
from posenb.experiments.posynda.tables import TEACHING
from posenb.flexpose.adapt import OBJECTIVES
from posenb.prior.training import SKELETONS
from posenb.train import runtime

BELOW_THE_WALL = {"course", "experiments", "build"}
# Module: how many of ours it loads at most, and packages that it must do without.
PLOTS = {"matplotlib", "plotly", "ipywidgets", "IPython"}
HEAVY = PLOTS | {"cv2", "joblib", "sklearn", "scipy"}
LOADS = {
    "posenb.posynda": (24, HEAVY),
    "posenb.posynda.diffusion": (24, HEAVY),
    "posenb.prior": (13, HEAVY),
    "posenb.reconstruction": (18, HEAVY),
    "posenb.flexpose": (28, HEAVY - {"scipy"}),
    "posenb.measure": (5, HEAVY),
    "posenb.world.skeletons": (5, HEAVY),
    "posenb.__main__": (2, HEAVY | {"torch", "numpy"}),
}


def loaded(module: str) -> tuple[set[str], set[str]]:
    """Modules of ours, and top-level packages, after an import in a fresh interpreter."""
    code = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", code]
    names = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    ours = {name for name in names if name.partition(".")[0] == "posenb"}
    return ours, {name.partition(".")[0] for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("module", LOADS)
def test_an_import_loads_what_it_needs_and_nothing_else(module: str) -> None:
    most, without = LOADS[module]
    ours, packages = loaded(module)
    assert not without & packages
    assert not BELOW_THE_WALL & {part for name in ours for part in name.split(".")[1:2]}
    assert len(ours) <= most, sorted(ours)


def test_the_door_offers_what_there_is() -> None:
    assert set(door.SOURCES) == {*SKELETONS, "union"}
    assert tuple(TEACHING.lifters) == door.DENOISERS
    assert tuple(OBJECTIVES) == door.OBJECTIVES
    assert tuple(runtime.PROFILES) == door.PROFILES
