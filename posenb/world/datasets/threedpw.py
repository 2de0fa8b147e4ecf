"""3D Poses in the Wild (von Marcard et al., 2018): the official sequence files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posenb.world.cameras import Camera
from posenb.world.datasets.pickles import array, items, read_pickle
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
from posenb.world.skeletons import BODY17, OPENPOSE18, SMPL24, Skeleton, convert

__all__ = ["load", "sequences"]

ORIGIN = (
    "sequenceFiles.zip is at virtualhumans.mpi-inf.mpg.de/3DPW (after agreeing to its licence: "
    "non-commercial research)"
)
FPS = 30.0
SIDES = (1080.0, 1920.0)  # pixels: a phone, upright or on its side
LONGEST_LENS = 1e5  # pixels
FARTHEST_PHONE = 1e4  # metres from the origin


def sequences(path: str | Path, detected: bool = False) -> Iterator[Sequence3D]:
    """Films of 3DPW, once for each tracked person; the camera is carried along.

    SMPL24 becomes BODY17: pelvis, legs, arms, shoulders and neck are exact (SMPL places them
    inside of the body, up to a few centimetres from markers), the spine is interpolated, and nose
    and head_top are missing (never `valid`): SMPL's head joint is the base of the skull. The world
    is the file's: metres, y up. Frames whose camera was not aligned are not `valid`.

    Args:
        path: a .pkl file, or a folder that holds such at any depth (sequenceFiles, or its test).
        detected: keypoints are the file's OpenPose detections (OPENPOSE18; pelvis, spine and
            head_top interpolated, a joint that was not found not visible) in place of the
            projections of the 3D joints.

    Raises:
        DatasetError: if a file is missing, damaged, not this format, or asks for code to be run.
    """
    path = Path(path).expanduser()
    files = sorted(path.rglob("*.pkl")) if path.is_dir() else [path]
    if not files:
        raise DatasetError(path, "folder", f"holds no .pkl file. {ORIGIN}")
    for file in files:
        yield from counted(file, _films(file, detected), ORIGIN)


@only("threedpw")
def load(
    path: str | Path,
    minimum_joints: int = 1,
    skeleton: Skeleton = BODY17,
    margin: float = 1.25,
    *,
    detected: bool = False,
    every: int = 1,
) -> PoseSet:
    """Poses of 3DPW, each in a square crop about its joints.

    Args:
        path: see `sequences`.
        minimum_joints: keep poses with at least so many visible joints of `skeleton`. Of BODY17,
            3D knows 15; all 17 are among the detections only.
        skeleton: joints to return; others than BODY17 go through `skeletons.convert`.
        margin: side of the crop in larger extents of the joints.
        detected: the poses that OpenPose found in the pictures, without 3D.
        every: take every so many-th frame.

    Returns:
        PoseSet; unless `detected`, with 3D (metres, y up) and the cameras of the crops.

    Raises:
        ValueError: if an argument is out of range.
        DatasetError: as `sequences`, or if nothing is left.
    """
    return take_poses(
        Path(path),
        sequences(path, detected),
        every=every,
        minimum_joints=minimum_joints,
        skeleton=skeleton,
        margin=margin,
        flat=detected,
    )


def _films(path: Path, detected: bool) -> Iterator[Sequence3D]:
    """The people of one file."""
    content = read_pickle(path, ORIGIN)
    name = field(path, "file", content, "sequence", str)
    for person in items(path, "file", content, "jointPositions"):
        yield _person(path, name, person, content, detected)


def _person(path: Path, name: str, person: int, content: Any, detected: bool) -> Sequence3D:
    """One person of a film; frames of a camera that is not known become NaN."""
    record = f"person {person}"
    positions = items(path, "file", content, "jointPositions")
    joints = tensor(array(path, record, positions, person, (None, 72))).unflatten(-1, (24, 3))
    count = len(joints)
    poses = tensor(array(path, record, content, "cam_poses", (count, 4, 4)))
    matrix = tensor(array(path, record, content, "cam_intrinsics", (3, 3)))
    aligned = tensor(
        array(path, record, items(path, "file", content, "campose_valid"), person, (count,))
    )
    turn, place = poses[:, :3, :3], poses[:, :3, 3]
    error = (turn @ turn.mT - torch.eye(3, dtype=torch.float64)).abs().flatten(1).amax(1)  # (F,)
    rigid = (error < 1e-2) & (place.abs() < FARTHEST_PHONE).all(1)  # NaN fails any comparison
    focal, center = matrix.diagonal()[:2], matrix[:2, 2]
    lens = ((focal > 1) & (focal < LONGEST_LENS) & (center.abs() < LONGEST_LENS)).all()
    if not (lens and rigid.any()):
        raise DatasetError(path, record, "cam_intrinsics or cam_poses are no camera's")
    joints, lost = body(path, record, joints, SMPL24)  # (F, 17, 3)
    known = (aligned != 0) & rigid  # (F,)
    joints = joints.where(known[:, None, None], torch.nan)
    turn = turn.where(known[:, None, None], torch.eye(3, dtype=torch.float64))
    camera = Camera(turn, place.where(known[:, None], 0.0), focal, center)
    width = min(SIDES, key=lambda side: abs(side - 2 * float(center[0])))
    if detected:
        found = array(path, record, items(path, "file", content, "poses2d"), person, (count, 3, 18))
        pixels, masked = _detections(tensor(found), width)
    else:
        pixels, masked = camera.project(joints), 0
    return build(
        path,
        record,
        joints,
        pixels,
        camera,
        fps=FPS,
        subject=f"{name} {record}",
        action=name,
        view="phone",
        width=width,
        masked=lost + masked,
    )


def _detections(found: Tensor, width: float) -> tuple[Tensor, int]:
    """x, y and confidence (F, 3, 18), 0 where nothing was found, as pixels of BODY17.

    And how many were masked.
    """
    pixels, masked = placed(found[:, :2].mT, width, found[:, 2])  # (F, 18, 2)
    return convert(pixels, OPENPOSE18, BODY17).keypoints, masked
