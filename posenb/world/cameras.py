"""Pinhole cameras with optional lens distortion, in batches (explained in notebook 00).

Frames: the world is right-handed, in metres, with y up. A camera looks along its z, with x to
the right and y down. Pixel (0, 0) is the corner of the top-left pixel, so the centre of that pixel
is (0.5, 0.5) and a crop is an exact change of units (OpenCV puts its origin at the centre of the
top-left pixel: add 0.5 to the `center` of a calibration made there).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Camera", "concatenate", "look_at"]

UNDISTORT_STEPS = 30  # linear convergence: far below float32 rounding for ordinary lenses

Index = int | slice | Tensor | tuple[int | slice | Tensor, ...]

AIM = (0.0, 0.9, 0.0)  # metres; what the cameras of all domains look at


@dataclass(frozen=True, eq=False)
class Camera:
    """A batch of cameras; the fields are broadcast to one leading shape (...).

    Attributes:
        rotation: world to camera, (..., 3, 3); x_camera = rotation x_world + translation.
        translation: metres, (..., 3).
        focal: pixels, or units of the crop after `crop`, (..., 2), x before y.
        center: the principal point, in the units of `focal`, (..., 2).
        distortion: OpenCV's k1, k2, p1, p2, k3, (..., 5), or None for an ideal lens.
    """

    rotation: Tensor
    translation: Tensor
    focal: Tensor
    center: Tensor
    distortion: Tensor | None = None

    def __post_init__(self) -> None:
        """Check the shapes and broadcast the fields to one batch shape.

        Raises:
            ValueError: if a field has a wrong last dimension or the batch shapes disagree.
        """
        wanted = {"rotation": (3, 3), "translation": (3,), "focal": (2,), "center": (2,)}
        if self.distortion is not None:
            wanted["distortion"] = (5,)
        shapes = {name: tuple(getattr(self, name).shape) for name in wanted}
        for name, tail in wanted.items():
            if shapes[name][-len(tail) :] != tail:
                raise ValueError(
                    f"camera {name} has shape {shapes[name]}, expected (..., "
                    f"{', '.join(map(str, tail))})"
                )
        try:
            batch = torch.broadcast_shapes(*(shapes[n][: -len(t)] for n, t in wanted.items()))
        except RuntimeError:
            raise ValueError(f"the fields of a camera disagree in batch shape: {shapes}") from None
        for name, tail in wanted.items():
            object.__setattr__(self, name, getattr(self, name).expand(*batch, *tail))

    @property
    def shape(self) -> torch.Size:
        """The batch shape (...)."""
        return self.translation.shape[:-1]

    @property
    def position(self) -> Tensor:
        """Optical centres in the world, metres, (..., 3)."""
        return -(self.translation.unsqueeze(-2) @ self.rotation).squeeze(-2)

    def to_camera(self, points: Tensor) -> Tensor:
        """World points (..., P, 3) in the camera's frame, metres, (..., P, 3); z is the depth."""
        return points @ self.rotation.mT + self.translation.unsqueeze(-2)

    def project(self, points: Tensor) -> Tensor:
        """Project world points to the image.

        A point behind the camera (depth < 0) is projected through the optical centre like any
        other, so it lands mirrored, at finite but meaningless pixels; at depth 0 the result is
        infinite or NaN. Nothing is raised, because one stray joint must not stop a batch: where
        it matters, look at the depth, `to_camera(points)[..., 2] > 0`.

        Args:
            points: metres, world frame, (..., P, 3).

        Returns:
            Image points in the units of `focal`, x right, y down, (..., P, 2).
        """
        inside = self.to_camera(points)
        plane = inside[..., :2] / inside[..., 2:]  # (..., P, 2)
        if self.distortion is not None:
            radial, tangential = _lens(plane, self.distortion)
            plane = plane * radial + tangential
        return plane * self.focal.unsqueeze(-2) + self.center.unsqueeze(-2)

    def unproject(self, pixels: Tensor, depth: Tensor) -> Tensor:
        """Lift image points of known depth to the world, the inverse of `project`.

        Distortion has no closed inverse: x <- (x_distorted - tangential(x)) / radial(x) is
        iterated, which converges wherever a real lens is used (not in the far corners of a model
        that folds back on itself).

        Args:
            pixels: image points in the units of `focal`, (..., P, 2).
            depth: z in the camera's frame, metres, (..., P).

        Returns:
            World points, metres, (..., P, 3).
        """
        distorted = (pixels - self.center.unsqueeze(-2)) / self.focal.unsqueeze(-2)
        plane = distorted
        if self.distortion is not None:
            for _ in range(UNDISTORT_STEPS):
                radial, tangential = _lens(plane, self.distortion)
                plane = (distorted - tangential) / radial
        inside = torch.cat([plane, torch.ones_like(plane[..., :1])], -1)  # (..., P, 3)
        inside = inside * depth.unsqueeze(-1)
        return (inside - self.translation.unsqueeze(-2)) @ self.rotation

    def crop(self, corner: Tensor, side: Tensor) -> Camera:
        """The same camera seen through a square crop, in units of that crop ([0, 1] inside it).

        Args:
            corner: top-left corner of the crop, in the units of `focal`, (..., 2).
            side: side of the crop, in the same units, (...).
        """
        size = side.unsqueeze(-1)  # (..., 1)
        return replace(self, focal=self.focal / size, center=(self.center - corner) / size)

    def __len__(self) -> int:
        """Cameras along the first batch dimension."""
        if not self.shape:
            raise TypeError("a single camera has no length")
        return self.shape[0]

    def __getitem__(self, index: Index) -> Camera:
        """Index the batch dimensions; an int on a batch (N,) gives a single camera."""
        fields = (
            self.rotation.flatten(-2)[index].unflatten(-1, (3, 3)),
            self.translation[index],
            self.focal[index],
            self.center[index],
        )
        return Camera(*fields, None if self.distortion is None else self.distortion[index])

    def to(self, device: torch.device | str) -> Camera:
        """The same cameras on another device."""
        return Camera(
            self.rotation.to(device),
            self.translation.to(device),
            self.focal.to(device),
            self.center.to(device),
            None if self.distortion is None else self.distortion.to(device),
        )


