"""MPI-INF-3DHP (Mehta et al., 2017): the common npz files, and the official .mat files."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posenb.world.cameras import Camera
from posenb.world.datasets.matlab import read_mat
from posenb.world.datasets.pickles import array, read_npz
from posenb.world.datasets.recognise import only
from posenb.world.datasets.records import DatasetError, field, listed
from posenb.world.datasets.sequences import (
    Sequence3D,
    body,
    build,
    counted,
    placed,
    take_poses,
    tensor,
)
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17, DHP17, DHP28, Skeleton, convert

__all__ = ["camera", "load", "sequences"]

ORIGIN = (
    "MPI-INF-3DHP is at vcai.mpi-inf.mpg.de/3dhp-dataset (academic use only); "
    "data_train_3dhp.npz and data_test_3dhp.npz are made of it by the scripts of P-STMO or, with "
    "unscaled 3D, D3DP; S1/Seq1 to S8/Seq2 hold an annot.mat each, TS1 to TS6 of the test set an "
    "annot_data.mat"
)
FARTHEST_MISS = 10.0  # pixels between keypoints and projected joints that are still annotation
NEAREST = 0.2  # metres before the camera, of the pelvis in most frames

# The calibration that comes with the data set. Per training camera: focal length x, y; centre x, y
# (pixels); translation (millimetres); then the rotation from a world with y up, row by row.
CAMERAS = """
0 1497.693 1497.103 1024.704 1051.394 -562.8666 1398.138 3852.623 \
.9650164 .00488022 .262144 -.004488356 -.9993728 .0351275 .262151 -.03507521 -.9643893
1 1495.217 1495.52 1030.519 1052.626 -1429.856 738.1779 4897.966 \
.6050639 -.02184232 .7958773 -.22647 -.9630526 .1457429 .7632883 -.2684261 -.587655
2 1495.587 1497.828 983.8873 987.5902 57.25702 1307.287 2799.822 \
-.3608179 -.009492658 .932588 -.0585942 -.9977421 -.03282591 .9307939 -.06648842 .359447
3 1495.886 1496.033 1029.06 1041.409 -284.8168 807.9184 3177.16 \
-.0721105 -.04817664 .9962325 -.4393254 -.8951841 -.07508985 .895429 -.443085 .04338695
4 1490.952 1491.108 987.6075 1019.069 -1563.911 801.9608 3517.316 \
.3737275 .09688602 .9224646 -.009716132 -.9940662 .1083427 .9274878 -.04945343 -.3705685
5 1500.414 1499.971 1012.331 998.5009 358.4134 994.5658 3439.832 \
-.3521056 .01328985 -.9358659 -.04961938 -.9987582 .004485628 -.9346441 .0480165 .3523278
6 1498.471 1498.8 999.7319 1010.251 569.4388 528.871 3687.369 \
-.9150326 -.04843184 .4004618 -.1804886 -.8386868 -.5138369 .3607481 -.5424563 .7586845
7 1498.831 1499.674 987.2716 976.8773 1378.866 1270.781 2631.567 \
-.9995936 .02847456 .001368653 -.02843213 -.9992908 .0246889 .002070688 .02463995 .9996943
8 1500.172 1500.837 1017.387 1043.032 221.3543 659.87 3644.688 \
.000575281 .06160985 -.9981001 .2082146 -.9762325 -.06013997 -.978083 -.2077844 -.01338968
"""
FILM = re.compile(r"(?<![a-z0-9])TS[ _-]?0*([1-6])(?![0-9])", re.IGNORECASE)
TAKE = re.compile(r"(?<![a-z0-9])S0*([1-8])[^a-z0-9]*Seq[ _-]?0*([0-9]+)", re.IGNORECASE)
STUDIO = "8"  # films TS1 to TS4
OUTDOOR = ("TS5", "TS6")
WIDTH, OUTDOOR_WIDTH = 2048.0, 1920.0  # pixels
# The camera of TS5 and TS6, in metres: as above, and OpenCV's k1, k2, p1, p2, k3.
OUTDOOR_LENS = (1683.98346, 1672.59371, 939.857540, 560.140743)
OUTDOOR_DISTORTION = (-0.276859611, 0.131125256, -0.000360494, -0.001149441, -0.049318332)
OUTDOOR_POSITION = (-2.1043074, 1.0386707, -4.5966367)
OUTDOOR_RIGHT = (-0.939647257, -0.009210289, 0.342020929)
OUTDOOR_UP = (0.025272345, 0.995038509, 0.096227370)

log = logging.getLogger(__name__)


def camera(view: str) -> Camera:
    """A calibrated camera in pixels, for a world with y up.

    Args:
        view: a training camera, 0 to 8 (the common files have none above), or a film of the test
            set, TS1 to TS6. The published calibration of one subject serves for all: the test
            set's studio camera is number 8 of the same rig.

    Raises:
        ValueError: for another camera.
    """
    lines = dict(line.split(" ", 1) for line in CAMERAS.strip().split("\n"))
    if view in OUTDOOR:
        right, up = (torch.tensor(v, dtype=torch.float64) for v in (OUTDOOR_RIGHT, OUTDOOR_UP))
        rotation = torch.stack([right, -up, torch.linalg.cross(up, right)])  # (3, 3)
        lens = rotation.new_tensor(OUTDOOR_LENS)
        translation = -(rotation @ rotation.new_tensor(OUTDOOR_POSITION))
        distortion = rotation.new_tensor(OUTDOOR_DISTORTION)
        return Camera(rotation, translation, lens[:2], lens[2:], distortion)
    name = STUDIO if view in ("TS1", "TS2", "TS3", "TS4") else view
    if name not in lines:
        raise ValueError(f"no calibration of camera {view!r}; known are 0 to 8 and TS1 to TS6")
    values = torch.tensor([float(number) for number in lines[name].split()], dtype=torch.float64)
    rotation, _, after = torch.linalg.svd(values[7:].reshape(3, 3))  # rounded where it came from
    return Camera(rotation @ after, values[4:7] / 1000, values[:2], values[2:4])


def sequences(path: str | Path, universal: bool = False) -> Iterator[Sequence3D]:
    """Films of MPI-INF-3DHP.

    Joints are millimetres in the camera's frame; the calibration, which is not in these files,
    puts them into a world with y up. DHP17 or DHP28 become BODY17: all exact but the nose, which
    is interpolated between neck and head_top, where Human3.6M's lies. The pelvis (the root) is
    joint 14 of 17, 4 of 28.

    Args:
        path: `data_train_3dhp.npz` (sequence -> camera -> data_2d, data_3d) or
            `data_test_3dhp.npz` (TS1 to TS6 -> data_2d, data_3d, valid); or a film's
            `annot_data.mat` (test set) or `annot.mat` (training set, 14 cameras, of which 0 to 8
            are calibrated here), in a folder that says which film it is (TS1, or S1/Seq1); or a
            folder of such folders. Keys of an npz may be whole paths. The official test files are
            HDF5, for which h5py has to be installed.
        universal: of a .mat, the 3D that is scaled to one body height (`univ_annot3`, on which the
            official scores are counted) in place of `annot3`. An npz holds one of the two. The
            camera does not map scaled joints to the keypoints exactly: a warning says by how much.

    Raises:
        DatasetError: if the file is missing, damaged, or not this format.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        films = _common(path) if path.suffix == ".npz" else _official(path, universal)
        return counted(path, films, ORIGIN)
    names = ("annot_data.mat", "annot.mat")
    files = sorted(
        file for deep in ("", "*/", "*/*/") for name in names for file in path.glob(deep + name)
    )
    if not files:
        raise DatasetError(
            path, "folder", f"holds no TS1/annot_data.mat, S1/Seq1/annot.mat. {ORIGIN}"
        )
    return (film for file in files for film in counted(file, _official(file, universal), ORIGIN))


