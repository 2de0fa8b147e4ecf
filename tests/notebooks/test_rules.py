"""Committed notebooks keep the rules, and each rule catches a notebook that breaks it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import notebook_rules as rules
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PINS = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.txt").read_text(), re.M))

Edit = Callable[[NotebookNode], object]


def picture(alt: str) -> NotebookNode:
    data = {"text/html": f'<img alt="{alt}" src="data:image/png;base64,/tmp/xWarning">'}
    return new_output("display_data", data=data)


def good_notebook() -> NotebookNode:
    """The smallest notebook that keeps every rule."""
    header = "# A title\n\n**Prerequisites:** none\n\n**Minutes on CPU:** 2"
    cells = [new_markdown_cell(header), new_code_cell("explore(state)")]
    cells.append(new_code_cell("show(figure)", outputs=[picture("A skeleton that waves at you")]))
    for number in range(1, 5):
        source = f'answer = None\ncheck("00.{number}", answer)'
        opened = new_output("stream", name="stdout", text=f"Exercise 00.{number} is open.\n")
        cells.append(new_code_cell(source, outputs=[opened]))
        solution = f'answer = {number}\ncheck("00.{number}", answer)'
        cells.append(new_markdown_cell(f"<details>\n\n```python\n{solution}\n```\n\n</details>"))
    cells += [new_markdown_cell("Prose.") for _ in range(rules.MIN_CELLS - len(cells))]
    notebook = new_notebook(cells=cells)
    for count, (_, cell) in enumerate(rules.code_cells(notebook), start=1):
        cell.execution_count = count
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "language": "python",
        "display_name": "Python 3",
    }
    recorded = {name: PINS[name] for name in ("torch", "numpy", "scipy", "matplotlib")}
    notebook.metadata["posenb"] = {"versions": recorded, "seconds": 60}
    return notebook


def with_output(output: NotebookNode) -> Edit:
    return lambda notebook: notebook.cells[2].outputs.append(output)


def with_source(cell: int, source: str) -> Edit:
    return lambda notebook: notebook.cells[cell].update(source=source)


def without_still_picture(notebook: NotebookNode) -> None:
    notebook.cells[2].outputs.clear()


def with_plotly_alone(notebook: NotebookNode) -> None:
    output = new_output("display_data", data={rules.PLOTLY: {"data": [], "layout": {}}})
    notebook.cells[9].outputs = [output]  # the last exercise: no picture follows


def with_longer_size(notebook: NotebookNode) -> None:
    notebook.cells += [new_markdown_cell("Prose.") for _ in range(rules.MAX_CELLS)]


def with_other_count(notebook: NotebookNode) -> None:
    notebook.cells[2].execution_count = 7


def never_run(notebook: NotebookNode) -> None:
    for _, cell in rules.code_cells(notebook):
        cell.execution_count = None


def with_slow_run(notebook: NotebookNode) -> None:
    notebook.metadata["posenb"]["seconds"] = 121


def with_unknown_time(notebook: NotebookNode) -> None:
    del notebook.metadata["posenb"]["seconds"]


def with_other_kernel(notebook: NotebookNode) -> None:
    notebook.metadata["kernelspec"]["name"] = "my-venv"


def with_untold_exercise(notebook: NotebookNode) -> None:
    notebook.cells[3].outputs.clear()


def with_unknown_key(notebook: NotebookNode) -> None:
    notebook.cells[0]["surprise"] = 1


def with_source_folded(source: str, tags: tuple[str, ...] = ("hide-input",)) -> Edit:
    def edit(notebook: NotebookNode) -> None:
        metadata = NotebookNode(jupyter={"source_hidden": True}, tags=list(tags))
        notebook.cells[1].update(source=source, metadata=metadata)

    return edit


def with_three_exercises(notebook: NotebookNode) -> None:
    del notebook.cells[9:11]


BARE_PNG = new_output("display_data", data={"image/png": "aGk="}, metadata={"image/png": {}})
STDERR = new_output("stream", name="stderr", text="100%|#####| 3/3")
ERROR = new_output("error", ename="ValueError", evalue="no", traceback=[])
WARNING = new_output("stream", name="stdout", text="x.py:1: FutureWarning: soon gone")
HIDDEN_ERROR = new_output("stream", name="stdout", text="Traceback (most recent call last)\n")
PATH = new_output("stream", name="stdout", text="saved to /home/ann/figure.png")

BROKEN: list[tuple[Callable[[NotebookNode], list[str]], Edit]] = [
    (rules.is_valid, with_unknown_key),
    (rules.ran_in_order, with_other_count),
    (rules.ran_in_order, never_run),
    (rules.ran_without_noise, with_output(STDERR)),
    (rules.ran_without_noise, with_output(ERROR)),
    (rules.ran_without_noise, with_output(WARNING)),
    (rules.ran_without_noise, with_output(HIDDEN_ERROR)),
    (rules.pictures_have_alt_text, with_output(BARE_PNG)),
    (rules.pictures_have_alt_text, with_output(picture("plot"))),
    (rules.pictures_have_alt_text, with_source(20, "![](figure.png)")),
    (rules.pictures_have_alt_text, with_source(20, '<img src="figure.png">')),
    (rules.interactive_has_a_static_picture, without_still_picture),
    (rules.interactive_has_a_static_picture, with_plotly_alone),
    (
        rules.has_a_header,
        with_source(0, "A title\n\n**Prerequisites:** -\n\n**Minutes on CPU:** 2"),
    ),
    (rules.has_a_header, with_source(0, "# A title\n\n**Minutes on CPU:** 2")),
    (rules.has_a_header, with_source(0, "# A title\n\n**Prerequisites:** none")),
    (
        rules.has_a_header,
        with_source(0, "# A title\n\n**Prerequisites:** -\n\n**Minutes on CPU:** 5"),
    ),
    (rules.has_a_header, lambda notebook: notebook.cells.pop(0)),
    (rules.kept_its_minutes, with_slow_run),
    (rules.kept_its_minutes, with_unknown_time),
    (rules.has_a_readable_length, lambda notebook: notebook.cells.pop()),
    (rules.has_a_readable_length, with_longer_size),
    (rules.has_a_readable_length, with_source(1, "x = 1\n" * 31)),
    (rules.reads_as_a_page, with_source(1, 'say("Equal.")')),
    (rules.reads_as_a_page, with_source(1, "figures.show(figure, alt)")),
    (rules.reads_as_a_page, with_source(1, "x = 1\n" * (rules.MAX_CODE_BEFORE_PICTURE + 1))),
    (rules.reads_as_a_page, with_source_folded("x = 1", tags=())),
    (
        rules.reads_as_a_page,
        with_source_folded("figure = new_figure()\n" + "x = 1\n" * rules.MAX_FIGURE_LINES),
    ),
    (rules.reads_as_a_page, with_source_folded("def say(text):\n    display(text)")),
    (rules.reads_as_a_page, with_source_folded('say(\n    f"of "\n    f"{share:.0f} %"\n)')),
    (rules.names_the_python_kernel, with_other_kernel),
    (rules.knows_no_machine, with_output(PATH)),
    (rules.knows_no_machine, with_source(1, 'open("C:\\\\Users\\\\ann")')),
    (rules.uses_no_magics, with_source(1, "x = 1\n%matplotlib inline")),
    (rules.uses_no_magics, with_source(1, "!ls")),
    (rules.equations_can_be_shown, with_source(4, r"$$ a \tag{1} \qquad b \tag{2} $$")),
    (rules.has_exercises, with_three_exercises),
    (rules.has_exercises, with_untold_exercise),
    (rules.has_exercises, with_source(4, "No solution.")),
    (rules.has_exercises, with_source(4, "<details>\n```python\nanswer = 1\n```\n</details>")),
    (rules.has_exercises, with_source(5, 'check("00.1", answer)')),
]


def broken_name(case: object) -> str:
    return getattr(case, "__name__", "edit")


def test_the_good_notebook_keeps_every_rule() -> None:
    notebook = good_notebook()
    for rule in rules.RULES:
        assert rule(notebook) == [], rule.__name__
    assert rules.versions_are_pinned(notebook, PINS) == []


@pytest.mark.parametrize(("rule", "edit"), BROKEN, ids=broken_name)
def test_a_rule_catches_a_bad_notebook(
    rule: Callable[[NotebookNode], list[str]], edit: Edit
) -> None:
    notebook = copy.deepcopy(good_notebook())
    edit(notebook)
    assert rule(notebook), f"{rule.__name__} let it pass"


def test_every_rule_has_a_bad_notebook() -> None:
    assert {rule for rule, _ in BROKEN} == set(rules.RULES)


@pytest.mark.parametrize("versions", [{}, {"torch": "1.0"}, {"numpy": PINS["numpy"]}])
def test_other_versions_are_caught(versions: dict[str, str]) -> None:
    notebook = good_notebook()
    notebook.metadata["posenb"]["versions"] = versions
    assert rules.versions_are_pinned(notebook, PINS)


def test_a_large_file_is_caught(tmp_path: Path) -> None:
    large = tmp_path / "large.ipynb"
    large.write_bytes(b" " * (rules.MAX_MEGABYTES * 2**20 + 1))
    assert rules.size_is_small(large)


def test_solutions_are_found_with_their_exercise() -> None:
    found = rules.exercises(good_notebook())
    assert [exercise.name for exercise in found] == ["00.1", "00.2", "00.3", "00.4"]
    assert found[2].solution == 'answer = 3\ncheck("00.3", answer)\n'


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_notebook_keeps_the_rule(rule: Callable[[NotebookNode], list[str]], path: Path) -> None:
    problems = rule(nbformat.read(path, as_version=4))
    assert not problems, "\n".join([path.name, *problems])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_small_and_made_with_the_pinned_versions(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    problems = rules.size_is_small(path) + rules.versions_are_pinned(notebook, PINS)
    assert not problems, "\n".join([path.name, *problems])
