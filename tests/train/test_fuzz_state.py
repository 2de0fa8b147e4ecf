"""A few damaged files of each kind that posenb keeps; `tests/fuzz/state.py` tries many more."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "fuzz" / "state.py"
SPEC = importlib.util.spec_from_file_location("fuzz_state", PATH)
assert SPEC is not None and SPEC.loader is not None
state = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(state)


@pytest.mark.slow
@pytest.mark.parametrize("kind", state.KINDS)
def test_damaged_files_are_read_or_refused_by_name(kind: str, tmp_path: Path) -> None:
    ends = state.run(kind, 20, tmp_path)
    assert set(ends) <= {"read", "refused"}, ends
    assert ends["refused"] >= 10


@pytest.mark.parametrize("kind", state.KINDS)
def test_sound_files_are_read(kind: str, tmp_path: Path) -> None:
    _, read = state.originals(tmp_path)[kind]
    read(tmp_path)
