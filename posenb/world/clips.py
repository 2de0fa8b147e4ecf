"""Videos: rendered ones of any domain, and one real clip.

Rendered: `videos` and `video_pairs` film people who do what the recordings do, each before one
background.

Real: one man, balancing, filmed by four calibrated cameras that stand still. 100 frames of four
synchronous views at 60 frames a second, from the demonstration data of the package `pose2sim` 0.7.2
(BSD-3 licence, see NOTICE), which nobody simulated. Its keypoints are detections (OpenPose,
BODY_25B), not truth. What can be trusted are those on which several views agree: `valid` says
which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from posenb import assets
from posenb.world.cameras import Camera
from posenb.world.filming import FPS, AnyDomain, film, find
from posenb.world.looks import Look
from posenb.world.recipes import Split
from posenb.world.rendering import Rendered, look_of, photograph
from posenb.world.skeletons import BODY17, Skeleton

__all__ = [
    "FPS",
    "VALID_PIXELS",
    "RealClip",
    "VideoPairs",
    "Videos",
    "load_real_clip",
    "video_pairs",
    "videos",
]

VALID_PIXELS = 25.0  # original pixels, 5 cm on the man: 3.5 times the median error
SMALLEST = 16  # pixels: the least side of a picture
ASSET = "clip/balancing.npz"
SIZE = 256  # side of a stored picture, pixels

_CAMERA = ("rotation", "translation", "focal", "center", "distortion")


@dataclass(frozen=True, eq=False)
class Videos:
    """N rendered videos of T frames; `videos[i]` is one, and so is each of an iteration.

    Attributes:
        frames: all N T pictures and their labels; the frames of a video follow each other.
        camera: of each picture, in units of the crop, (N T,); maps `joints3d` to `keypoints`.
        action: what happens, N labels.
        subject: who it is, N ids.
        length: T.
        fps: frames a second.
    """

    frames: Rendered
    camera: Camera
    action: tuple[str, ...]
    subject: tuple[str, ...]
    length: int
    fps: float

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.action)

    def __getitem__(self, index: int) -> Rendered:
        """The T frames of a video."""
        number = range(len(self))[index]  # IndexError ends an iteration
        return self.frames[number * self.length : (number + 1) * self.length]


@dataclass(frozen=True, eq=False)
class VideoPairs:
    """N pairs of frames of one video each: one person before one background.

    Attributes:
        base: the earlier frames and their labels.
        driving: those `stride` frames later.
        base_camera: N cameras in units of the crop; map `joints3d` to `keypoints`.
        driving_camera: the same cameras, unless they were held by hand.
        action: what happens, N labels.
        subject: who it is, N ids.
    """

    base: Rendered
    driving: Rendered
    base_camera: Camera
    driving_camera: Camera
    action: tuple[str, ...]
    subject: tuple[str, ...]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.base)


def videos(
    domain: str | AnyDomain,
    count: int,
    frames: int,
    seed: int,
    size: int = 128,
    stride: int = 1,
    strength: float = 1.0,
    look: Look | None = None,
    split: Split = "train",
    device: torch.device | str = "cpu",
    margin: float | None = None,
) -> Videos:
    """Render videos of a domain: a person each, who moves before one background.

    The camera stands still, except in `outdoor`, where somebody holds it.

    Args:
        domain: a name or a variant, as `rendering.render` takes them.
        count: number of videos N.
        frames: their length T.
        seed: the same seed gives the same videos.
        size: S, pixels.
        stride: time between frames, in steps of 1 / FPS seconds.
        strength: of the look, as in `rendering.render`, and so are the others.
        look: another look than the domain's own.
        split: other takes of the recordings, other people.
        device: where to render.
        margin: cut the crop close to the person, as in `filming.film`; default the domain's own.

    Raises:
        ValueError: for a count, a number of frames or a stride below 1; if the frames last longer
            than every take; if somebody leaves the picture; and as `rendering.render`.
    """
    if min(count, frames, stride) < 1:
        raise ValueError(
            "a video needs a count, frames and a stride of at least 1, found "
            f"{count}, {frames} and {stride}"
        )
    recipe = find(domain)
    look = (look_of(recipe.name) if look is None else look).scaled(strength)
    taken = film(recipe, count, range(0, frames * stride, stride), seed, split, margin)
    shots = taken.shots.to(device)
    return Videos(photograph(shots, look, size), shots.camera, *taken[1:], frames, FPS / stride)


def video_pairs(
    domain: str | AnyDomain,
    count: int,
    stride: int,
    seed: int,
    size: int = 128,
    strength: float = 1.0,
    look: Look | None = None,
    split: Split = "train",
    device: torch.device | str = "cpu",
    margin: float | None = None,
) -> VideoPairs:
    """Render pairs of frames of videos: what one frame is rebuilt from another for (notebook 03).

    Args:
        domain: a name or a variant.
        count: number of pairs N, of a video each.
        stride: time between the two, in steps of 1 / FPS seconds.
        seed: the same seed gives the same pairs.
        size: S, pixels.
        strength: as in `videos`, and so are the others.
        look: another look than the domain's own.
        split: other takes of the recordings, other people.
        device: where to render.
        margin: cut the crop close to both poses, so many times as wide as they are. As rendered,
            people fill a tenth of the picture, and a limb is 2 pixels of 64 wide.

    Raises:
        ValueError: as `videos`.
    """
    pair = videos(domain, count, 2, seed, size, stride, strength, look, split, device, margin)
    base, driving = slice(0, None, 2), slice(1, None, 2)
    return VideoPairs(
        pair.frames[base],
        pair.frames[driving],
        pair.camera[base],
        pair.camera[driving],
        pair.action,
        pair.subject,
    )


@dataclass(frozen=True, eq=False)
class RealClip:
    """C views of T frames; a fixed square window a view, so the background stands still.

    Lenses bend these pictures by up to 4 pixels of 1920. Pictures and keypoints are left as they
    are and `cameras` carry the distortion, so that nothing is resampled and a crop stays exact.

    Attributes:
        images: RGB in [0, 1], (C, T, 3, H, W); mosaics hide the faces.
        keypoints: pixels of `images`, (C, T, 17, 2); detections, outside of the picture where the
            window cuts off a hand; 0 where the detector found nothing (confidence 0).
        confidence: the detector's, in [0, 1], (C, T, 17); of pelvis, spine and neck, which are
            means of hips and shoulders, the mean.
        cameras: batch shape (C,); map `joints3d` to pixels of `images`, with distortion. Their
            principal points were moved by `offset` against the calibration.
        joints3d: triangulated from all four views, metres, world frame with y up, (T, 17, 3).
        reprojection_error: distance of projected joint and keypoint in original pixels (of 1920),
            (C, T, 17); NaN where the detector found nothing.
        valid: error below `VALID_PIXELS` and keypoint inside the picture, (C, T, 17).
        offset: in original pixels, (C, 2); see `posenb.build.clip.correct`.
        pixel: original pixels that one pixel of `images` spans, (C,).
        fps: frames a second.
        skeleton: BODY17.
    """

    images: Tensor
    keypoints: Tensor
    confidence: Tensor
    cameras: Camera
    joints3d: Tensor
    reprojection_error: Tensor
    valid: Tensor
    offset: Tensor
    pixel: Tensor
    fps: float
    skeleton: Skeleton = BODY17

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.joints3d)


def load_real_clip(
    views: Sequence[int] = (0, 1, 2, 3), stride: int = 1, size: int = SIZE
) -> RealClip:
    """The real clip, or some of it.

    Decoded pictures (79 MB) are kept in memory after the first call; a call makes floats of those
    it is asked for (315 MB for all at full size, 20 MB for all views at stride 4 and size 128).

    Args:
        views: cameras to take, each in 0..3, in this order; 3D joints stem from all of them anyway.
        stride: every how many frames one is taken, from 1 to the 100 frames there are.
        size: side of the pictures in pixels, 16 to 256; averaged over areas where smaller.

    Raises:
        ValueError: if the asset is missing or altered, no view or an unknown one is asked for, the
            stride is longer than the clip, or the size is out of range.
    """
    data = _read()
    count, frames = data["images"].shape[:2]
    chosen = list(views)
    if not chosen:
        raise ValueError(f"no views were chosen: name some of 0 to {count - 1}")
    if not set(chosen) <= set(range(count)):
        raise ValueError(f"views are 0 to {count - 1}, found {chosen}")
    if not 1 <= stride <= frames:
        raise ValueError(f"the clip has {frames} frames: a stride is 1 to {frames}, found {stride}")
    if not SMALLEST <= size <= SIZE:
        raise ValueError(f"pictures are {SMALLEST} to {SIZE} pixels high, found size {size}")
    joints = data["joints3d"][::stride].clone()  # (T, 17, 3)
    keypoints = data["keypoints"][chosen, ::stride]  # (C, T, 17, 2), original pixels
    original = Camera(*(data[name][chosen] for name in _CAMERA))
    projected = original.project(joints.flatten(0, 1)).unflatten(1, joints.shape[:2])
    error = (projected - keypoints).norm(dim=-1)  # (C, T, 17), NaN where nothing was found
    corner, pixel = data["corner"][chosen], data["side"][chosen] / size  # (C, 2), (C,)
    places = (keypoints - corner[:, None, None]) / pixel[:, None, None, None]
    inside = ((places >= 0) & (places <= size)).all(-1)
    return RealClip(
        images=_images(data["images"], chosen, stride, size),
        keypoints=places.nan_to_num(0.0),
        confidence=data["confidence"][chosen, ::stride],
        cameras=replace(
            original,
            focal=original.focal / pixel[:, None],
            center=(original.center - corner) / pixel[:, None],
        ),
        joints3d=joints,
        reprojection_error=error,
        valid=inside & (error < VALID_PIXELS),
        offset=data["offset"][chosen],
        pixel=pixel,
        fps=float(data["fps"]) / stride,
    )


@cache
def _read() -> dict[str, Tensor]:
    """The asset's numbers in float32, and decoded `images` (C, T, 3, 256, 256) in uint8, RGB."""
    with np.load(assets.path(ASSET)) as file:
        data = {name: file[name] for name in file.files}
    lengths, pictures = data.pop("lengths"), data.pop("pictures")
    images = torch.empty(lengths.size, 3, SIZE, SIZE, dtype=torch.uint8)
    for image, part in zip(images, np.split(pictures, lengths.cumsum()[:-1]), strict=True):
        image.copy_(torch.from_numpy(cv2.imdecode(part, cv2.IMREAD_COLOR_RGB)).permute(2, 0, 1))
    tensors = {name: torch.from_numpy(array) for name, array in data.items()}
    return tensors | {"images": images.unflatten(0, lengths.shape)}


def _images(pictures: Tensor, views: Sequence[int], stride: int, size: int) -> Tensor:
    """Some of the pictures (4, 100, 3, 256, 256) in uint8 as floats, (C, T, 3, size, size)."""
    frames = len(range(0, pictures.shape[1], stride))
    images = torch.empty(len(views), frames, 3, size, size)
    for target, view in zip(images, views, strict=True):  # one at a time saves memory
        floats = pictures[view, ::stride] / 255  # (T, 3, 256, 256)
        if size < SIZE:
            floats = functional.interpolate(floats, (size, size), mode="area")
        target.copy_(floats)
    return images
