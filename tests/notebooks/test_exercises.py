"""Exercises of the notebooks and checkers of the package belong together."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import nbformat
import notebook_rules as rules
import pytest

import posenb
from posenb.course.teach import exercises as teach_exercises

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def registered() -> set[str]:
    """Names of all exercises that have a checker."""
    for module in pkgutil.walk_packages(posenb.__path__, "posenb."):
        if module.name.endswith(".exercises"):
            importlib.import_module(module.name)
    return set(teach_exercises.registered())


def used(path: Path) -> list[str]:
    """Names of the exercises of a notebook, in order."""
    found = rules.exercises(nbformat.read(path, as_version=4))
    return [exercise.name for exercise in found]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_exercise_has_a_checker_and_its_notebooks_number(path: Path) -> None:
    names = used(path)
    assert set(names) <= registered()
    expected = [f"{path.name[:2]}.{number}" for number in range(1, len(names) + 1)]
    assert names == expected


def test_each_checker_is_used_by_a_notebook() -> None:
    assert registered() == {name for path in NOTEBOOKS for name in used(path)}
