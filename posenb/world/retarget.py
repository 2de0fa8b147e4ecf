"""Poses of the recordings on the body: whole clips, or any batch of poses.

A pose of `world.motion` is a rotation for each joint of BODY17; a pose of `world.body` is one for
each of its bones. Limbs of the body point where those of the recordings point; everybody has their
own proportions and stands on the floor y = 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from posenb.world.body import SIDES, Body, check
from posenb.world.motion import (
    KINEMATIC_PARENTS,
    REST_OFFSETS,
    Clip,
    forward_kinematics,
)
from posenb.world.rotations import quaternion_to_matrix, vector_to_matrix
from posenb.world.skeletons import BODY17

__all__ = ["on_floor", "retarget", "retarget_clip", "retarget_motion"]

# Limbs hang straight down in the recordings and do not in the body at rest: bone, the bone at its
# other end, and the joint of BODY17 that turns it.
_LIMBS = (
    ("upper_arm", "forearm", "shoulder"),
    ("forearm", "hand", "elbow"),
    ("thigh", "shank", "hip"),
    ("shank", "foot", "knee"),
)
# The recordings bend the trunk in one joint and the neck in another: which share of that turn each
# of the body's joints has reached.
_SPINE = {"spine1": 0.1, "spine2": 0.25, "spine3": 0.5, "spine4": 0.75, "spine5": 1.0}
_NECK = {"neck": 0.7, "head": 1.0}
_CURL = 0.18  # of the fingers, of which the recordings know nothing: relaxed
_STANDING = 0.18  # metres; a recording whose lowest joint is higher (ankles on tiptoe) is a jump


def retarget(body: Body, rotations: Tensor, shape: Tensor | None = None) -> Tensor:
    """Rotations of the body's bones in a pose of the recordings.

    The turn of the chest is shared out over the spine, that of the head over neck and head.
    Fingers are a little bent.

    Args:
        body: from `load_body`.
        rotations: of each joint of BODY17 in its parent's frame, (..., 17, 3, 3), as
            `motion.forward_kinematics` takes them.
        shape: the person's, (..., K), whose limbs at rest have their own directions; None: the
            mean person's.

    Returns:
        Rotations (..., B, 3, 3) for a call of the body.

    Raises:
        ValueError: if a shape does not end as stated.
    """
    check("rotations", rotations, len(BODY17), 3, 3)
    shape = torch.zeros_like(body.people_mean[0]) if shape is None else shape
    rest = body.heads.rest(shape)  # (..., B, 3)
    turns = _turns(body, rotations, rest)
    pose: list[Tensor] = []
    for bone, parent in zip(body.bones, body.parents, strict=True):
        if bone not in turns:  # a finger
            pose.append(torch.eye(3).to(rotations))
        elif parent < 0:
            pose.append(turns[bone])
        else:
            pose.append(turns[body.bones[parent]].transpose(-1, -2) @ turns[bone])
    local = torch.stack(torch.broadcast_tensors(*pose), -3)  # (..., B, 3, 3)
    for side in SIDES:
        local = body.with_fingers(local, side, torch.full((5,), _CURL).to(local))
    return local


def retarget_clip(body: Body, clip: Clip, shape: Tensor) -> tuple[Tensor, Tensor]:
    """A whole recording, moved by one person on the floor y = 0: see `retarget_motion`.

    Args:
        body: from `load_body`.
        clip: a recording of `world.motion`.
        shape: of the person, (K,).

    Returns:
        Rotations (F, B, 3, 3) and places of the pelvis (F, 3) for a call of the body.

    Raises:
        ValueError: if `shape` is not that of one person.
    """
    if shape.ndim != 1:
        raise ValueError(
            f"shape: found {tuple(shape.shape)}, expected one person's {len(body.skin.shape)} "
            "numbers; call once a person"
        )
    return retarget_motion(body, clip.rotations.to(shape), clip.root.to(shape), shape)


def retarget_motion(
    body: Body, rotations: Tensor, root: Tensor, shape: Tensor
) -> tuple[Tensor, Tensor]:
    """Frames of recordings, moved by people on the floor y = 0.

    Steps are as long as the person's legs. In every frame the lowest place touches the floor,
    unless the lowest joint of the recording is higher than ankles on tiptoe: that is a jump. (The
    recordings' own floor does not serve: it is for feet and bellies of another size.)

    Args:
        body: from `load_body`.
        rotations: unit quaternions of each joint of BODY17, (..., F, 17, 4), as in `motion.Clip`.
        root: places of the pelvis, (..., F, 3), metres.
        shape: of the people, (..., K).

    Returns:
        Rotations (..., F, B, 3, 3) and places of the pelvis (..., F, 3) for a call of the body.
    """
    rest = body.heads.rest(shape)  # (..., B, 3)
    hip, knee, ankle = (
        rest[..., body.bones.index(f"left_{n}"), :] for n in ("thigh", "shank", "foot")
    )
    recorded = REST_OFFSETS[[BODY17.index("left_knee"), BODY17.index("left_ankle")]].norm(dim=-1)
    legs = (hip - knee).norm(dim=-1) + (knee - ankle).norm(dim=-1)
    scale = (legs / recorded.sum())[..., None]  # (..., 1)
    local = quaternion_to_matrix(rotations)
    lowest = forward_kinematics(local, REST_OFFSETS, KINEMATIC_PARENTS)[..., 1].amin(-1)
    air = (lowest + root[..., 1] - _STANDING).clamp_min(0)  # (..., F)
    shape = shape[..., None, :]
    pose = retarget(body, local, shape)
    place = on_floor(body, shape, pose, root * scale[..., None])
    return pose, place + _upwards(air * scale)


def on_floor(body: Body, shape: Tensor, rotations: Tensor, root: Tensor) -> Tensor:
    """Places of the pelvis, (..., 3), that put the lowest place of each person at y = 0.

    Args:
        body: from `load_body`.
        shape: (..., K), and the others as in a call of the body.
        rotations: (..., B, 3, 3).
        root: (..., 3), of which x and z stay.
    """
    transforms, _ = body.transforms(shape, rotations, root)
    lowest = body.skin[body.contact].move(transforms, shape)[..., 1].amin(-1)
    return root - _upwards(lowest)


def _turns(body: Body, rotations: Tensor, rest: Tensor) -> dict[str, Tensor]:
    """Turn of each bone but the fingers' from rest, (..., 3, 3) each, in the world."""
    frames: dict[str, Tensor] = {}  # of the joints
    for joint, parent in enumerate(KINEMATIC_PARENTS):
        local = rotations[..., joint, :, :]
        name = BODY17.joints[joint]
        frames[name] = local if parent < 0 else frames[BODY17.joints[parent]] @ local
    chest = rotations[..., BODY17.index("spine"), :, :]
    neck = rotations[..., BODY17.index("neck"), :, :]
    turns = {"pelvis": frames["pelvis"]}
    for base, turn, shares in ((frames["pelvis"], chest, _SPINE), (frames["spine"], neck, _NECK)):
        parts = base[..., None, :, :] @ _parts(turn, list(shares.values()))
        turns |= zip(shares, parts.unbind(-3), strict=True)
    for side in SIDES:
        turns[f"{side}_collar"] = frames["spine"]
        for bone, end, joint_name in _LIMBS:
            start, stop = (body.bones.index(f"{side}_{name}") for name in (bone, end))
            straight = _hanging(rest[..., stop, :] - rest[..., start, :])  # (..., 3, 3)
            turns[f"{side}_{bone}"] = frames[f"{side}_{joint_name}"] @ straight
            if bone == "forearm":
                turns[f"{side}_hand"] = frames[f"{side}_wrist"] @ straight
        turns[f"{side}_foot"] = frames[f"{side}_ankle"]
    return turns


def _parts(rotation: Tensor, shares: list[float]) -> Tensor:
    """Shares, (..., S, 3, 3), of rotations (..., 3, 3) of less than half a turn each."""
    odd = rotation - rotation.transpose(-1, -2)
    vector = torch.stack([odd[..., 2, 1], odd[..., 0, 2], odd[..., 1, 0]], -1) / 2  # (..., 3)
    sine = vector.square().sum(-1, keepdim=True).clamp_min(1e-12).sqrt()  # (..., 1)
    cosine = (rotation.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) - 1) / 2
    angles = torch.atan2(sine, cosine) * torch.tensor(shares).to(sine)  # (..., S)
    vectors = (vector / sine)[..., None, :] * angles[..., None]  # (..., S, 3)
    return vector_to_matrix(vectors)


def _hanging(bone: Tensor) -> Tensor:
    """The shortest turns, (..., 3, 3), that make bones (..., 3) hang straight down."""
    bone = torch.nn.functional.normalize(bone, dim=-1)
    down = bone.new_tensor([0.0, -1.0, 0.0])
    axis = torch.linalg.cross(bone, down.expand_as(bone))  # (..., 3)
    return quaternion_to_matrix(torch.cat([1 + (bone * down).sum(-1, keepdim=True), axis], -1))


def _upwards(height: Tensor) -> Tensor:
    """Vectors (..., 3) of that height (...)."""
    zero = torch.zeros_like(height)
    return torch.stack([zero, height, zero], -1)
