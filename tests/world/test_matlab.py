"""MATLAB files as they come back from the process that reads them, and what it cannot survive."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from posenb.world.datasets import DatasetError, matlab
from posenb.world.datasets.matlab import read_mat

pytestmark = pytest.mark.slow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a film & its 'joints' \N{LATIN SMALL LETTER U WITH DIAERESIS}.mat"


def test_values_of_all_kinds(path: Path) -> None:
    cells = np.empty((2, 2), object)
    cells[0, 0], cells[1, 0], cells[0, 1], cells[1, 1] = "a", 2.5, np.ones((2, 3)), {"b": 1.0}
    pair = np.zeros((1, 2), [("x", object), ("name", object)])
    pair["x"][0] = [1.0, 2.0]
    pair["name"][0] = ["one", "two"]
    savemat(
        path,
        {
            "whole": np.arange(6.0).reshape(2, 3),
            "small": np.array([[1, 2]], np.uint8),
            "number": 4.5,
            "count": np.int32(-3),
            "text": "J\N{LATIN SMALL LETTER O WITH DIAERESIS}rg",
            "cells": cells,
            "pair": pair,
            "one": {"nested": {"deep": np.nan}, "empty": np.zeros((0, 0))},
            "sparse": csc_matrix(np.eye(3)),
            "deep": np.ones((2, 17, 1, 5)),
        },
    )
    found = read_mat(path, "nowhere")
    assert found["whole"].dtype == np.float64 and found["whole"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["small"].dtype == np.uint8 and found["small"].tolist() == [[1, 2]]
    assert found["number"] == 4.5 and found["count"] == -3
    assert found["text"] == "J\N{LATIN SMALL LETTER O WITH DIAERESIS}rg"
    first, second, third, fourth = found["cells"]
    assert (first, second, fourth) == ("a", 2.5, {"b": 1.0}) and third.shape == (2, 3)
    assert found["pair"] == [{"x": 1.0, "name": "one"}, {"x": 2.0, "name": "two"}]
    assert np.isnan(found["one"]["nested"]["deep"]) and found["one"]["empty"].shape == (0, 0)
    assert found["sparse"] is None and found["deep"].shape == (2, 17, 1, 5)
    assert "__header__" not in found


@pytest.mark.parametrize("length", [0, 1, 100, 128, 150, 0.5, 0.99])
def test_a_file_that_is_cut_off(length: float, path: Path) -> None:
    savemat(path, {"joints": np.random.default_rng(0).normal(size=(3, 14, 20))})
    whole = path.read_bytes()
    path.write_bytes(whole[: length if isinstance(length, int) else int(length * len(whole))])
    with pytest.raises(DatasetError, match=r"cut off \(.*\)\. Fetch it again: the moon"):
        read_mat(path, "the moon")


def test_a_missing_file(path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot be read .* downloaded: the moon"):
        read_mat(path, "the moon")


# Stands in for h5py, whose datasets have the dimensions of Matlab's arrays in reverse order.
H5PY = """
import numpy
class File(dict):
    def __init__(self, file, mode):
        file.seek(512)
        self.update({name: array.T for name, array in numpy.load(file).items()}, group={})
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
"""


@pytest.mark.parametrize("head", [b"MATLAB 7.3 MAT-file", b"\x89HDF\r\n\x1a\n"])
def test_hdf5_is_read_with_h5py(head: bytes, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with path.open("wb") as file:
        file.write(head.ljust(512))
        np.savez(file, annot2=np.arange(6.0).reshape(2, 3), name=np.array(["TS1"]))
    (path.parent / "h5py.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(str(path.parent))
    with pytest.raises(DatasetError, match=r"HDF5 \(MATLAB 7\.3\).*pip install h5py"):
        read_mat(path, "the moon")
    (path.parent / "h5py.py").write_text(H5PY)
    found = read_mat(path, "the moon")
    assert list(found) == ["annot2"] and found["annot2"].tolist() == [[0, 1, 2], [3, 4, 5]]


def child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    """Puts another script in the place of the child's."""
    script = tmp_path / "child.py"
    script.write_text(body)
    monkeypatch.setattr(matlab.matlab_child, "__file__", str(script))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("import os; os.abort()", "SciPy's reader died of it"),
        ("import os, signal; os.kill(os.getpid(), 11)", "SciPy's reader died of it"),
        ("while True: pass", "not read after 1 seconds"),
        ("import sys; sys.stderr.write('no good'); sys.exit(3)", "no good"),
    ],
)
def test_a_reader_that_dies_or_hangs(
    body: str, why: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    savemat(path, {"x": 1.0})
    child(monkeypatch, tmp_path, body)
    if "while" in body:
        monkeypatch.setattr(matlab, "SECONDS", (1.0, 0.0))
    with pytest.raises(DatasetError, match=why):
        read_mat(path, "the moon")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such limit")
def test_a_reader_that_takes_too_much_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    savemat(path, {"x": np.zeros(100_000_000 // 8)}, do_compression=True)
    assert path.stat().st_size < 1_000_000
    monkeypatch.setattr(matlab, "MEMORY", (250_000_000, 0))
    with pytest.raises(DatasetError, match="more than 250 MB of memory"):
        read_mat(path, "the moon")


def test_the_child_does_not_wait_for_pytorch() -> None:
    code = (
        "import sys, runpy; runpy.run_path(sys.argv[1], run_name='child'); "
        "assert not [name for name in sys.modules if name.startswith(('torch', 'posenb'))]"
    )
    file: Any = matlab.matlab_child.__file__
    subprocess.run([sys.executable, "-c", code, file], check=True)


def test_cells_nested_too_deeply_for_who_asks_are_refused(tmp_path: Path) -> None:
    value = np.array([[1.0, 2.0]])
    for _ in range(300):
        cell = np.empty((1, 1), object)
        cell[0, 0] = value
        value = cell
    path = tmp_path / "deep.mat"
    savemat(path, {"a": value})
    assert "a" in read_mat(path, "o")

    def deeper(frames: int) -> None:
        if frames:
            deeper(frames - 1)
        else:
            read_mat(path, "o")

    with pytest.raises(DatasetError, match="nested too deeply"):
        deeper(sys.getrecursionlimit() - len(inspect.stack()) - 250)
