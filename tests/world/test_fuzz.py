"""A small part of what `tests/fuzz/files.py` tries, and whether that could find anything."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from posenb.world import domains
from posenb.world.datasets import DatasetError
from posenb.world.poses import PoseSet

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[1] / "fuzz" / "files.py"


@pytest.fixture(scope="module")
def files() -> ModuleType:
    spec = importlib.util.spec_from_file_location("files", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["files"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_damaged_files_are_read_masked_or_refused(files: ModuleType, tmp_path: Path) -> None:
    """In this process; MATLAB files, which take one each, are tried by the script."""
    for name, kind in files.FORMATS.items():
        path = tmp_path / name / kind.name
        path.parent.mkdir(parents=True)
        path.write_bytes(kind.dump(kind.content()))
        wanted = kind.read(path)
        assert files.outcome(kind, path, wanted) == ("right", "")
        for number in range(1 if kind.share < 1 else 12):
            path.write_bytes(files.damaged(kind, np.random.default_rng([1, number])))
            what, details = files.outcome(kind, path, wanted)
            assert what not in files.BADLY, f"{name} {number}: {what}: {details}"


def far(poses: PoseSet) -> PoseSet:
    assert poses.joints3d is not None
    joints = poses.joints3d.clone()
    joints[0, 3, 0] += 6000
    return PoseSet(poses.keypoints, joints, None, poses.action, poses.subject, poses.skeleton)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (DatasetError("a", "b", "c"), "refused"),
        (ValueError("c"), "refused"),
        (DatasetError("a", "b", "MemoryError()"), "over 500 MB"),
        (MemoryError(), "over 500 MB"),
        (KeyError("c"), "raw exception"),
        (RecursionError(), "raw exception"),
        ("same", "right"),
        ("fewer", "masked"),
        ("moved", "other values"),
        ("far", "no pose of anybody"),
    ],
)
def test_outcomes_are_told_apart(
    raised: Any, expected: str, files: ModuleType, tmp_path: Path
) -> None:
    poses = domains.get("stage").sample(4, 0)
    results = {"same": poses, "fewer": poses[:3], "far": far(poses), "moved": poses[[3, 2, 1, 0]]}

    def read(path: Path) -> list[PoseSet]:
        if isinstance(raised, Exception):
            raise raised
        return [results[raised]]

    kind = files.Format(dict, bytes, read, "x")
    assert files.outcome(kind, tmp_path, [poses])[0] == expected


def test_damage_is_reproducible_and_of_many_kinds(files: ModuleType) -> None:
    kind = files.FORMATS["coco"]
    made = [files.damaged(kind, np.random.default_rng([0, n])) for n in range(40)]
    again = [files.damaged(kind, np.random.default_rng([0, n])) for n in range(40)]
    assert made == again and len(set(made)) > 35


def test_a_process_that_dies_is_counted(tmp_path: Path) -> None:
    """The script, with a format whose reader ends the process at its third file."""
    code = (
        "import importlib.util, os, sys\n"
        f"spec = importlib.util.spec_from_file_location('files', {str(SCRIPT)!r})\n"
        "files = importlib.util.module_from_spec(spec); sys.modules['files'] = files\n"
        "spec.loader.exec_module(files)\n"
        "files.__file__ = sys.argv[0]\n"
        "reads = []\n"
        "def read(path):\n"
        "    reads.append(path)\n"
        "    if len(reads) == 4: os.abort()\n"
        "    raise ValueError\n"
        "def first(path):\n"
        "    return read(path) if reads else reads.append(path) or []\n"
        "files.FORMATS = {'own': files.Format(lambda: {'a': [1.0]}, files.text, first, 'x')}\n"
        "sys.exit(files.main(sys.argv[1:]))\n"
    )
    script = tmp_path / "dying.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script, "--count", "5", "--only", "own", "--jobs", "1"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "own 2: dead" in done.stdout and "all 5" in done.stdout
