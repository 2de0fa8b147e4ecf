"""How large the package is: `python tests/repository/test_size.py` prints the table.

The limits keep the house small; who needs more lines says so by raising one here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "posenb"
ROOMS = {
    "chapters, measure, train": (
        "prior", "flexpose", "reconstruction", "posynda", "measure", "train",
    ),
    "world and assets": ("world", "assets"),
    "course": ("course",),
    "experiments": ("experiments",),
    "build": ("build",),
}  # fmt: skip
LIMITS = {
    "chapters, measure, train": 12_700,
    "world and assets": 12_200,
    "course": 7_300,
    "experiments": 3_700,
    "build": 1_300,
}


def lines(*folders: str) -> int:
    """Lines of the Python files in folders of the package, of those in it for none."""
    files = [p for folder in folders for p in (PACKAGE / folder).rglob("*.py")]
    return sum(len(p.read_text(encoding="utf-8").splitlines()) for p in files)


def door() -> int:
    """Lines of the files that lie in no room."""
    return sum(len(p.read_text(encoding="utf-8").splitlines()) for p in PACKAGE.glob("*.py"))


def table() -> str:
    """Rooms and their lines."""
    rows = {name: lines(*folders) for name, folders in ROOMS.items()} | {"door": door()}
    rows |= {"together": sum(rows.values())}
    return "\n".join(f"{name:26}{count:7,}" for name, count in rows.items())


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_stays_small(name: str) -> None:
    assert lines(*ROOMS[name]) <= LIMITS[name], f"\n{table()}"


def test_every_folder_is_counted() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == {folder for room in ROOMS.values() for folder in room}


if __name__ == "__main__":
    print(table())
