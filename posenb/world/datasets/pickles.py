"""Pickles and npz files of strangers: arrays, containers, strings and numbers come in, no code.

A pickle is a program: it may call anything that it can import. Here it can import nothing. The few
names that pickled numpy arrays need are answered with stand-ins of our own, so that not even
numpy's own unpickling (which trusts its input) sees the file; all other names are refused.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import zipfile
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from posenb.world.datasets.records import DatasetError, field, read_file

__all__ = ["array", "items", "read_npz", "read_pickle", "unpacked_size"]

PLAIN = re.compile(r"[<>=|]?([biufcSUO]\d*|\?)")  # no records, dates, or memory layouts

UNPACKED = 20_000_000, 100  # bytes that an archive may unpack to, and per byte of the file


class _Refused(pickle.UnpicklingError):
    """The file asks for something that data do not need."""


class _Type:
    """Stands for numpy.dtype, whose own `__setstate__` would trust the file."""

    def __init__(self, code: str, *_: object) -> None:
        """Remember the code, such as f8."""
        if not PLAIN.fullmatch(code):
            raise _Refused(f"it holds an array of type {code!r}")
        self.code = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in "<>":
            self.code = self.code.newbyteorder(state[1])


class _Array:
    """Stands for numpy.ndarray while it is read; `_plain` takes the array out."""

    def __init__(self, *_: object) -> None:
        self.content: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, content = state
        if kind.code.hasobject:
            if not isinstance(content, list) or len(content) != math.prod(shape):
                raise _Refused("an array of objects does not hold what it says")
            self.content = np.empty(len(content), dtype=object)
            self.content[:] = content
            self.content = self.content.reshape(shape, order="F" if fortran else "C")
        else:
            self.content = _buffer(content, kind, shape, "F" if fortran else "C").content


def _buffer(content: Any, kind: _Type, shape: tuple[int, ...], order: Any) -> _Array:
    """An array of numbers or strings over its bytes (of Python 2: a string in Latin-1)."""
    if kind.code.hasobject:
        raise _Refused("it holds objects in place of bytes")
    made = _Array()
    raw = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(raw, bytes | bytearray):  # bytes(10**10) would be that many zeros
        raise _Refused("an array has no bytes")
    if not kind.code.itemsize or len(raw) != math.prod(shape) * kind.code.itemsize:
        raise _Refused("an array does not hold what it says")
    made.content = np.ndarray(shape, kind.code, bytes(raw), order=order)
    return made


def _scalar(kind: _Type, content: Any) -> Any:
    return _buffer(content, kind, (), "C").content[()]  # type: ignore[index]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Bytes in pickles of protocol 2."""
    if encoding != "latin1":
        raise _Refused(f"it asks for the codec {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Bytes of length 0 in pickles of protocol 2."""
    return b""


STAND_INS = {
    "multiarray._reconstruct": _Array,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _buffer,
    "numpy.ndarray": _Array,
    "numpy.dtype": _Type,
    "_codecs.encode": _encode,
    "__builtin__.bytes": _no_bytes,
}


class _Reader(pickle.Unpickler):
    """Finds the stand-ins and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the file stands for; numpy moved its core to `_core` in version 2."""
        short = re.sub(r"^numpy\.(core|_core)\.(?=(multiarray|numeric)$)", "", module)
        if f"{short}.{name}" not in STAND_INS:
            raise _Refused(f"it asks for {module}.{name}")
        stand_in: Any = STAND_INS[f"{short}.{name}"]
        return lambda *given: stand_in(*given)  # the file can change attributes of what it is given

    def persistent_load(self, pid: Any) -> NoReturn:
        """Nothing is fetched from elsewhere."""
        raise _Refused(f"it asks for the outside object {pid!r}")


def _bounded(stream: IO[bytes]) -> io.BytesIO:
    """The pickle, if reading it takes no more memory than a few times its size.

    One instruction can ask for a table of 2^32 places; a writer numbers them from 0 upwards.
    """
    content = stream.read()
    for place, (code, argument, _) in enumerate(pickletools.genops(content)):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > place + 256:
            raise _Refused(f"it asks for a table of {argument} places")
    return io.BytesIO(content)


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """Stand-ins become arrays, at any depth; what is no data is refused.

    `done` holds what became of each container: a few bytes can refer to one list 2^50 times.
    """
    if value is None or isinstance(value, str | bytes | bool | int | float | np.generic):
        return value
    if id(value) in done:
        return done[id(value)]
    plain: Any
    if isinstance(value, dict):
        plain = {_plain(key, done): _plain(entry, done) for key, entry in value.items()}
    elif isinstance(value, list | tuple):
        plain = [_plain(entry, done) for entry in value]
    elif isinstance(value, _Array) and value.content is not None:
        plain = value.content
        if plain.dtype.hasobject:
            plain = np.empty_like(value.content)
            for index in np.ndindex(plain.shape):
                plain[index] = _plain(value.content[index], done)
    else:
        raise _Refused(f"it holds a {type(value).__name__}")
    done[id(value)] = plain
    return plain


def _read(path: Path, record: str, stream: IO[bytes], origin: str) -> Any:
    try:
        return _plain(_Reader(_bounded(stream), encoding="latin1").load(), {})
    except _Refused as error:
        reason = f"holds more than arrays and containers: {error}. It was not run; {origin}"
        raise DatasetError(path, record, reason) from error
    except Exception as error:  # a damaged pickle can raise anything
        reason = f"is no pickle, or is cut off ({error!r}). Fetch it again: {origin}"
        raise DatasetError(path, record, reason) from error


def read_pickle(path: Path, origin: str) -> Any:
    """The content of a pickle of Python 2 or 3; tuples become lists.

    Raises:
        DatasetError: if it cannot be read, is damaged, or holds anything but arrays, containers,
            strings and numbers.
    """
    return _read(path, "file", io.BytesIO(read_file(path, origin)), origin)


def read_npz(path: Path, origin: str, key: str) -> Any:
    """One entry of an npz file.

    An object array without dimensions, as which dictionaries are saved, becomes what it holds.

    Raises:
        DatasetError: as `read_pickle`, and if there is no such entry.
    """
    try:
        unpacked_size(path)
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if key not in names:
                reason = f"has no entry {key!r}; found {', '.join(names) or 'nothing'}. {origin}"
                raise DatasetError(path, "file", reason)
            with archive.open(f"{key}.npy") as stream:
                version, reader = np.lib.format.read_magic(stream), np.lib.format
                old = version == (1, 0)
                header = reader.read_array_header_1_0 if old else reader.read_array_header_2_0
                shape, fortran, kind = header(stream)
                if kind.hasobject:
                    value = _read(path, key, stream, origin)
                else:
                    flat = np.frombuffer(stream.read(), kind, count=math.prod(shape))
                    value = flat.reshape(shape, order="F" if fortran else "C")
    except OSError as error:
        reason = f"cannot be read ({error.strerror}). Nothing is downloaded: {origin}"
        raise DatasetError(path, "file", reason) from error
    except DatasetError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on damaged files
        reason = f"is no npz file, or is cut off ({error!r}). Fetch it again: {origin}"
        raise DatasetError(path, "file", reason) from error
    return value.item() if isinstance(value, np.ndarray) and value.shape == () else value


def unpacked_size(path: Path) -> int:
    """Bytes that the entries of a zip archive take, unpacked.

    Raises:
        DatasetError: if these are far more than the file has.
        OSError, zipfile.BadZipFile: if it is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > UNPACKED[0] + UNPACKED[1] * path.stat().st_size:
        reason = f"would unpack to {size / 1e6:,.0f} MB: it is damaged, or meant to fill the memory"
        raise DatasetError(path, "file", reason)
    return size


def array(path: Path, record: str, holder: Any, key: Any, shape: tuple[int | None, ...]) -> Any:
    """`holder[key]`, made sure to be numbers of a shape; NaN may be among them.

    Args:
        path: for messages.
        record: for messages.
        holder: a dictionary.
        key: the wanted key.
        shape: None where any length of at least 1 will do.

    Returns:
        float64 array.

    Raises:
        DatasetError: if it is missing, not numbers, or of another shape.
    """
    value = field(path, record, holder, key, object)
    try:
        value = np.asarray(value)
        if value.dtype.kind not in "biuf":
            raise ValueError(f"holds {value.dtype}")
    except ValueError as error:  # ragged lists, too
        raise DatasetError(path, record, f"{key!r} must be an array of numbers: {error}") from error
    fits = len(shape) == value.ndim and all(
        found == wanted or (wanted is None and found > 0)
        for found, wanted in zip(value.shape, shape, strict=True)
    )
    if not fits:
        wanted = tuple("any" if length is None else length for length in shape)
        reason = f"{key!r} has shape {value.shape}, expected ({', '.join(map(str, wanted))})"
        raise DatasetError(path, record, reason)
    return value.astype(np.float64)


def items(path: Path, record: str, holder: Any, key: Any) -> dict[int, Any]:
    """`holder[key]`, made sure to be a list or an array of at least one item, by position.

    Raises:
        DatasetError: if it is missing or something else.
    """
    value = field(path, record, holder, key, object)
    listed = isinstance(value, list) or (
        isinstance(value, np.ndarray) and value.ndim > 0 and value.size > 0
    )
    found = list(value) if listed else None
    if not found:
        kind = type(value).__name__ if found is None else "none"
        raise DatasetError(path, record, f"{key!r} must be a list of items, found {kind}")
    return dict(enumerate(found))
