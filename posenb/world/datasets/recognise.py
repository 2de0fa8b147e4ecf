"""What a file or folder is, by what it holds and never by its name alone."""

from __future__ import annotations

import functools
import json
import logging
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec

from posenb.world.datasets.detected_tables import is_table
from posenb.world.datasets.detected_trees import POINTS
from posenb.world.datasets.landmarks import ROW as WFLW
from posenb.world.datasets.matlab import read_mat
from posenb.world.datasets.records import DatasetError, listed, plain
from posenb.world.poses import PoseSet

__all__ = ["only", "recognise"]

KNOWN = (
    "COCO, CrowdPose and the like (JSON), MPII (.mat, JSON), LSP (joints.mat), Human3.6M and "
    "MPI-INF-3DHP (npz, .mat), 3DPW (.pkl), 300-W (.pts), WFLW, results of OpenPose, AlphaPose, "
    "mmpose, ViTPose, MediaPipe and YOLO (JSON, CSV, txt), npz and npy of joints"
)
HEAD = 4096  # bytes that tell most formats
VARIABLES = {  # of MATLAB files
    "RELEASE": "mpii",
    "joints": "lsp",
    "annot2": "mpi_inf_3dhp",
    "univ_annot3": "mpi_inf_3dhp",
}
MEMBERS = {"positions_3d": "human36m", "data": "mpi_inf_3dhp"}  # of npz files

CALLED = {  # kinds, for people
    "coco": "COCO keypoints",
    "mpii": "MPII",
    "lsp": "Leeds Sports Pose (LSP)",
    "faces": "landmarks of faces",
    "detections": "the result of a detector, or plain points",
    "human36m": "Human3.6M",
    "mpi_inf_3dhp": "MPI-INF-3DHP",
    "threedpw": "3DPW",
}
# Keys that only the own formats of annotation tools have.
RAW = {
    "_via_settings": "a project of VIA",
    "region_attributes": "an export of VIA",
    "imageData": "a file of labelme",
    "keypointlabels": "a raw export of Label Studio",
    "classTitle": "a project of Supervisely",
}

Arguments = ParamSpec("Arguments")
Loader = Callable[Concatenate[str | Path, Arguments], PoseSet]

log = logging.getLogger(__name__)


class Project(DatasetError):
    """An annotation tool's own format, of which there are exports that are read."""


def only(kind: str) -> Callable[[Loader[Arguments]], Loader[Arguments]]:
    """A loader of one kind that says what a file is which it refuses, if that is another kind."""

    def wrap(load: Loader[Arguments]) -> Loader[Arguments]:
        @functools.wraps(load)
        def told(
            path: str | Path, *arguments: Arguments.args, **options: Arguments.kwargs
        ) -> PoseSet:
            try:
                return load(path, *arguments, **options)
            except DatasetError as error:
                if _cut(error):
                    raise
                try:
                    found = recognise(path)
                except Project:
                    raise
                except DatasetError:  # nothing that is known: the loader's own reason says more
                    found = kind
                if found in (kind, "motion"):
                    raise
                reason = f"is not {CALLED[kind]}, but seems to be {CALLED[found]}: "
                reason += f"datasets.load(path), or {found}:PATH in a command, reads such files"
                raise DatasetError(path, "file", f"{reason} ({error.reason})") from error

        return told

    return wrap


def _cut(error: DatasetError) -> bool:
    """Whether a file is JSON that breaks off or is damaged: its keys tell too little then."""
    cause = error.__cause__
    return isinstance(cause, json.JSONDecodeError) and cause.doc.lstrip()[:1] in ("{", "[")


def recognise(path: str | Path) -> str:
    """The kind of a file or folder: a key of `named.LOADERS`, or "motion" for BVH, AMC and ASF.

    It is logged too, so that one sees what a file was taken for.

    Raises:
        DatasetError: if it cannot be read, or is nothing that is known; it says what was found.
    """
    path = Path(path).expanduser()
    kind = _folder(path) if path.is_dir() else _file(path)
    log.info("%s: taken for %s", path, kind)
    return kind


