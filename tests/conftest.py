"""What every test runs under: no network, repeatable examples, the folder of the project."""

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

# Two runs of the tests try the same examples; a slow machine is not a failure.
settings.register_profile("posenb", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("posenb")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds README.md."""
    return ROOT
