"""A set of human poses with everything known about them: what all domains and loaders return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from posenb.world import cameras
from posenb.world.cameras import Camera
from posenb.world.skeletons import Skeleton

__all__ = ["PoseSet", "moved", "recrop", "some"]

Batch = TypeVar("Batch")
_SHARED = ("skeleton", "convention")  # that all items of a batch have in common


@dataclass(frozen=True, eq=False)
class PoseSet:
    """N poses of one skeleton; never empty, never NaN.

    Attributes:
        keypoints: in the person's square crop, [0, 1], x right, y down, (N, J, 2).
        joints3d: metres, world frame (right-handed, y up), (N, J, 3), or None where unknown.
        camera: N cameras that map `joints3d` to `keypoints` but for annotation noise, or None.
        action: a label each, N of them.
        subject: who it is, N of them.
        skeleton: names and order of the J joints.
        visible: (N, J) bool, False where a joint is not annotated and its keypoint is 0; None says
            that all are.
        picture: file name or id of the image that each was found in, N of them, or None.
        crop: (N, 2, 3), the affine map from the crop's [0, 1] to pixels of that picture, with
            (0, 0) at the corner of the top-left pixel, or None where unknown.
    """

    keypoints: Tensor
    joints3d: Tensor | None
    camera: Camera | None
    action: tuple[str, ...]
    subject: tuple[str, ...]
    skeleton: Skeleton
    visible: Tensor | None = None
    picture: tuple[str, ...] | None = None
    crop: Tensor | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            ValueError: on an empty set, a wrong shape or joint count, or numbers that are not
                finite.
        """
        if self.keypoints.ndim != 3 or self.keypoints.shape[-1] != 2:
            raise ValueError(
                f"keypoints have shape {tuple(self.keypoints.shape)}, expected (N, J, 2)"
            )
        count, joints, _ = self.keypoints.shape
        if joints != len(self.skeleton):
            raise ValueError(
                f"found {joints} joints a pose, but {self.skeleton.name} has {len(self.skeleton)}: "
                "use the matching skeleton or skeletons.convert"
            )
        if count == 0:
            raise ValueError("a PoseSet needs at least one pose, found none: check the selection")
        _require_finite("keypoints", self.keypoints)
        if self.joints3d is not None:
            _require_shape("joints3d", tuple(self.joints3d.shape), (count, joints, 3))
            _require_finite("joints3d", self.joints3d)
        if self.visible is not None:
            _require_shape("visible", tuple(self.visible.shape), (count, joints))
            if self.visible.dtype != torch.bool:
                raise ValueError(f"visible must be bool, found {self.visible.dtype}")
        if self.camera is not None:
            _require_shape("camera", tuple(self.camera.shape), (count,))
        for name in ("action", "subject"):
            _require_shape(name, (len(getattr(self, name)),), (count,))
        if self.picture is not None:
            _require_shape("picture", (len(self.picture),), (count,))
        if self.crop is not None:
            _require_shape("crop", tuple(self.crop.shape), (count, 2, 3))
            _require_finite("crop", self.crop)

    def __len__(self) -> int:
        """Number of poses N."""
        return len(self.keypoints)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> PoseSet:
        """Some of the poses, as a PoseSet (of one pose for an int).

        Args:
            index: position, slice, boolean mask (N,), or positions in any order.

        Raises:
            IndexError: if a position does not exist.
            ValueError: if nothing is selected.
        """
        everyone = torch.arange(len(self), device=self.keypoints.device)
        if isinstance(index, int):
            index = [index]
        if not isinstance(index, slice):
            index = torch.as_tensor(index, device=everyone.device)
            if not index.numel():
                index = index.long()  # an empty list becomes a float tensor
        return some(self, everyone[index].reshape(-1))

    def __add__(self, other: PoseSet) -> PoseSet:
        """These poses, then those.

        `joints3d`, `camera`, `picture` and `crop` are kept only if both sets have them, else they
        become None. Where one set has `visible`, the other counts as all visible.

        Raises:
            ValueError: if the skeletons differ.
        """
        if self.skeleton != other.skeleton:
            raise ValueError(
                f"cannot join poses of {self.skeleton.name} and {other.skeleton.name}: "
                "convert one with skeletons.convert"
            )
        joined: dict[str, Any] = {
            name: None if one is None or (two := getattr(other, name)) is None else _join(one, two)
            for name, one in _parts(self).items()
        }
        if self.visible is not None or other.visible is not None:
            joined["visible"] = torch.cat([_visibility(self), _visibility(other)])
        return replace(self, **joined)

    def to(self, device: torch.device | str) -> PoseSet:
        """The same poses on another device."""
        return moved(self, device)

    def pixels(self) -> Tensor:
        """The keypoints in pixels of their pictures, 0 where not visible, (N, J, 2).

        Raises:
            ValueError: if the crops are not known.
        """
        if self.crop is None:
            raise ValueError("these poses do not know their crops: only poses of pictures do")
        placed = self.keypoints @ self.crop[..., :2].mT + self.crop[..., 2].unsqueeze(1)
        return placed if self.visible is None else placed.where(self.visible.unsqueeze(-1), 0.0)


