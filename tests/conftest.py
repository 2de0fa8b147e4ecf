"""What every test runs under: no network, repeatable examples, a fair share of the cores."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
OFFLINE = ROOT / "tests" / "notebooks" / "offline"

# An audit hook cannot be taken out again, so this holds for the whole run.
runpy.run_path(str(OFFLINE / "sitecustomize.py"))
os.environ["PYTHONPATH"] = os.pathsep.join(
    part for part in (str(OFFLINE), os.environ.get("PYTHONPATH", "")) if part
)
os.environ["POSENB_PROFILE"] = "quick"
os.environ["MPLBACKEND"] = "Agg"
os.environ.pop("POSENB_FIGURES", None)  # a test run leaves the saved figures as they are

# `pytest -n 2` runs two workers side by side: one core, so one thread, for each and for the kernels
# and commands that it starts. PyTorch reads this when it is imported, which is later.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# Two runs of the tests try the same examples; a slow machine is not a failure.
settings.register_profile("posenb", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("posenb")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds README.md."""
    return ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For `--dist loadgroup`: a test with a longer timeout comes first and goes by itself.

    So the workers end together. The other tests of a file share what the file trains: one worker.
    """
    for item in items:
        alone = item.get_closest_marker("timeout") is not None
        item.add_marker(pytest.mark.xdist_group(item.nodeid if alone else str(item.path)))
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)
