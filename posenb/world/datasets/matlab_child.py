"""What `matlab.read_mat` starts as a process of its own: reads one MATLAB file.

It is run as a script, and imports nothing of posenb: PyTorch alone would take longer than the file.
Arguments: the parent's `sys.path` as JSON, the file, the bytes of memory that it may take. Standard
output: a line of JSON, then the arrays that it refers to, as .npy after .npy.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any

FAILED = 3  # exit status after an exception, of which standard error holds the words
NO_H5PY = 4  # exit status if the file is HDF5 and there is nothing to read it with


def main(path: str, memory: int) -> None:
    """Write what the file holds to standard output."""
    try:
        _bound(memory)
        content = _content(Path(path).read_bytes())
        arrays: list[Any] = []
        tree = {name: _plain(value, arrays) for name, value in content.items() if name[:2] != "__"}
        if not tree:
            raise ValueError("it holds no variable")
        _write(tree, arrays)
    except MemoryError:
        _fail(f"it asks for more than {memory / 1e6:.0f} MB of memory")
    except Exception as error:  # SciPy's reader raises a dozen kinds on damaged files
        _fail(f"{type(error).__name__}: {error}")


def _content(file: bytes) -> dict[str, Any]:
    """What the readers make of the bytes of a file."""
    stream = io.BytesIO(file)
    if b"MATLAB 7.3" in file[:128] or file[:4] == b"\x89HDF":
        try:
            h5py = importlib.import_module("h5py")  # few need it
        except ImportError:
            sys.exit(NO_H5PY)
        with h5py.File(stream, "r") as found:  # the dimensions are in reverse order
            arrays = {name: part[()].T for name, part in found.items() if hasattr(part, "dtype")}
        return {name: value for name, value in arrays.items() if value.dtype.kind in "biuf"}
    from scipy.io import loadmat

    # without mat_dtype, doubles that are whole numbers come back as uint8
    return loadmat(stream, mat_dtype=True)


def _bound(memory: int) -> None:
    """Take no more memory than that, where the system can see to it (Windows cannot)."""
    try:
        import resource
    except ImportError:
        return
    for kind, wanted in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (soft, hard))
        except (ValueError, OSError):  # macOS knows the limit, and refuses to set it
            continue


def _plain(value: Any, arrays: list[Any]) -> Any:
    """A value of SciPy's as `matlab.read_mat` describes it, {"": number} for an array."""
    import numpy as np

    if not isinstance(value, np.ndarray):  # a sparse matrix
        return None
    names = value.dtype.names
    if names is not None:  # a struct array, or an object
        records = [
            {name: _plain(record[name], arrays) for name in names if name}
            for record in value.ravel("F")
        ]
        return records[0] if len(records) == 1 else records
    if value.dtype.hasobject:  # a cell array
        return [_plain(entry, arrays) for entry in value.ravel("F")]
    if value.dtype.kind in "US":
        rows = [str(row) for row in value.ravel()]
        return rows[0] if len(rows) == 1 else rows
    if value.dtype.kind not in "biufc":  # a function
        return None
    if value.size == 1 and value.dtype.kind != "c":
        return value.item()
    arrays.append(value)
    return {"": len(arrays) - 1}


def _write(tree: dict[str, Any], arrays: list[Any]) -> None:
    import numpy as np

    stream = sys.stdout.buffer
    stream.write(json.dumps(tree).encode() + b"\n")
    for value in arrays:
        np.save(stream, value, allow_pickle=False)
    stream.flush()


def _fail(reason: str) -> None:
    sys.stderr.write(reason[:300])
    sys.stderr.flush()
    sys.exit(FAILED)


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[1])
    main(sys.argv[2], int(sys.argv[3]))
