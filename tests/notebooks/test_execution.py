"""Each notebook runs from a fresh kernel, in a process of its own, within its header's minutes.

After each exercise cell its folded solution is run as well, as a student would who opens it: the
check must accept it, and the rest of the notebook must still run. The copy lies in an empty
folder, so a notebook that leans on its working directory fails, and the files of the repository
stay as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import notebook_rules as rules
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CELL_TIMEOUT = 300
# For machines slower than the two cores that the headers are stated for.
TIME_FACTOR = float(os.environ.get("POSENB_TIME_FACTOR", "1"))
SHARED = "PYTEST_XDIST_WORKER" in os.environ  # other tests run beside these


def with_solutions(notebook: NotebookNode) -> NotebookNode:
    """The notebook with each solution in a cell of its own behind its exercise."""
    solved = nbformat.from_dict(notebook)
    for exercise in reversed(rules.exercises(notebook)):
        if exercise.solution is not None:
            # check's verdict counts as true once an answer is accepted
            source = re.sub(r"^check\(", "assert check(", exercise.solution, flags=re.MULTILINE)
            solved.cells.insert(exercise.cell + 1, new_code_cell(source))
    return solved


def clock() -> float:
    """Seconds of a run. Beside other tests: half the time that its processes computed.

    A header's minutes are those of two cores. What computes no longer than two cores could in that
    time keeps them, however long it waits for a core; the run that is committed is held to its
    wall time (`kept_its_minutes` of the rules).
    """
    times = os.times()
    return (times.children_user + times.children_system) / 2 if SHARED else time.perf_counter()


def run_with_nbval(
    path: Path, timeout: float, stop: bool = True
) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a notebook file as tests; returns the finished process and its seconds.

    Args:
        path: the notebook.
        timeout: seconds.
        stop: at the first cell that fails; otherwise the end says how each cell went.
    """
    environment = dict(os.environ, IPYTHONDIR=str(path.parent / "ipython"))
    environment.pop("MPLBACKEND", None)  # a kernel chooses its own
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--import-mode=importlib"]
    command += ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={CELL_TIMEOUT}"]
    command += ["--exitfirst" if stop else "-rA", "--quiet"]
    command += [f"--rootdir={path.parent}", f"--timeout={timeout}"]
    start = clock()
    done = subprocess.run(
        [*command, path.name],
        cwd=path.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done, clock() - start


def kept_files() -> dict[Path, int]:
    """Files that a run must leave as they are, with the time of their last change."""
    kept = [ROOT / "figures", ROOT / "notebooks", ROOT / "posenb" / "assets"]
    files = [path for folder in kept for path in folder.rglob("*") if path.is_file()]
    ignored = {"__pycache__", ".ipynb_checkpoints"}
    return {path: path.stat().st_mtime_ns for path in files if not ignored & set(path.parts)}


def run_cells(folder: Path, *sources: str, stop: bool = True) -> subprocess.CompletedProcess[str]:
    """Run code cells as a notebook."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    nbformat.write(notebook, folder / "cells.ipynb")
    return run_with_nbval(folder / "cells.ipynb", 120, stop)[0]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_within_its_minutes(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    minutes = rules.stated_minutes(notebook)
    assert minutes is not None
    copy = tmp_path / path.name
    nbformat.write(with_solutions(notebook), copy)
    before = kept_files()
    done, seconds = run_with_nbval(copy, timeout=1100)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    after = kept_files()
    assert not {path for path, _ in before.items() ^ after.items()}, "written to the repository"
    allowed = 60 * minutes * TIME_FACTOR
    assert seconds <= allowed, f"{path.name} took {seconds:.0f} s, its header allows {allowed:.0f}"


def test_solutions_stand_behind_their_exercises() -> None:
    exercise = 'answer = None\ncheck("00.1", answer)'
    solution = '<details>\n\n```python\nanswer = 1\ncheck("00.1", answer)\n```\n\n</details>'
    cells = [new_code_cell(exercise), new_markdown_cell(solution), new_code_cell("answer")]
    solved = with_solutions(new_notebook(cells=cells))
    sources = [cell.source for cell in solved.cells]
    assert sources == [exercise, 'answer = 1\nassert check("00.1", answer)\n', solution, "answer"]


DRAW = """from posenb.course.show import figures
from posenb.course.show.style import new_figure
figures.show(new_figure(3, 2), 'Nothing.', name='prior/samples', vector={})"""
GOOD = {
    "plain": "x = 1",
    "builds on another": "assert x == 1",
    "figure": DRAW.format(False),
    "vector figure": DRAW.format(True),
}
BAD = {
    "error": "raise ValueError('a plain error')",
    "error in a widget": "import ipywidgets\nipywidgets.interact(lambda x: 1 / 0, x=(0, 1))",
    "network by address": "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=1)",
    "network by name": "import urllib.request\n"
    "urllib.request.urlopen('https://example.org', timeout=1)",
}


def test_good_cells_pass_and_leave_the_figures_of_the_repository(tmp_path: Path) -> None:
    before = kept_files()
    done = run_cells(tmp_path, *GOOD.values())
    assert done.returncode == 0, done.stdout
    assert f"{len(GOOD)} passed" in done.stdout
    assert kept_files() == before


@pytest.fixture(scope="module")
def bad_cells(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said of a notebook of bad cells and one good one, all of them run."""
    done = run_cells(tmp_path_factory.mktemp("bad"), *BAD.values(), "x = 1", stop=False)
    assert done.returncode == 1, done.stdout
    assert f"{len(BAD)} failed, 1 passed" in done.stdout, done.stdout
    return done.stdout


@pytest.mark.parametrize("name", BAD)
def test_bad_cells_fail(name: str, bad_cells: str) -> None:
    assert f"FAILED cells.ipynb::Cell {list(BAD).index(name)}" in bad_cells