@only("mpi_inf_3dhp")
def load(
    path: str | Path,
    minimum_joints: int = 1,
    skeleton: Skeleton = BODY17,
    margin: float = 1.25,
    *,
    universal: bool = False,
    every: int = 1,
) -> PoseSet:
    """Poses of MPI-INF-3DHP, each in a square crop about its joints; invalid frames are left out.

    Args:
        path: see `sequences`.
        minimum_joints: keep poses with at least so many visible joints of `skeleton`.
        skeleton: joints to return; others than BODY17 go through `skeletons.convert`.
        margin: side of the crop in larger extents of the joints.
        universal: see `sequences`.
        every: take every so many-th frame.

    Returns:
        PoseSet with 3D (metres, y up) and the cameras of the crops.

    Raises:
        ValueError: if an argument is out of range.
        DatasetError: as `sequences`, or if nothing is left.
    """
    return take_poses(
        Path(path),
        sequences(path, universal),
        every=every,
        minimum_joints=minimum_joints,
        skeleton=skeleton,
        margin=margin,
    )


def _common(path: Path) -> Iterator[Sequence3D]:
    """Films of an npz file, of either split."""
    films = read_npz(path, ORIGIN, "data")
    if not isinstance(films, dict):
        raise DatasetError(path, "data", f"expected films, found {type(films).__name__}")
    for name, film in films.items():
        if isinstance(film, dict):
            view = _film_name(str(name)) or str(name)
            yield _film(path, str(name), view, film, None, view, view)
            continue
        subject, _, action = (_take_name(str(name)) or str(name)).partition(" ")
        if not (isinstance(film, list) and len(film) == 2 and isinstance(film[0], dict) and action):
            reason = "expected a film TS1 to TS6, or 'S1 Seq1' with [cameras, frames a second]"
            raise DatasetError(path, f"{name}", reason)
        views, fps = film
        if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < 1000:
            raise DatasetError(path, name, f"frames a second must be a number, found {fps!r:.40}")
        known = {view: films for view, films in views.items() if _calibrated(str(view))}
        if known and len(known) < len(views):
            _pass_over(path, str(name), [str(view) for view in views if view not in known])
        for view, content in (known or views).items():
            yield _film(path, f"{name}/{view}", str(view), content, fps, subject, action)


