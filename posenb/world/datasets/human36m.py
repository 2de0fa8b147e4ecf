"""Human3.6M (Ionescu et al., 2014) in the npz files of VideoPose3D's preparation scripts."""

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
from posenb.world.datasets.pickles import array, items, read_npz
from posenb.world.datasets.recognise import only
from posenb.world.datasets.records import DatasetError, field
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
from posenb.world.rotations import quaternion_to_matrix
from posenb.world.skeletons import BODY17, COCO17, Skeleton, convert

__all__ = ["camera", "load", "sequences"]

ORIGIN = (
    "data_3d_h36m.npz and data_2d_h36m_*.npz are made by VideoPose3D's prepare_data_h36m.py (see "
    "DATASETS.md there) of Human3.6M, from vision.imar.ro/human3.6m (registration, academic use "
    "only)"
)
FPS = 50.0
WIDTH = 1000.0  # pixels, of all four cameras; two of them are 1000 high, two 1002
KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)  # BODY17 among the 32
Y_UP = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))  # of the file's world, whose z is up

# The calibration that comes with the data set, as published in VideoPose3D's h36m_dataset.py.
# Per view: focal length x, y; centre x, y (pixels); k1, k2, k3; p1, p2.
LENSES = """
54138969 1145.04944 1143.78113 512.541504 515.451477 -.207098917 .247775182 -.00307515031 \
-.000975698873 -.00142447161
55011271 1149.67566 1147.59167 508.848633 508.064911 -.194213629 .24040854 .00681997556 \
-.00161902665 -.00274089444
58860488 1149.14075 1148.79895 519.815857 501.402649 -.208338186 .255488008 -.00246049743 \
.00148438697 -.000759999326
60457274 1145.51135 1144.77393 514.968201 501.88202 -.198384091 .218323678 -.00894780736 \
-.000587205577 -.001813362
"""
# Per subject and view: quaternion w, x, y, z from camera to world; position in millimetres.
PLACES = """
S1 .140705645 -.150070176 -.755240798 .622328043 1841.10706 4955.28467 1563.44543
S1 .615718782 -.764836311 -.148338258 .117947407 1761.27856 -5078.00684 1606.26501
S1 .146514729 -.146478519 .76530236 -.609417558 -1846.7777 5215.04639 1491.97241
S1 .583400846 -.785316229 .145488232 -.14749594 -1794.78967 -3722.69897 1574.89270
S5 .146737725 -.162370965 -.7551893 .617893875 2097.3916 4880.94482 1605.73242
S5 .615975857 -.762679219 -.15728192 .118981503 2031.7008 -5167.93311 1612.92310
S5 .142913714 -.129078418 .767838478 -.611014307 -1620.59485 5171.65869 1496.43701
S5 .592047989 -.781421781 .127474859 -.150364175 -1637.17371 -3867.31738 1547.03320
S6 .133789778 -.156923965 -.757109046 .619887948 1935.4518 4950.24561 1618.08386
S6 .614719748 -.762881279 -.161747679 .118192449 1969.80396 -5128.73877 1632.77881
S6 .152994812 -.135291308 .764609635 -.611278117 -1769.59644 5185.36133 1476.99341
S6 .591610134 -.780477405 .128322706 -.156159386 -1721.66870 -3884.13135 1540.48792
S7 .143524185 -.163133681 -.754832864 .618882477 1974.51294 4926.3545 1597.83264
S7 .614167273 -.763826251 -.159664556 .117792994 1937.05847 -5119.79004 1631.56653
S7 .1455006 -.128748164 .76605165 -.612713933 -1741.81116 5208.24951 1464.82458
S7 .591284811 -.782176435 .124454737 -.151964873 -1734.71057 -3832.42139 1548.58301
S8 .141105875 -.155898675 -.756191730 .619644046 2150.65186 4896.16113 1611.90466
S8 .616960168 -.764766812 -.148463503 .111581579 2219.96558 -5148.45313 1613.04407
S8 .147144407 -.133771196 .767012835 -.610036969 -1571.22156 5137.01855 1498.17615
S8 .592782438 -.782587051 .121478163 -.146319956 -1476.91333 -3896.74121 1547.97217
S9 .155405879 -.155482158 -.753209531 .619959474 2044.4585 4935.11719 1481.22754
S9 .618784487 -.763473511 -.141322389 .119339682 1990.95972 -5123.81055 1568.80481
S9 .133578271 -.136710048 .768945456 -.610073864 -1670.99219 5211.98584 1528.38794
S9 .587939918 -.782340705 .142761439 -.147948697 -1696.04346 -3827.09985 1591.41272
S11 .152324721 -.154423207 -.754756331 .619107008 2098.44019 4926.55469 1500.27856
S11 .618944943 -.760091722 -.15300633 .125525832 2083.18237 -4912.17285 1561.07861
S11 .149432287 -.156502277 .76812339 -.602630436 -1609.81531 5177.33594 1537.89673
S11 .589425147 -.781887711 .139912114 -.147153616 -1590.73804 -3854.16895 1578.01758
"""

