"""Pickles of strangers: data come in, code stays out."""

from __future__ import annotations

import codecs
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posenb.world.datasets import DatasetError, detections
from posenb.world.datasets.pickles import array, read_npz, read_pickle

CONTENT = {
    "sequence": "downtown",
    "numbers": [1, 2.5, True, None, np.float64(3.5), -7],
    "arrays": (np.arange(6.0).reshape(2, 3), np.eye(3, dtype=np.float32).T[:, ::2]),
    "flags": np.array([True, False]),
    "fortran": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    "names": np.array(["a", "bcd"]),
    "objects": np.array([{"x": np.arange(3)}, "y"], dtype=object),
    "empty": np.zeros((0, 3)),
}


def same(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            same(found[key], value)
    elif isinstance(expected, list | tuple) or (
        isinstance(expected, np.ndarray) and expected.dtype.hasobject
    ):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    else:
        assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_data_of_every_protocol(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    same(read_pickle(path, "from me"), CONTENT)


def test_a_pickle_as_python_2_wrote_it(tmp_path: Path) -> None:
    raw = np.array([0.0, -1.5, 1e300], "<f8").tobytes()
    content = b"\x80\x02}q\x00(U\x08sequenceU\x08caf\xe9 bar"  # a dictionary of byte strings
    content += b"U\x06valuescnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    content += b"K\x00\x85U\x01b\x87R(K\x01K\x03\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
    content += b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    content += b"T" + struct.pack("<i", len(raw)) + raw + b"tbu."
    path = tmp_path / "old.pkl"
    path.write_bytes(content)
    found = read_pickle(path, "from me")
    assert found["sequence"] == "café bar"
    assert found["values"].tolist() == [0.0, -1.5, 1e300]
    numpy = pickle.loads(content, encoding="latin1")  # our own bytes: numpy reads them alike
    np.testing.assert_array_equal(numpy["values"], found["values"])


class Command:
    """What `pickle.load` would run."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call[0], self.call[1:]


def hostile(marker: Path) -> dict[str, bytes]:
    shell = f"touch {marker}"
    flagged = np.array([{}], dtype=object)
    # an object array that hands its pointers over as bytes: numpy would follow them
    pointers = pickle.dumps(flagged, 2).replace(b"K?t", b"K\x00t")
    assert pointers != pickle.dumps(flagged, 2)
    return {
        "system": pickle.dumps({"sequence": Command(os.system, shell)}),
        "old system": f"cos\nsystem\n(S'{shell}'\ntR.".encode(),
        "stack": f"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c{chr(len(shell))}{shell}\x85R.".encode(
            "latin1"
        ),
        "eval": pickle.dumps(Command(eval, f"__import__('os').system('{shell}')")),
        "getattr": pickle.dumps(Command(getattr, "x", "format")),
        "numpy": pickle.dumps(Command(np.memmap, str(marker), "u1", "w+", 0, (3,))),
        "dotted": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        "codec": pickle.dumps(Command(codecs.encode, "x" * 99, "rot13")),
        "object of ours": pickle.dumps(Path("x")),
        "ordered": pickle.dumps(OrderedDict(a=1)),
        "outside": b"\x80\x04\x8c\x01xQ.",
        "record array": pickle.dumps(np.zeros(2, [("x", "f8")])),
        "function": b"\x80\x04\x8c\x07_codecs\x8c\x06encode\x93.",
        "pointers": pointers,
    }


NAMES = sorted(hostile(Path("marker")))


@pytest.mark.parametrize("which", NAMES)
def test_code_is_refused_and_not_run(which: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "data.pkl"
    path.write_bytes(hostile(marker)[which])
    if which == "pointers":  # the flag means nothing to us: it stays an array of objects
        assert read_pickle(path, "from me").tolist() == [{}]
    else:
        with pytest.raises(DatasetError, match="It was not run") as caught:
            read_pickle(path, "from me")
        assert caught.value.path == path and caught.value.record == "file"
    assert not marker.exists()


@pytest.mark.parametrize("which", NAMES)
def test_code_in_an_npz_is_refused_and_not_run(which: str, tmp_path: Path) -> None:
    marker, path, header = tmp_path / "marker", tmp_path / "data.npz", io.BytesIO()
    described = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(header, described)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", header.getvalue() + hostile(marker)[which])
    if which != "pointers":
        with pytest.raises(DatasetError, match="It was not run"):
            read_npz(path, "from me", "data")
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        pickle.dumps(CONTENT)[:-1],
        pickle.dumps(CONTENT)[:200],
        pickle.dumps(CONTENT, 2)[:300],
        pickle.dumps(np.arange(9.0), 4).replace(b"K\t\x85", b"K\x7f\x85"),  # more than its bytes
        pickle.dumps(np.array([1, "a"], object), 2).replace(b"K\x02\x85", b"K\x03\x85"),
        b"\x80\x04]\x94h\x00a.",  # a list that holds itself
    ],
)
def test_a_damaged_pickle_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="is cut off|does not hold what it says"):
        read_pickle(path, "from me")


def array_of(shape: bytes, kind: bytes, content: bytes) -> bytes:
    """A pickled array, its shape, type and bytes given as opcodes."""
    head = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
    return b"\x80\x03" + head + shape + b"cnumpy\ndtype\n" + kind + b"\x85R\x89" + content + b"tb."


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit of memory")
@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04]r\xff\xff\xff\x7f.",  # a table of 2^31 places
        b"]p2000000000\n.",
        array_of(
            b"J\x00\xca\x9a\x3b\x85", b"X\x02\x00\x00\x00u1", b"J\x00\xca\x9a\x3b"
        ),  # bytes(10**9)
        array_of(b"J\x00\xca\x9a\x3b\x85", b"X\x02\x00\x00\x00S0", b"C\x00"),  # of size 0 each
        array_of(b"J\x00\xca\x9a\x3b\x85", b"X\x02\x00\x00\x00f8", b"C\x08" + bytes(8)),
        b"\x80\x04\x8e" + struct.pack("<Q", 10**9) + b"abc.",  # BINBYTES8 of 10^9 bytes
        b"\x80\x04\x95" + struct.pack("<Q", 10**9) + b"].",  # a FRAME of as many
    ],
)
def test_no_few_bytes_take_much_memory(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(content)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from posenb.world.datasets import DatasetError, pickles\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: pickles.read_pickle(Path(sys.argv[1]), '')\n"
        "except DatasetError: pass\n"
        "else: sys.exit('not refused')\n"
        "unit = 1 if sys.platform == 'darwin' else 1000\n"
        "more = unit * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
        "sys.exit(f'{more} bytes' if more > 2e8 else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_archive_that_unpacks_to_far_more_than_its_size(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, data=np.zeros(200_000_000, np.uint8))
    assert path.stat().st_size < 300_000
    for read in (lambda: read_npz(path, "from me", "data"), lambda: detections.load(path)):
        with pytest.raises(DatasetError, match="would unpack to 200 MB"):
            read()


def test_an_entry_that_is_no_array_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("keypoints.npy", b"these are other bytes")
    with pytest.raises(DatasetError, match="no array of points"):
        detections.load(path)


def test_a_file_cannot_change_what_reads_it(tmp_path: Path) -> None:
    """BUILD on the stand-in of an array, with attributes for its class."""
    build = b"\x80\x04cnumpy\nndarray\nN}X\x0c\x00\x00\x00__setstate__K\x01s\x86b."
    path = tmp_path / "data.pkl"
    path.write_bytes(build)
    with pytest.raises(DatasetError):
        read_pickle(path, "from me")
    path.write_bytes(pickle.dumps(CONTENT))
    same(read_pickle(path, "from me"), CONTENT)


def test_a_few_bytes_do_not_become_many(tmp_path: Path) -> None:
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(value))
    assert len(read_pickle(path, "from me")) == 2


def test_npz_entries(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, data=CONTENT, numbers=np.arange(6.0).reshape(2, 3).T)
    same(read_npz(path, "from me", "data"), CONTENT)
    np.testing.assert_array_equal(
        read_npz(path, "from me", "numbers"), np.arange(6.0).reshape(2, 3).T
    )
    with pytest.raises(DatasetError, match="no entry 'poses'; found data, numbers"):
        read_npz(path, "from me", "poses")
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match="no npz file, or is cut off"):
            read_npz(path, "from me", "data")
    path.write_bytes(whole[:150] + bytes(40) + whole[190:])
    with pytest.raises(DatasetError):
        read_npz(path, "from me", "data")


def test_missing_files_say_where_they_come_from(tmp_path: Path) -> None:
    for read in (lambda p: read_pickle(p, "from me"), lambda p: read_npz(p, "from me", "data")):
        with pytest.raises(DatasetError, match="No such file.*from me"):
            read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (np.zeros((2, 4)), r"shape \(2, 4\), expected \(any, 3\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.zeros(3), r"shape \(3,\)"),
        ([[1, 2, 3], [1]], "array of numbers"),
        ([["a", "b", "c"]], "array of numbers"),
        (None, "array of numbers"),
        (np.array([[1, 2, {}]], object), "array of numbers"),
    ],
)
def test_arrays_of_the_wrong_kind_or_shape_are_named(value: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=why):
        array(tmp_path, "here", {"x": value}, "x", (None, 3))
    with pytest.raises(DatasetError, match="key 'y' is missing; found x"):
        array(tmp_path, "here", {"x": value}, "y", (None, 3))
    assert array(tmp_path, "here", {"x": [[1, 2, 3]]}, "x", (None, 3)).dtype == np.float64
