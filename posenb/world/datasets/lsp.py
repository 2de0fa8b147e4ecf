"""Leeds Sports Pose and its extension (Johnson and Everingham, 2010 and 2011): `joints.mat`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posenb.world.datasets.matlab import read_mat
from posenb.world.datasets.recognise import only
from posenb.world.datasets.records import DatasetError, Person, gather, listed
from posenb.world.poses import PoseSet
from posenb.world.skeletons import LSP14, Skeleton

__all__ = ["load"]

ORIGIN = (
    "joints.mat is in lsp_dataset.zip and hr-lspet.zip (or lspet_dataset.zip) from the pages of "
    "Leeds Sports Pose (academic use)"
)


@only("lsp")
def load(
    path: str | Path,
    minimum_joints: int = 1,
    skeleton: Skeleton = LSP14,
    margin: float = 1.25,
) -> PoseSet:
    """People of Leeds Sports Pose, each in a square crop about the joints.

    The two files look alike and mean different things by their third number:

    - LSP, (3, 14, N): 1 says that the joint is hidden. All joints are labelled, hidden or not.
    - LSP extended, (14, 3, N): 1 says that the joint is labelled; others have made-up places.

    Left and right are the person's own. Pixels count from 1, as Matlab's do: half a pixel is taken
    off to be at their centres. There is no nose; `skeletons.convert` interpolates BODY17's.

    Args:
        path: `joints.mat`, or the folder that holds it.
        minimum_joints: keep people with at least so many labelled joints of `skeleton`.
        skeleton: joints to return; others than LSP14 go through `skeletons.convert`.
        margin: side of the crop in larger extents of the joints.

    Returns:
        PoseSet without 3D; subject and picture are the image's file, such as im0001.jpg.

    Raises:
        ValueError: if `minimum_joints` or `margin` is out of range.
        DatasetError: if the file is missing, damaged, of another shape, or has nobody to keep.
    """
    path = Path(path).expanduser()
    path = path / "joints.mat" if path.is_dir() else path
    content = read_mat(path, ORIGIN)
    table = content.get("joints")
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "biuf":
        found = f"found {listed(content)}" if "joints" not in content else "it is no array"
        raise DatasetError(path, "joints", f"expected numbers 'joints', {found}. {ORIGIN}")
    table = table[..., None] if table.ndim == 2 else table  # Matlab drops a last dimension of 1
    if table.shape[:2] == (3, 14):
        people, extended = table.transpose(2, 1, 0), False  # (N, 14, 3)
    elif table.shape[:2] == (14, 3):
        people, extended = table.transpose(2, 0, 1), True  # (N, 14, 3)
    else:
        reason = f"expected (3, 14, N) or (14, 3, N) numbers, found {table.shape}. {ORIGIN}"
        raise DatasetError(path, "joints", reason)
    digits = 5 if extended else 4
    labelled = people[..., 2] > 0 if extended else np.ones(people.shape[:2], dtype=bool)
    made = []
    for number, (points, marked) in enumerate(zip(people[..., :2], labelled, strict=True), 1):
        if marked.any():
            name = f"im{number:0{digits}d}.jpg"
            made.append(Person(points.tolist(), marked.tolist(), None, "unknown", name, name))
    return gather(path, made, LSP14, skeleton, minimum_joints, margin, shift=-0.5)