SUBJECTS = tuple(dict.fromkeys(line.split()[0] for line in PLACES.strip().split("\n")))

log = logging.getLogger(__name__)


def official(subject: Any) -> str:
    """A subject as the data set calls it, S9, where others write s9, S09, 9 or Subject 9."""
    name = str(subject)[:80].strip()
    match = re.fullmatch(r"(?:s|subj|subject|sub)?[ _-]*0*(\d{1,2})", name, re.IGNORECASE)
    return f"S{match[1]}" if match else name


def camera(subject: str) -> Camera:
    """The four calibrated cameras of a subject, in pixels, for a world with y up.

    The tangential terms are read as OpenCV's p1 and p2. Human3.6M's own projection counts part of
    them half, and VideoPose3D's also exchanges them: 0.1 and 0.3 pixels away in the mean, 0.6 and
    2 at most.

    Raises:
        ValueError: for a subject without published calibration.
    """
    subject = official(subject)
    places = [line.split() for line in PLACES.split("\n") if line.startswith(f"{subject} ")]
    if not places:
        raise ValueError(
            f"no calibration of {subject!r} is published; known are {', '.join(SUBJECTS)}"
        )
    lens = torch.tensor(
        [[float(number) for number in line.split()[1:]] for line in LENSES.strip().split("\n")],
        dtype=torch.float64,
    )  # (4, 9)
    place = torch.tensor([[float(n) for n in line[1:]] for line in places], dtype=torch.float64)
    rotation = quaternion_to_matrix(place[:, :4]).mT  # (4, 3, 3), world (z up) to camera
    translation = -(rotation @ place[:, 4:, None]).squeeze(-1) / 1000  # (4, 3)
    return Camera(
        rotation @ lens.new_tensor(Y_UP).mT,
        translation,
        lens[:, :2],
        lens[:, 2:4],
        lens[:, [4, 5, 7, 8, 6]],
    )


def sequences(
    path: str | Path, keypoints: str | Path | None = None, subjects: tuple[str, ...] = ()
) -> Iterator[Sequence3D]:
    """Films of Human3.6M: each take of each subject, once for each of the four cameras.

    The file holds 32 joints in metres, z up; the 17 that move are BODY17, all exact. The world is
    turned so that y is up.

    Args:
        path: `data_3d_h36m.npz`.
        keypoints: a `data_2d_h36m_*.npz` of the same takes: `gt`, or detections in the joints of
            Human3.6M (`cpn_ft_h36m_dbb`) or COCO (`detectron_*_coco`; pelvis, spine, neck and
            head_top are then interpolated); a third column is their score, and what has none
            above 0 was not found. None: the projections of the 3D joints.
        subjects: such as ("S9", "S11"); empty: all whose cameras are published.

    Raises:
        DatasetError: if a file is missing, damaged, or not this format, lacks a subject, or holds
            no film.
    """
    path = Path(path).expanduser()
    return counted(path, _films(path, keypoints, subjects), ORIGIN)