def concatenate(cameras: Sequence[Camera]) -> Camera:
    """Join batches of cameras along the first dimension; no distortion next to some becomes zeros.

    Raises:
        ValueError: if there is nothing to join.
    """
    if not cameras:
        raise ValueError("no cameras to concatenate")
    distortion = None
    if any(camera.distortion is not None for camera in cameras):
        distortion = torch.cat(
            [
                camera.focal.new_zeros(*camera.shape, 5)
                if camera.distortion is None
                else camera.distortion
                for camera in cameras
            ]
        )
    return Camera(
        torch.cat([camera.rotation for camera in cameras]),
        torch.cat([camera.translation for camera in cameras]),
        torch.cat([camera.focal for camera in cameras]),
        torch.cat([camera.center for camera in cameras]),
        distortion,
    )


def look_at(
    eye: Tensor,
    target: Tensor,
    up: Sequence[float] = (0.0, 1.0, 0.0),
    roll: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Extrinsics of a camera at `eye` with `target` in the middle of its picture.

    Args:
        eye: camera position, metres, world frame, (..., 3).
        target: point to look at, metres, world frame, (..., 3).
        up: world direction that points upwards in the picture.
        roll: turn about the optical axis in radians, (...); a positive one turns the picture
            clockwise.

    Returns:
        Rotation (..., 3, 3), world to camera, and translation (..., 3) in metres.

    Raises:
        ValueError: if eye and target coincide, or the camera looks along `up` (a camera exactly
            overhead has no upright picture: give another `up`).
    """
    eye, target = torch.broadcast_tensors(eye, target)
    forward = target - eye  # (..., 3)
    right = torch.linalg.cross(forward, eye.new_tensor(up).expand_as(forward))
    length = forward.norm(dim=-1, keepdim=True)
    if not (right.norm(dim=-1, keepdim=True) > 1e-6 * length).all():
        raise ValueError(
            f"no upright camera at {eye.tolist() if eye.ndim == 1 else 'some eye'}: eye and target "
            f"coincide, or the view is along up={tuple(up)}; move the eye or choose another up"
        )
    forward = forward / length
    right = right / right.norm(dim=-1, keepdim=True)
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward], -2)  # (..., 3, 3)
    if roll is not None:
        cos, sin, zero, one = roll.cos(), roll.sin(), torch.zeros_like(roll), torch.ones_like(roll)
        turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], -1)  # (..., 9)
        rotation = turn.unflatten(-1, (3, 3)) @ rotation
    return rotation, -(rotation @ eye.unsqueeze(-1)).squeeze(-1)


def _lens(plane: Tensor, distortion: Tensor) -> tuple[Tensor, Tensor]:
    """Brown-Conrady terms as in OpenCV: radial factor (..., P, 1), tangential shift (..., P, 2)."""
    k1, k2, p1, p2, k3 = distortion.unsqueeze(-2).unbind(-1)  # each (..., 1)
    x, y = plane.unbind(-1)  # (..., P)
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    shift_x = 2 * p1 * x * y + p2 * (square + 2 * x * x)
    shift_y = p1 * (square + 2 * y * y) + 2 * p2 * x * y
    return radial.unsqueeze(-1), torch.stack([shift_x, shift_y], -1)  # (..., P, 1), (..., P, 2)


def around(
    aim: Tensor,
    distance: Tensor,
    azimuth: Tensor,
    elevation: Tensor,
    roll: Tensor | None,
    focal: float,
    width: float,
) -> Camera:
    """N cameras around what they look at, each with a square picture.

    Args:
        aim: (3,), metres.
        distance: of the cameras from it, metres, (N,).
        azimuth: where they stand, from x towards z, radians, (N,).
        elevation: above the aim, radians, (N,).
        roll: as in `look_at`.
        focal: pixels.
        width: of the picture, pixels.
    """
    count, flat = len(distance), elevation.cos()
    outward = torch.stack([flat * azimuth.cos(), elevation.sin(), flat * azimuth.sin()], -1)
    rotation, translation = look_at(aim + distance[:, None] * outward, aim, roll=roll)
    lens = torch.full((count, 2), focal), torch.full((count, 2), width / 2)
    return Camera(rotation, translation, *lens)