def _file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise DatasetError(path, "file", f"cannot be read ({error.strerror})") from error
    head = plain(head)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise DatasetError(path, "file", "is empty")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _archive(path)
    if head.startswith(b"\x93NUMPY"):
        return "detections"
    if b"MATLAB" in head[:128] or head.startswith(b"\x89HDF") or path.suffix == ".mat":
        return _matlab(path)
    if text[:1] in (b"{", b"["):
        return _json(path)
    if text.startswith(b"HIERARCHY") or b":FULLY-SPECIFIED" in text or b":root" in text:
        return "motion"
    if b"n_points" in head[:200]:
        return "faces"
    if head.startswith(b"\x80") or re.match(rb"\(?[dlc(]p?\d*", head) and path.suffix == ".pkl":
        return "threedpw"
    first = text.split(b"\n", 1)[0]
    if len(first.split()) == WFLW:
        return "faces"
    if b"\0" not in head and is_table(first):
        return "detections"
    raise _unknown(path, f"it begins with {head[:16]!r}")


def _archive(path: Path) -> str:
    """npz, by the names of its arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
        raise DatasetError(path, "file", f"is cut off, or no npz: {str(error)[:120]}") from error
    if not any(name for name in names):
        raise DatasetError(path, "file", "holds no array")
    return next((kind for name, kind in MEMBERS.items() if name in names), "detections")


def _matlab(path: Path) -> str:
    names = list(read_mat(path, f"formats read are {KNOWN}"))
    for name, kind in VARIABLES.items():
        if name in names:
            return kind
    raise _unknown(path, f"its variables are {listed(names)}")


def _json(path: Path) -> str:
    """By the keys in it, looked for in the text: a large file is not parsed twice."""
    try:
        content = plain(path.read_bytes())
    except OSError as error:
        raise DatasetError(path, "file", f"cannot be read ({error.strerror})") from error
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"{" and re.search(rb'"annotations"\s*:', content):
        return "coco"
    marks = [f'"{key}"'.encode() in content for key in ("joints", "center", "scale")]
    if all(marks) or re.search(rb'"joints_vis"\s*:', content):
        return "mpii"
    for key, what in RAW.items():
        if f'"{key}"'.encode() in content:
            reason = f"is {what}: export it as COCO keypoints, which datasets.load reads"
            raise Project(path, "file", reason)
    keys = (*POINTS, "people", "bodies", "instances", "instance_info", "landmarks", "x")
    if any(f'"{key}"'.encode() in content for key in keys):
        return "detections"
    if re.match(rb"\s*\[[\s\[]*-?\d", content.removeprefix(b"\xef\xbb\xbf")):
        return "detections"
    found = dict.fromkeys(key.decode() for key in re.findall(rb'"(\w{1,40})"\s*:', content[:HEAD]))
    if b'"images"' in content or b'"info"' in content:
        return "coco"  # which says what it lacks
    raise _unknown(path, f"its keys are {listed(found) or 'none'}")


def _folder(path: Path) -> str:
    """By the files in it."""
    patterns = {
        "**/*.pts": "faces",
        "joints.mat": "lsp",
        "**/*.pkl": "threedpw",
        "**/annot_data.mat": "mpi_inf_3dhp",
        "**/annot.mat": "mpi_inf_3dhp",
        "*.json": "detections",
        "*.txt": "detections",
    }
    try:
        for pattern, kind in patterns.items():
            if next(path.glob(pattern), None) is not None:
                return kind
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise DatasetError(path, "folder", f"cannot be read ({error.strerror})") from error
    raise _unknown(path, f"it holds {listed(names) or 'nothing'}")


def _unknown(path: Path, found: str) -> DatasetError:
    return DatasetError(path, "file", f"is no format that is read; {found}. Read are {KNOWN}")
