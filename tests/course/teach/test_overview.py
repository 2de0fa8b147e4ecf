from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from posenb.course.teach import overview

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"
READY = [chapter.number for chapter in overview.CHAPTERS if chapter.ready]


def test_the_map_says_truly_which_notebooks_exist() -> None:
    there = sorted(path.name[:2] for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    assert there == READY
    rows = overview.course_map("00").cells
    assert [row[0].strip("→* ")[:2] for row in rows] == [f"0{i}" for i in range(8)]
    assert ["to come" in row[0] for row in rows] == [f"0{i}" not in READY for i in range(8)]


def test_the_map_marks_where_one_is() -> None:
    rows = overview.course_map("02").cells
    marked = [row for row in rows if all(text.startswith("**") for text in row)]
    assert [row[0] for row in marked] == ["**→ 02**"]
    assert "<b>→ 02</b>" in overview.course_map("02")._repr_html_()


@pytest.mark.parametrize("table", [overview.metrics_sheet(), overview.glossary()])
def test_every_cell_says_something_and_no_term_comes_twice(table: overview.figures.Table) -> None:
    assert all(text.strip() for row in table.cells for text in row)
    first = [row[0] for row in table.cells]
    assert len(set(first)) == len(first)
    assert all(len(row) == len(table.head) for row in table.cells)


def test_the_glossary_is_in_order() -> None:
    terms = [row[0] for row in overview.glossary().cells]
    assert terms == sorted(terms)


def test_a_letter_of_two_meanings_says_both() -> None:
    focal = {row[0]: row[1:] for row in overview.symbols("00").cells}["f"]
    assert focal == ["focal length, in pixels", "01, 02: mapping network, from z to w"]
    mapping = {row[0]: row[1:] for row in overview.symbols("01").cells}["f"]
    assert mapping == ["mapping network, from z to w", "00, 06: focal length, in pixels"]
    tau = {row[0]: row[1:] for row in overview.symbols("02").cells}["τ"]
    assert tau[1] == "–"


@pytest.mark.parametrize("number", READY)
def test_every_notebook_has_its_symbols(number: str) -> None:
    assert overview.symbols(number).cells
    assert overview.course_map(number).cells


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: overview.course_map("08"), "there is no notebook '08'; there are: 00, 01"),
        (lambda: overview.symbols("2"), "there is no notebook '2'"),
        (lambda: overview.symbols("07"), "no symbols of notebook 07"),
    ],
)
def test_overview_says_what_is_wrong(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