def _films(
    path: Path, keypoints: str | Path | None, subjects: tuple[str, ...]
) -> Iterator[Sequence3D]:
    """The films one after the other."""
    takes = read_npz(path, ORIGIN, "positions_3d")
    found = _Keypoints(Path(keypoints).expanduser()) if keypoints is not None else None
    if not isinstance(takes, dict):
        raise DatasetError(path, "positions_3d", f"expected subjects, found {type(takes).__name__}")
    unknown: list[str] = []
    takes = _official(takes)
    for subject in map(official, subjects or takes):
        try:
            cameras = camera(subject)
        except ValueError as error:
            unknown.append(str(error))
            continue
        actions = field(path, "positions_3d", takes, subject, dict)
        for take in actions:
            record = f"{subject}/{take}"
            joints = tensor(array(path, record, actions, take, (None, 32, 3)))[:, KEPT]
            joints, lost = body(path, record, joints @ joints.new_tensor(Y_UP).mT, BODY17)
            for number, line in enumerate(LENSES.strip().split("\n")):
                view = line.split()[0]
                if found is None:
                    pixels, masked = cameras[number].project(joints), 0
                else:
                    pixels, masked = found.take(subject, take, number, len(joints))
                yield build(
                    path,
                    f"{record}/{view}",
                    joints,
                    pixels,
                    cameras[number],
                    fps=FPS,
                    subject=subject,
                    action=str(take).split(" ")[0],
                    view=view,
                    width=WIDTH,
                    masked=lost + masked,
                )
    if unknown and (subjects or len(unknown) == len(takes)):
        raise DatasetError(path, "positions_3d", unknown[0])
    for reason in unknown:
        log.warning("%s: passed over a subject: %s", path, reason)


def _official(takes: dict[Any, Any]) -> dict[str, Any]:
    """What a file has of each subject; of two spellings of one the data set's own counts."""
    return {official(s): takes[s] for s in takes} | {s: takes[s] for s in takes if s in SUBJECTS}


@only("human36m")
def load(
    path: str | Path,
    minimum_joints: int = 1,
    skeleton: Skeleton = BODY17,
    margin: float = 1.25,
    *,
    keypoints: str | Path | None = None,
    subjects: tuple[str, ...] = (),
    every: int = 1,
) -> PoseSet:
    """Poses of Human3.6M, each in a square crop about its joints.

    Args:
        path: `data_3d_h36m.npz`.
        minimum_joints: keep poses with at least so many visible joints of `skeleton`.
        skeleton: joints to return; others than BODY17 go through `skeletons.convert`.
        margin: side of the crop in larger extents of the joints.
        keypoints: see `sequences`.
        subjects: see `sequences`.
        every: take every so many-th frame; all four views of all of them are 2.1 million poses.

    Returns:
        PoseSet with 3D (metres, y up) and the cameras of the crops.

    Raises:
        ValueError: if an argument is out of range.
        DatasetError: as `sequences`, or if nothing is left.
    """
    return take_poses(
        Path(path),
        sequences(path, keypoints, subjects),
        every=every,
        minimum_joints=minimum_joints,
        skeleton=skeleton,
        margin=margin,
    )


class _Keypoints:
    """The companion file: subject -> take -> four arrays (F, 17, 2 or more)."""

    LEFTS = ((BODY17, [4, 5, 6, 11, 12, 13]), (COCO17, list(range(1, 17, 2))))

    def __init__(self, path: Path) -> None:
        """Read the file and tell its joints by which of them are left."""
        self.path = path
        takes = read_npz(path, ORIGIN, "positions_2d")
        self.takes = _official(takes) if isinstance(takes, dict) else takes
        metadata = read_npz(path, ORIGIN, "metadata")
        sides = items(path, "metadata", metadata, "keypoints_symmetry")
        for skeleton, lefts in self.LEFTS:
            if np.array_equal(sides[0], lefts):
                self.skeleton = skeleton
                return
        reason = f"left are {sides[0]!r:.60}: neither Human3.6M's joints nor COCO's"
        raise DatasetError(path, "metadata", reason)

    def take(self, subject: str, take: str, number: int, count: int) -> tuple[Tensor, int]:
        """Keypoints of a film in BODY17, pixels, (count, 17, 2), and how many were masked."""
        record = f"{subject}/{take}/camera {number}"
        actions = field(self.path, "positions_2d", self.takes, subject, dict)
        views = items(self.path, subject, actions, take)
        pixels = tensor(array(self.path, record, views, number, (None, 17, None)))[:count]
        if len(pixels) < count or pixels.shape[-1] < 2:  # some films run on after the recording
            reason = f"found {tuple(pixels.shape)}, but the 3D file has {count} frames"
            raise DatasetError(self.path, record, reason)
        score = pixels[..., 2] if pixels.shape[-1] > 2 else None  # (count, 17)
        pixels, masked = placed(pixels[..., :2], WIDTH, score)
        return convert(pixels, self.skeleton, BODY17).keypoints, masked