def _film_name(text: str) -> str | None:
    """TS1 to TS6, from a name or a path of any system that says so."""
    found = FILM.findall(text)
    return f"TS{found[-1]}" if found else None


def _take_name(text: str) -> str | None:
    """Such as "S1 Seq1", from a name or a path of any system that says so."""
    found = TAKE.findall(text)
    return "S{} Seq{}".format(*found[-1]) if found else None


def _calibrated(view: str) -> bool:
    try:
        camera(view)
    except ValueError:
        return False
    return True


def _pass_over(path: Path, record: str, views: list[str]) -> None:
    log.warning("%s: %s: passed over cameras without calibration: %s", path, record, listed(views))


def _official(path: Path, universal: bool) -> Iterator[Sequence3D]:
    """The films of a .mat: one of the test set, or the cameras of a take of the training set."""
    arrays = read_mat(path, ORIGIN)
    place = str(path.absolute())
    three = "univ_annot3" if universal else "annot3"
    views = field(path, "file", arrays, "annot2", object)
    if isinstance(views, list):
        yield from _take(path, _take_name(place), views, field(path, "file", arrays, three, list))
        return
    film = {}
    for name, source, size in (("data_2d", "annot2", 2), ("data_3d", three, 3)):
        values = field(path, "file", arrays, source, np.ndarray)
        if values.shape[:2] != (size, 17) or values.shape[2:3] not in ((), (1,)):
            reason = f"{source!r} has shape {values.shape}, expected ({size}, 17, 1, frames)"
            raise DatasetError(path, "file", reason)
        film[name] = values.reshape(size, 17, -1).transpose(2, 1, 0)  # (F, 17, size)
    film["valid"] = np.reshape(field(path, "file", arrays, "valid_frame", object), -1)
    # the file may be called after its film, too
    name = _film_name(place) or path.absolute().parent.name
    yield _film(path, name, name, film, None, name, name)


