"""execute.py saves what a reader needs and nothing that changes from run to run."""

from __future__ import annotations

from pathlib import Path

import execute
import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.slow


def write(folder: Path, *sources: str) -> Path:
    path = folder / "a.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)
    return path


def test_two_runs_save_the_same_file(tmp_path: Path) -> None:
    slider = "import ipywidgets\nipywidgets.IntSlider()"
    progress = "from tqdm.notebook import tqdm\nfor _ in tqdm(range(3)):\n    pass"
    silent = "class Silent:\n    def __repr__(self):\n        return ''\nSilent()"
    path = write(tmp_path, "print(6 * 7)", slider, progress, silent)
    execute.execute(path, cell_timeout=60)
    first = nbformat.read(path, as_version=4)
    execute.execute(path, cell_timeout=60)
    second = nbformat.read(path, as_version=4)
    assert first.cells == second.cells
    assert [cell.execution_count for cell in first.cells] == [1, 2, 3, 4]
    assert first.cells[0].outputs[0].text == "42\n"
    assert first.cells[1].outputs[0].data == {"text/plain": execute.WIDGET_TEXT}
    assert first.cells[2].outputs == first.cells[3].outputs == []
    assert "widgets" not in first.metadata
    assert first.metadata["posenb"]["versions"] == execute.installed_versions()
    assert [item.name for item in tmp_path.iterdir()] == ["a.ipynb"]


def test_named_figures_are_saved(tmp_path: Path) -> None:
    draw = (
        "from posenb.course.show import figures\n"
        "from posenb.course.show.style import new_figure\n"
        "figure = new_figure(3, 2)\n"
        "figure.subplots().plot([0, 1])\n"
        "figures.show(figure, 'A line that rises.', name='prior/line')"
    )
    execute.execute(write(tmp_path, draw), cell_timeout=60, figures=tmp_path / "saved")
    assert (tmp_path / "saved" / "prior" / "line.png").read_bytes()[1:4] == b"PNG"


def test_a_failed_run_leaves_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "1 / 0")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute.execute(path, cell_timeout=60)
    assert path.read_bytes() == before
