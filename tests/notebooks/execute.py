"""Run notebooks from a fresh kernel and save them with their outputs.

    python tests/notebooks/execute.py notebooks/00_start_here.ipynb [more notebooks]

This is how a notebook is made ready to commit: its named figures are saved in `figures`, too, which
no other run does. A notebook whose run fails is left as it was.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FIGURES = Path(__file__).resolve().parents[2] / "figures"
RECORDED = ("torch", "numpy", "scipy", "scikit-learn", "matplotlib", "plotly", "ipywidgets")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_TEXT = "An interactive widget: run this cell to use it."


def installed_versions() -> dict[str, str]:
    """Versions of the packages that the outputs depend on, without a build tag such as +cpu."""
    return {name: importlib.metadata.version(name).split("+")[0] for name in RECORDED}


def for_readers(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs that mean something to a reader without a kernel.

    A saved widget is an empty frame. Progress bars go; of an explorer a line of text stays. What
    shows nothing, as the outcome of `check`, would leave a number beside an empty line.
    """
    kept = []
    for output in outputs:
        data = output.get("data", {})
        if WIDGET_VIEW in data:
            if "%|" in data.get("text/plain", ""):
                continue
            output.data = NotebookNode({"text/plain": WIDGET_TEXT})
        if data == {"text/plain": ""}:
            continue
        kept.append(output)
    return kept


def clean(notebook: NotebookNode, versions: dict[str, str], seconds: float) -> None:
    """Drop what differs between two equal runs, and record what the outputs were made with."""
    for cell in notebook.cells:
        for volatile in ("execution", "collapsed", "scrolled", "ExecuteTime"):
            cell.metadata.pop(volatile, None)
        if cell.cell_type == "code":
            cell.outputs = for_readers(cell.outputs)
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata["posenb"] = {"versions": versions, "seconds": round(seconds)}


def execute(path: Path, cell_timeout: int, figures: Path = FIGURES) -> float:
    """Run one notebook in its own folder, save it in place, and return the seconds it took.

    Args:
        path: the notebook.
        cell_timeout: seconds that one cell may take.
        figures: where the figures that have a name are saved.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails; the file stays as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    NotebookClient(
        notebook,
        timeout=cell_timeout,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    ).execute(env=dict(os.environ, POSENB_FIGURES=str(figures)))
    seconds = time.perf_counter() - start
    clean(notebook, installed_versions(), seconds)
    unfinished = path.with_suffix(".unfinished")
    nbformat.write(notebook, unfinished)
    os.replace(unfinished, path)
    return seconds


def main() -> int:
    """Run each notebook named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--cell-timeout", type=int, default=300, help="seconds (default 300)")
    arguments = parser.parse_args()
    for path in arguments.notebooks:
        seconds = execute(path, arguments.cell_timeout)
        print(f"{path}: {seconds / 60:.1f} minutes, {path.stat().st_size / 2**20:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
