"""People: skin and clothes that bones move, in any shape, any pose and with any expression.

The body stems from MakeHuman (CC0, see NOTICE; `build.body` makes the asset). Points follow
the bones by linear blend skinning, p' = sum_b w_b (R_b (p - j_b) + j'_b), with the place p at rest,
the weights w, and of each bone b its rotation R, its joint j at rest and j' in the pose.

Frame: right-handed, metres, y up. At rest the person looks along +x and the right side is at +z, as
in `world.motion`, but with the arms held half out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from posenb import assets
from posenb.world.rotations import vector_to_matrix

ASSET = "body/people.npz"
LANDMARKS = ("BODY17", "COCO17", "FACE68", "right_hand", "left_hand")
FINGERS = ("thumb", "index", "middle", "ring", "little")
SIDES = ("left", "right")

# Radians by which the three joints of a finger turn in a fist, and the first of them when spread
# (positive is towards the thumb).
_FIST = {"thumb": (0.35, 0.6, 0.9)} | dict.fromkeys(FINGERS[1:], (1.35, 1.65, 1.0))
_SPREAD = {"thumb": 0.35, "index": 0.2, "middle": 0.0, "ring": -0.2, "little": -0.45}

_OPPOSITE = {  # a move of the face below 0 is another move
    "smile_right": "frown_right",
    "smile_left": "frown_left",
    "pucker": "stretch",
    "close_right": "widen_right",
    "close_left": "widen_left",
}


@dataclass(frozen=True)
class Points:
    """Places on or in the body that the bones move.

    Attributes:
        mean: on the average person, (P, 3), metres; the middle of the hips is the origin.
        shape: displacement by one standard deviation of each shape direction, (K, P, 3).
        expression: displacement by each move of the face at full strength, (E, P, 3).
        weights: share of each bone in the motion, (P, B); rows sum to 1.
    """

    mean: Tensor
    shape: Tensor
    expression: Tensor
    weights: Tensor

    def __len__(self) -> int:
        """Number of points."""
        return len(self.mean)

    def __getitem__(self, index: Tensor) -> Points:
        """Some of the points, by indices or a mask."""
        return Points(
            self.mean[index], self.shape[:, index], self.expression[:, index], self.weights[index]
        )

    def between(self, corners: Tensor, shares: Tensor) -> Points:
        """Points between these ones, for example spread over triangles.

        Args:
            corners: indices of points, (Q, C).
            shares: share of each corner, (Q, C); rows sum to 1.

        Returns:
            Q points, whose places at rest and weights are the shared ones.
        """
        share = shares[..., None]
        return Points(
            (self.mean[corners] * share).sum(-2),  # (Q, 3)
            (self.shape[:, corners] * share).sum(-2),  # (K, Q, 3)
            (self.expression[:, corners] * share).sum(-2),  # (E, Q, 3)
            (self.weights[corners] * share).sum(-2),  # (Q, B)
        )

    def rest(self, shape: Tensor, expression: Tensor | None = None) -> Tensor:
        """Places at rest, (..., P, 3), of people of a shape (..., K) and an expression (..., E).

        Raises:
            ValueError: if a shape does not end as stated.
        """
        check("shape", shape, len(self.shape))
        places = self.mean + torch.tensordot(shape, self.shape, 1)
        if expression is not None:
            check("expression", expression, len(self.expression))
            places = places + torch.tensordot(expression, self.expression, 1)
        return places

    def move(self, transforms: Tensor, shape: Tensor, expression: Tensor | None = None) -> Tensor:
        """Places in a pose, (..., P, 3): linear blend skinning.

        Args:
            transforms: what each bone does to the places at rest, (..., B, 3, 4), from
                `Body.transforms`. A camera's rotation and translation may be multiplied in.
            shape: (..., K).
            expression: (..., E) or None.
        """
        flat = transforms.flatten(-2).transpose(-1, -2)  # (..., 12, B)
        blended = (flat @ self.weights.T).unflatten(-2, (3, 4))  # (..., 3, 4, P)
        rest = self.rest(shape, expression).transpose(-1, -2)  # (..., 3, P)
        turned = (blended[..., :3, :] * rest[..., None, :, :]).sum(-2)  # (..., 3, P)
        return (turned + blended[..., 3, :]).transpose(-1, -2)  # (..., P, 3)


class Posed(NamedTuple):
    """Vertices (..., V, 3) and joints (the bones' own, (..., B, 3)) in the world, metres."""

    vertices: Tensor
    joints: Tensor


@dataclass(frozen=True)
class Body:
    """The body, its bones, and what is what on it. Call it to pose it.

    Attributes:
        bones: names of the B bones; the first is the pelvis.
        parents: the bone that each one hangs on, -1 for the pelvis.
        heads: the joint that each bone turns about (its own weight is 1).
        skin: the V vertices.
        landmarks: by the names in LANDMARKS; the hands are HAND21. Joints of BODY17 and of the
            hands are centres of rotation, those of COCO17 the middle of the skin that bends there.
        triangles: corners, (T, 3), counter-clockwise seen from outside.
        layers: what vertices are made of: skin, eyes, mouth (its cavity and the eye sockets),
            teeth, tongue, clothes (tights from the neck and wrists to the feet), skirt, and hair
            (long, at the back; none of it covers the face).
        layer: number in `layers` of each vertex, (V,).
        regions: where vertices are: face, scalp, ears, lips, neck, torso, hips, left_upper_arm...
        region: number in `regions` of each vertex, (V,); clothes have regions too.
        expressions: names of the E moves of the face.
        contact: vertices that can touch a floor, (C,).
        people_mean: mean shape of men and of women, (2, K).
        people_factor: factors L of the covariances L L^T of their shapes, (2, K, K).
    """

    bones: tuple[str, ...]
    parents: tuple[int, ...]
    heads: Points
    skin: Points
    landmarks: Mapping[str, Points]
    triangles: Tensor
    layers: tuple[str, ...]
    layer: Tensor
    regions: tuple[str, ...]
    region: Tensor
    expressions: tuple[str, ...]
    contact: Tensor
    people_mean: Tensor
    people_factor: Tensor

    def __call__(
        self, shape: Tensor, rotations: Tensor, root: Tensor, expression: Tensor | None = None
    ) -> Posed:
        """Pose people.

        Args:
            shape: coefficients of the shape directions, (..., K), in standard deviations of the
                adults (half of them women) that the asset was made from; 0 is their mean.
            rotations: rotation of each bone in its parent's frame, (..., B, 3, 3). At rest all
                frames are the world's, so identities are the rest pose.
            root: place of the pelvis (the middle of the hips) in the world, (..., 3), metres.
            expression: strength of each move of the face, (..., E), in [0, 1], from
                `expression`; None is neutral.

        Returns:
            Vertices and joints. Leading shapes (...) are broadcast.

        Raises:
            ValueError: if a shape does not end as stated.
        """
        transforms, joints = self.transforms(shape, rotations, root)
        return Posed(self.skin.move(transforms, shape, expression), joints)

    def keypoints(
        self,
        name: str,
        shape: Tensor,
        rotations: Tensor,
        root: Tensor,
        expression: Tensor | None = None,
    ) -> Tensor:
        """Landmarks of posed people, (..., J, 3), metres in the world.

        Args:
            name: one of LANDMARKS.
            shape: as in a call, and so are the others.
            rotations: (..., B, 3, 3).
            root: (..., 3).
            expression: (..., E) or None.

        Raises:
            ValueError: for an unknown name, or if a shape does not end as stated.
        """
        if name not in self.landmarks:
            raise ValueError(f"no landmarks {name!r}; there are: {', '.join(self.landmarks)}")
        transforms, _ = self.transforms(shape, rotations, root)
        return self.landmarks[name].move(transforms, shape, expression)

    def transforms(self, shape: Tensor, rotations: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
        """What each bone does to places at rest, (..., B, 3, 4), and the joints, (..., B, 3)."""
        check("rotations", rotations, len(self.bones), 3, 3)
        check("root", root, 3)
        rest = self.heads.rest(shape)  # (..., B, 3)
        turns: list[Tensor] = []
        joints: list[Tensor] = []
        for bone, parent in enumerate(self.parents):
            local = rotations[..., bone, :, :]
            if parent < 0:
                turns.append(local)
                joints.append(root)
            else:
                offset = rest[..., bone, :] - rest[..., parent, :]
                turns.append(turns[parent] @ local)
                joints.append(joints[parent] + (turns[parent] @ offset[..., None])[..., 0])
        posed = torch.stack(torch.broadcast_tensors(*joints), -2)  # (..., B, 3)
        turn = torch.stack(turns, -3)  # (..., B, 3, 3)
        shift = posed - (turn @ rest[..., None])[..., 0]
        matrices = torch.cat([turn.expand(*shift.shape, 3), shift[..., None]], -1)
        return matrices, posed  # (..., B, 3, 4), (..., B, 3)

    def to(self, target: torch.device | str | torch.dtype) -> Body:
        """The body on another device, or its numbers in another precision."""
        moved = {field.name: _to(getattr(self, field.name), target) for field in fields(self)}
        return replace(self, **moved)

    def identity(self, *batch: int) -> Tensor:
        """Rotations of the rest pose, (*batch, B, 3, 3)."""
        return torch.eye(3).to(self.skin.mean).repeat(*batch, len(self.bones), 1, 1)

    # --- Who, with which face and which hands ---------------------------------------------------

    def people(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw adults of 25 to 70 years.

        Args:
            count: number of people N.
            generator: on the CPU.

        Returns:
            Shapes (N, K), normal within each sex but never farther than 2.5 standard deviations,
            and who is a woman, (N,), one in two.
        """
        woman = torch.rand(count, generator=generator) < 0.5
        normal = torch.randn(count, self.people_mean.shape[-1], 1, generator=generator)
        sex = woman.long().to(self.people_mean.device)
        spread = self.people_factor[sex] @ normal.clamp(-2.5, 2.5).to(self.people_factor)
        return self.people_mean[sex] + spread[..., 0], woman.to(self.people_mean.device)

    def expression(self, moves: Mapping[str, float | Tensor]) -> Tensor:
        """Strengths (..., E) of named moves of the face; what is not named stays at rest.

        Args:
            moves: name and strength, a number or a tensor (...). Below 0, a smile is a frown, a
                pucker a stretched mouth, and a closed eye is opened wide.

        Raises:
            ValueError: for an unknown move.
        """
        strength = dict.fromkeys(self.expressions, torch.zeros(()).to(self.skin.mean))
        for name, value in moves.items():
            if name not in strength:
                known = ", ".join(self.expressions)
                raise ValueError(f"the face has no move {name!r}; it has: {known}")
            value = torch.as_tensor(value).to(self.skin.mean)
            if name in _OPPOSITE:
                other = _OPPOSITE[name]
                strength[other] = strength[other] + (-value).clamp_min(0)
                value = value.clamp_min(0)
            strength[name] = strength[name] + value
        return torch.stack(torch.broadcast_tensors(*strength.values()), -1)  # (..., E)

    def with_fingers(
        self, rotations: Tensor, side: str, curl: Tensor, spread: Tensor | None = None
    ) -> Tensor:
        """The same pose with other fingers.

        Args:
            rotations: (..., B, 3, 3).
            side: `left` or `right`.
            curl: of thumb, index, middle, ring and little finger, (..., 5): 0 stretched, 1 a fist.
            spread: of the same, (..., 5): 0 side by side as at rest, 1 wide apart.

        Returns:
            Rotations (..., B, 3, 3), of which only those of the 15 bones of the fingers are new.

        Raises:
            ValueError: for another side, or if a shape does not end as stated.
        """
        if side not in SIDES:
            raise ValueError(f"side must be left or right, found {side!r}")
        check("curl", curl, 5)
        spread = torch.zeros_like(curl) if spread is None else spread
        check("spread", spread, 5)
        fingers = _fingers(self, side, curl.to(rotations), spread.to(rotations))
        start = self.bones.index(f"{side}_thumb1")  # the 15 bones follow each other
        batch = torch.broadcast_shapes(rotations.shape[:-3], fingers.shape[:-3])
        rotations = rotations.expand(*batch, -1, 3, 3)
        fingers = fingers.expand(*batch, -1, 3, 3)
        parts = [rotations[..., :start, :, :], fingers, rotations[..., start + 15 :, :, :]]
        return torch.cat(parts, -3)


def _fingers(body: Body, side: str, curl: Tensor, spread: Tensor) -> Tensor:
    """Turns of the 15 bones of a hand's fingers, (..., 15, 3, 3); see `Body.with_fingers`."""
    flex, apart = _finger_axes(body, side)
    angle = torch.tensor([_FIST[finger] for finger in FINGERS]).to(curl) * curl[..., None]
    bent = vector_to_matrix(flex[:, None] * angle[..., None])  # (..., 5, 3, 3, 3)
    away = torch.tensor([_SPREAD[finger] for finger in FINGERS]).to(spread) * spread
    first = vector_to_matrix(apart * away[..., None]) @ bent[..., 0, :, :]  # (..., 5, 3, 3)
    first, bent = torch.broadcast_tensors(first[..., None, :, :], bent)
    return torch.cat([first[..., :1, :, :], bent[..., 1:, :, :]], -3).flatten(-4, -3)


def _finger_axes(body: Body, side: str) -> tuple[Tensor, Tensor]:
    """Axes of the fingers, (5, 3) each: to bend to the palm, and to turn to the thumb."""

    def rest(bone: str) -> Tensor:
        return body.heads.mean[body.bones.index(f"{side}_{bone}")]

    unit = torch.nn.functional.normalize
    hand, index, little = (rest(bone) for bone in ("hand", "index1", "little1"))
    palm = torch.linalg.cross(index - hand, little - hand) * (1 if side == "right" else -1)
    palm, across = (unit(v, dim=0).repeat(5, 1) for v in (palm, index - little))  # (5, 3)
    # The thumb closes over the palm, in front of the other fingers.
    palm[0], across[0] = palm[0] * 0.6 - across[0] * 0.8, palm[0] * 0.8 + across[0] * 0.6
    bones = torch.stack([rest(f"{f}2") - rest(f"{f}1") for f in FINGERS])
    flex, apart = (unit(torch.linalg.cross(bones, way), dim=-1) for way in (palm, across))
    return flex, apart


@cache
def load_body() -> Body:
    """The body, on the CPU in float32.

    Raises:
        ValueError: if the asset is missing or altered.
    """
    with np.load(assets.path(ASSET)) as data:
        arrays = {name: data[name] for name in data.files}
    texts = ("bones", "layers", "regions", "expressions", "parents")
    names: dict[str, Any] = {key: tuple(arrays[key].tolist()) for key in texts}
    bones = len(names["bones"])
    index: dict[str, Any] = {
        key: torch.from_numpy(arrays[key].astype(np.int64))
        for key in ("triangles", "layer", "region", "contact", "weight_bones")
    }
    top = torch.from_numpy(arrays["weights"].astype(np.float32))  # (V, 6)
    weights = torch.zeros(len(top), bones).scatter_(1, index.pop("weight_bones"), top)
    marks = {
        name: _points(arrays, name, torch.from_numpy(arrays[f"{name}.weights"]).float())
        for name in LANDMARKS
    }
    return Body(
        **names,
        **index,
        heads=_points(arrays, "heads", torch.eye(bones)),
        skin=_points(arrays, "vertices", weights / weights.sum(1, keepdim=True)),
        landmarks=marks,
        people_mean=torch.from_numpy(arrays["people_mean"]),
        people_factor=torch.from_numpy(arrays["people_factor"]),
    )


def _points(arrays: Mapping[str, np.ndarray], name: str, weights: Tensor) -> Points:
    """Points whose coordinates the asset holds as whole numbers of small steps."""
    mean, shape, expression = (
        torch.from_numpy(arrays[f"{name}.{part}"] * arrays[f"{name}.{part}_step"])
        for part in ("mean", "shape", "expression")
    )
    return Points(mean[0], shape, expression, weights)


def _to(value: Any, target: torch.device | str | torch.dtype) -> Any:
    """Tensors, points and collections of points elsewhere; whole numbers keep their type."""
    if isinstance(value, Tensor):
        keep = isinstance(target, torch.dtype) and not value.is_floating_point()
        return value if keep else value.to(target)
    if isinstance(value, Points):
        return Points(*(getattr(value, field.name).to(target) for field in fields(value)))
    if isinstance(value, Mapping):
        return {name: _to(part, target) for name, part in value.items()}
    return value


def check(name: str, value: Tensor, *ending: int) -> None:
    """ValueError unless the shape of `value` ends with `ending`."""
    if value.shape[-len(ending) :] != ending:
        wanted = ", ".join(str(size) for size in ending)
        raise ValueError(
            f"{name}: found the shape {tuple(value.shape)}, expected (..., {wanted}); "
            f"what comes before, a batch of any shape, is free"
        )
