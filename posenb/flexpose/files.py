"""A user's own poses in, generated poses out: COCO JSON, NumPy, CSV and a contact sheet."""

from __future__ import annotations

import io
import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from posenb import assets
from posenb.world import datasets
from posenb.world.drawing import draw_skeletons
from posenb.world.poses import PoseSet, recrop
from posenb.world.skeletons import BODY17, COCO17, Skeleton, convert

PIXELS = 256  # side of the image that a written pose is said to be in
SHEET, COLUMNS, TILE, GAP = 64, 8, 128, 4  # poses of the contact sheet, and its pixels

# COCO's own list of lines between joints, which count from 1.
COCO_LINES = (
    *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9)),
    *((8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
)

LIMBS = {"shoulder", "elbow", "wrist", "hip", "knee", "ankle"}

log = logging.getLogger(__name__)


def read_shots(path: str | Path, margin: float = 1.25, skeleton: Skeleton = BODY17) -> PoseSet:
    """Poses of one's own that can guide an adaptation: people of whom most limbs are seen.

    Of shoulders, elbows, wrists, hips, knees and ankles at least 8 of 12 have to be labelled (two
    thirds of the joints of a hand or a face); who shows fewer is left out, and a warning says how
    many. Other joints may be missing, as `visible` says, for one person or for the whole file:
    pelvis, spine, neck, nose and head_top are interpolated where that can be done (see
    `skeletons.convert`). Everybody is cropped as the shipped sources were: to a square around the
    visible joints. How large somebody is in a picture is no matter of pose.

    Args:
        path: a file that `datasets.load` takes, or one of a named kind, such as `mpii:PATH`.
        margin: side of the crop in larger extents of the joints; 1.25 is that of `wild`.
        skeleton: what the source's poses are.

    Returns:
        At least 2 poses; `visible` is None if nobody lacks a joint.

    Raises:
        DatasetError: if the file cannot be used.
        ValueError: if fewer than 2 people show enough.
    """
    poses = datasets.load(path, skeleton=skeleton, margin=margin)
    if len(poses) < 2:
        raise ValueError(f"{path} holds {len(poses)} person, expected at least 2 people")
    visible = poses.visible
    if visible is None:
        return recrop(poses, margin)
    limbs = [i for i, joint in enumerate(skeleton.joints) if joint.rpartition("_")[2] in LIMBS]
    counted = visible[:, limbs] if limbs else visible  # (N, L)
    fewest = math.ceil(counted.shape[1] * 2 / 3)
    enough = counted.sum(1) >= fewest  # (N,)
    missing = (~visible).sum(0)  # (J,)
    most = [f"{skeleton.joints[i]} ({int(missing[i])})" for i in missing.argsort(descending=True)]
    told = f"missing most often: {', '.join(most[:4])}"
    kind = f"{fewest} of {counted.shape[1]} {'limb ' if limbs else ''}joints"
    if enough.sum() < 2:
        raise ValueError(
            f"{path}: {int(enough.sum())} of {len(poses)} people show at least {kind}, expected at "
            f"least 2 people; {told}. Label more joints, hidden ones too (v = 1)"
        )
    if not enough.all():
        left_out = int((~enough).sum())
        log.warning(
            "%s: %d of %d people left out, who show fewer than %s; %s",
            *(path, left_out, len(poses), kind, told),
        )
    found = recrop(poses[enough], margin)
    return replace(found, visible=None) if visible[enough].all() else found


def write_poses(poses: PoseSet, folder: str | Path) -> tuple[Path, ...]:
    """Write poses in the formats that other programs read; equal poses give equal files.

    - `poses.npz`: `keypoints` (N, J, 2) in [0, 1] of the crop, `visible` (N, J), `joints` (J,)
      and `skeleton`; no pickles inside.
    - `poses.csv`: a header, then one row a pose, two columns a joint; empty where hidden.
    - `poses.json`: COCO's keypoint format, each pose in an image of its own of 256 pixels that is
      named but not written. Joints that COCO has and the skeleton has not (eyes and ears of
      BODY17) have v = 0. A skeleton with no joint of COCO's, such as FACE68, gets no such file.
    - `poses.png`: the first 64 poses, drawn (the clean images of FlexPose, Eq. 8).

    Args:
        poses: from `flexpose.sample`, or any others.
        folder: made if it is not there; files of these names in it are replaced.

    Returns:
        The files written.
    """
    poses = poses.to("cpu")
    visible = poses.visible
    if visible is None:
        visible = torch.ones_like(poses.keypoints[..., 0], dtype=torch.bool)  # (N, J)
    files = {"poses.npz": _npz(poses, visible), "poses.csv": _csv(poses, visible)}
    content = _coco(poses, visible)
    if content is not None:
        files["poses.json"] = json.dumps(content, separators=(",", ":")).encode()
    files["poses.png"] = _sheet(poses, visible)
    return assets.write_all(folder, files)


def _npz(poses: PoseSet, visible: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        keypoints=poses.keypoints.numpy(),
        visible=visible.numpy(),
        joints=np.array(poses.skeleton.joints),
        skeleton=np.array(poses.skeleton.name),
    )
    return buffer.getvalue()


def _csv(poses: PoseSet, visible: Tensor) -> bytes:
    lines = [",".join(f"{joint}_{axis}" for joint in poses.skeleton.joints for axis in "xy")]
    for pose, seen in zip(poses.keypoints.tolist(), visible.tolist(), strict=True):
        lines.append(
            ",".join(
                f"{x:.6f},{y:.6f}" if known else ","
                for (x, y), known in zip(pose, seen, strict=True)
            )
        )
    return ("\n".join(lines) + "\n").encode()


def _coco(poses: PoseSet, visible: Tensor) -> dict[str, Any] | None:
    """Content of a COCO keypoint file, or None if the skeleton has none of COCO's joints.

    COCO's keypoints are 0-indexed pixels, half a pixel less than ours; its boxes are measured
    from the corner of the image, as ours are. A box holds all visible joints of the pose, COCO's
    or not.
    """
    pixels = PIXELS * poses.keypoints.masked_fill(~visible[..., None], torch.nan)  # (N, J, 2)
    converted = convert(pixels, poses.skeleton, COCO17)
    if set(converted.status) == {"missing"}:
        return None
    known = ~converted.keypoints.isnan().any(-1)  # (N, 17)
    places = (converted.keypoints.double() - 0.5).nan_to_num(0.0)  # (N, 17, 2)
    flags = 2 * known[..., None]  # labelled and seen, or not labelled
    flat = torch.cat([places, flags], -1).flatten(1)  # (N, 51)
    low = pixels.nan_to_num(torch.inf).amin(1).nan_to_num(posinf=0.0)  # (N, 2)
    high = pixels.nan_to_num(-torch.inf).amax(1).nan_to_num(neginf=0.0)
    boxes = torch.cat([low, (high - low).clamp(min=1.0)], -1)  # (N, 4)
    images, annotations = [], []
    for number, (joints, box) in enumerate(zip(flat.tolist(), boxes.tolist(), strict=True), 1):
        name = f"pose_{number:06d}.png"
        images.append({"id": number, "file_name": name, "width": PIXELS, "height": PIXELS})
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "num_keypoints": int(known[number - 1].sum()),
                "keypoints": [
                    int(value) if place % 3 == 2 else round(value, 3)
                    for place, value in enumerate(joints)
                ],
                "bbox": [round(value, 3) for value in box],
                "area": round(box[2] * box[3], 3),
                "segmentation": [],
            }
        )
    person = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(COCO17.joints),
        "skeleton": [list(line) for line in COCO_LINES],
    }
    description = f"poses generated by posenb; the images, of {PIXELS} pixels, are not written"
    return {
        "info": {"description": description},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [person],
    }


def _sheet(poses: PoseSet, visible: Tensor) -> bytes:
    """A PNG of the first poses in rows, on white."""
    images = draw_skeletons(poses.keypoints[:SHEET], poses.skeleton, TILE, visible=visible[:SHEET])
    rows, step = -(-len(images) // COLUMNS), TILE + GAP
    sheet = torch.full((3, rows * step + GAP, COLUMNS * step + GAP), 1.0)
    for place, image in enumerate(images):  # (3, TILE, TILE)
        top, left = GAP + place // COLUMNS * step, GAP + place % COLUMNS * step
        sheet[:, top : top + TILE, left : left + TILE] = image
    colours = (255 * sheet.clamp(0, 1)).round().byte().permute(1, 2, 0)  # (height, width, 3)
    buffer = io.BytesIO()
    Image.fromarray(colours.numpy()).save(buffer, "PNG")
    return buffer.getvalue()
