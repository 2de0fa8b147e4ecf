"""MATLAB files of strangers, read in a process of its own.

SciPy's reader trusts its input: about one in a hundred damaged files ends the process that reads
it, others make it ask for any amount of memory. A notebook must not die of a file.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from posenb.world.datasets import matlab_child
from posenb.world.datasets.records import DatasetError

__all__ = ["read_mat"]

MEMORY = 400_000_000, 250  # bytes, and per byte of the file: structs are many small arrays
SECONDS = 60.0, 20e-6  # and per byte of the file


def read_mat(path: Path, origin: str) -> dict[str, Any]:
    """The variables of a MATLAB file.

    A struct is a dictionary, an array of structs or cells a list (in Matlab's order, column by
    column), text a string, a single number a float, int or bool; any other array of numbers is an
    array of Matlab's shape, with at least two dimensions, and float64 where Matlab had doubles.
    What is none of these (functions, sparse matrices) is None.

    Args:
        path: the file.
        origin: where such files come from, for messages.

    Raises:
        DatasetError: if it cannot be read, is damaged, takes too much time or memory, or is the
            HDF5 of version 7.3 and h5py is not installed. Of HDF5, arrays of numbers are read.
    """
    _open(path, origin)
    size = path.stat().st_size
    memory = MEMORY[0] + MEMORY[1] * size
    seconds = SECONDS[0] + SECONDS[1] * size
    script = [matlab_child.__file__, json.dumps(sys.path), str(path), str(memory)]
    try:
        done = subprocess.run(
            [sys.executable, *script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # of Windows
        )
    except subprocess.TimeoutExpired as error:
        raise _damaged(path, f"it is not read after {seconds:.0f} seconds", origin) from error
    if done.returncode == matlab_child.NO_H5PY:
        reason = "is HDF5 (MATLAB 7.3): install what reads it (python -m pip install h5py)"
        raise DatasetError(path, "file", reason)
    if done.returncode == matlab_child.FAILED:
        raise _damaged(path, done.stderr.decode(errors="replace"), origin)
    if done.returncode != 0:
        why = f"SciPy's reader died of it, status {done.returncode}"
        raise _damaged(path, why, origin)
    stream, arrays = io.BytesIO(done.stdout), []
    try:
        tree = json.loads(stream.readline())
        while stream.tell() < len(done.stdout):
            arrays.append(np.load(stream, allow_pickle=False))
        return {name: _filled(value, arrays) for name, value in tree.items()}
    except RecursionError as error:
        raise _damaged(path, "its cells are nested too deeply", origin) from error


def _open(path: Path, origin: str) -> None:
    """Make sure that there is a file to read."""
    try:
        path.open("rb").close()
    except OSError as error:
        reason = f"cannot be read ({error.strerror}). Nothing is downloaded: {origin}"
        raise DatasetError(path, "file", reason) from error


def _damaged(path: Path, why: str, origin: str) -> DatasetError:
    reason = f"is no MATLAB file, or is cut off ({why}). Fetch it again: {origin}"
    return DatasetError(path, "file", reason)


def _filled(value: Any, arrays: list[np.ndarray]) -> Any:
    """The tree with its arrays."""
    if isinstance(value, list):
        return [_filled(entry, arrays) for entry in value]
    if isinstance(value, dict):
        if "" in value:  # no field of a struct has this name
            return arrays[value[""]]
        return {name: _filled(entry, arrays) for name, entry in value.items()}
    return value