def _take(path: Path, name: str | None, flat: list[Any], deep: list[Any]) -> Iterator[Sequence3D]:
    """The calibrated cameras of a take: of each, frames x (28 joints x 2 or 3)."""
    if name is None:
        reason = "an annot.mat must be in folders that name its take, such as S1/Seq1"
        raise DatasetError(path, "file", reason)
    subject, _, action = name.partition(" ")
    views = [number for number in range(len(flat)) if _calibrated(str(number))]
    if len(views) < len(flat):
        _pass_over(path, name, [str(number) for number in range(len(flat)) if number not in views])
    for number in views:
        record = f"{name}/{number}"
        film = {}
        for key, source, cells, size in (
            ("data_2d", "annot2", flat, 2),
            ("data_3d", "annot3", deep, 3),
        ):
            values = np.asarray(cells[number] if number < len(cells) else None)
            if values.ndim != 2 or values.shape[1] != 28 * size:
                reason = f"{source!r} has shape {values.shape}, expected (frames, {28 * size})"
                raise DatasetError(path, record, reason)
            film[key] = values.reshape(-1, 28, size)  # (F, 28, size)
        yield _film(path, record, str(number), film, None, subject, action)


def _film(
    path: Path, record: str, view: str, film: Any, fps: float | None, subject: str, action: str
) -> Sequence3D:
    """One camera's film of data_2d, data_3d and, of the test set, valid."""
    try:
        lens = camera(view)
    except ValueError as error:
        reason = f"{error}; a .mat must be in a folder named after its film"
        raise DatasetError(path, record, reason) from error
    width = OUTDOOR_WIDTH if view in OUTDOOR else WIDTH
    inside = tensor(array(path, record, film, "data_3d", (None, None, 3))) / 1000  # (F, J, 3)
    count, joints = inside.shape[:2]
    pixels = tensor(array(path, record, film, "data_2d", (count, joints, 2)))
    source = {17: DHP17, 28: DHP28}.get(joints)
    if source is None:
        raise DatasetError(path, record, f"expected 17 or 28 joints, found {joints}")
    if "valid" in film:
        bad = tensor(array(path, record, film, "valid", (count,))) == 0  # (F,)
        inside = inside.masked_fill(bad[:, None, None], torch.nan)
    depth = inside[:, source.index("pelvis"), 2]
    if not float(depth.nanmedian()) > NEAREST and not depth.isnan().all():
        reason = (
            "the pelvis is at the camera: these joints are relative to the root, and the camera's "
            "distance is lost. Use a file with absolute joints"
        )
        raise DatasetError(path, record, reason)
    inside, lost = body(path, record, inside, source)  # (F, 17, 3)
    pixels, masked = placed(pixels, width)
    pixels = convert(pixels, source, BODY17).keypoints  # (F, 17, 2)
    world = (inside - lens.translation) @ lens.rotation  # (F, 17, 3)
    if lens.distortion is not None:  # TS5 and TS6: some files hold undistorted keypoints
        ideal = Camera(lens.rotation, lens.translation, lens.focal, lens.center)
        lens = min(lens, ideal, key=lambda option: _miss(option, world, pixels))
    if (miss := _miss(lens, world, pixels)) > FARTHEST_MISS:
        log.warning(
            "%s: %s: keypoints are %.0f pixels from the projected joints: are these scaled to one "
            "height (univ_annot3)?", path, record, miss,
        )  # fmt: skip
    return build(
        path,
        record,
        world,
        pixels,
        lens,
        fps=fps,
        subject=subject,
        action=action,
        view=view,
        width=width,
        masked=lost + masked,
    )


def _miss(lens: Camera, world: Tensor, pixels: Tensor) -> float:
    """Median distance of keypoints and projected joints, pixels."""
    return float((lens.project(world) - pixels).norm(dim=-1).nanmedian())