def recrop(poses: PoseSet, margin: float = 1.25) -> PoseSet:
    """Poses cut out anew, each with a square around its joints, as those of `wild` were.

    How large somebody is in a picture is no matter of pose.

    Args:
        poses: each with a visible joint; cameras and 3D are dropped, pictures and crops kept.
        margin: side of the square in larger extents of the visible joints.
    """
    known = _visibility(poses)[..., None]  # (N, J, 1)
    low = poses.keypoints.where(known, torch.inf).amin(1, keepdim=True)  # (N, 1, 2)
    high = poses.keypoints.where(known, -torch.inf).amax(1, keepdim=True)
    side = margin * (high - low).amax(-1, keepdim=True).clamp(min=1e-6)  # (N, 1, 1)
    corner = (low + high - side) / 2  # (N, 1, 2)
    keypoints = ((poses.keypoints - corner) / side).where(known, 0.0)  # (N, J, 2)
    crop = poses.crop
    if crop is not None:
        moved = crop[..., :2] @ corner.mT + crop[..., 2:]  # (N, 2, 1)
        crop = torch.cat([crop[..., :2] * side, moved], -1)
    return replace(poses, keypoints=keypoints, joints3d=None, camera=None, crop=crop)


def some(batch: Batch, index: slice | Tensor) -> Batch:
    """Some of the items of a dataclass such as `PoseSet`, by a slice or positions (n,)."""

    def chosen(part: Any) -> Any:
        if isinstance(part, tuple) and isinstance(index, Tensor):
            return tuple(part[i] for i in index.tolist())
        return part[index]

    return _changed(batch, chosen)


def moved(batch: Batch, device: torch.device | str) -> Batch:
    """The same items on another device."""
    return _changed(batch, lambda part: part if isinstance(part, tuple) else part.to(device))


def _changed(batch: Any, change: Callable[[Any], Any]) -> Any:
    parts = {name: part for name, part in _parts(batch).items() if part is not None}
    return replace(batch, **{name: change(part) for name, part in parts.items()})


def _parts(batch: Any) -> dict[str, Any]:
    """What a batch has one of for each item, by name."""
    names = (field.name for field in fields(batch) if field.name not in _SHARED)
    return {name: getattr(batch, name) for name in names}


def _join(one: Any, two: Any) -> Any:
    """Parts of two sets, one after the other."""
    if isinstance(one, Camera):
        return cameras.concatenate([one, two])
    return one + two if isinstance(one, tuple) else torch.cat([one, two])


def _visibility(poses: PoseSet) -> Tensor:
    if poses.visible is not None:
        return poses.visible
    return torch.ones_like(poses.keypoints[..., 0], dtype=torch.bool)  # (N, J)


def _require_shape(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise ValueError(f"{name} has shape {found}, expected {expected} to fit the keypoints")


def _require_finite(name: str, values: Tensor) -> None:
    bad = ~values.isfinite().flatten(1).all(1)  # (N,)
    if bad.any():
        raise ValueError(
            f"{name} of {int(bad.sum())} of {len(bad)} poses are not finite (NaN or infinite), "
            f"first at index {int(bad.nonzero()[0])}: drop them, or set unknown joints to 0 with "
            "visible=False"
        )
