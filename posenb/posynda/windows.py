"""Windows: short stretches of people in motion, as a camera sees them, with or without 3D.

Units. 3D is in metres, in the camera's frame (x right, y down, z forward), the root joint at the
origin. 2D is in the units of the window's camera: `pixels`; `screen`, half image widths from the
principal point, which is what published lifters are trained on (only that they start from the
image's centre); or `plane`, the plane one metre before the camera, where focal lengths no longer
differ. A network sees the 2D relative to the principal point, in the units it is trained with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from posenb.world import domains
from posenb.world.cameras import Camera
from posenb.world.domains import IMAGE_WIDTH, Domain
from posenb.world.poses import moved, some
from posenb.world.recipes import Shelf, Split
from posenb.world.skeletons import BODY17, Skeleton

Units = Literal["pixels", "screen", "plane"]
UNITS = ("pixels", "screen", "plane")


@dataclass(frozen=True, eq=False)
class Windows:
    """N windows of T frames.

    Attributes:
        keypoints: in the units of `camera`, (N, T, J, 2); NaN where a joint was not found.
        camera: one a window; it stands still.
        joints3d: root-relative, metres, camera frame, (N, T, J, 3), or None where unknown.
        root: place of the root, metres, camera frame, (N, T, 3), or None.
        action: a label each, N of them.
        subject: who it is, N of them.
        skeleton: of the J joints.
    """

    keypoints: Tensor
    camera: Camera
    joints3d: Tensor | None
    root: Tensor | None
    action: tuple[str, ...]
    subject: tuple[str, ...]
    skeleton: Skeleton = BODY17

    def __post_init__(self) -> None:
        """Check that the parts fit.

        Raises:
            ValueError: for a wrong shape, or 3D that is not finite.
        """
        joints = len(self.skeleton)
        if self.keypoints.ndim != 4 or self.keypoints.shape[2:] != (joints, 2):
            raise ValueError(
                f"keypoints have shape {tuple(self.keypoints.shape)}, expected (N, T, {joints}, 2) "
                f"of {self.skeleton.name}: convert other skeletons with skeletons.convert"
            )
        count, frames = self.keypoints.shape[:2]
        wanted = {"joints3d": (count, frames, joints, 3), "root": (count, frames, 3)}
        for name, shape in wanted.items():
            value = getattr(self, name)
            if value is not None and (value.shape != shape or not value.isfinite().all()):
                raise ValueError(f"{name} {tuple(value.shape)}: expected finite {shape}")
        found = (tuple(self.camera.shape), len(self.action), len(self.subject))
        if found != ((count,), count, count):
            raise ValueError(f"{count} windows need as many cameras, actions, subjects: {found}")

    def __len__(self) -> int:
        """Number of windows N."""
        return len(self.keypoints)

    def __getitem__(self, index: slice | Tensor) -> Windows:
        """Some of the windows."""
        return some(self, torch.arange(len(self), device=self.keypoints.device)[index])

    def to(self, device: torch.device | str) -> Windows:
        """The same windows on another device."""
        return moved(self, device)


def sample(
    domain: Domain,
    count: int,
    seed: int,
    frames: int = 27,
    split: Split = "train",
    units: Units = "screen",
    fps: float = 50.0,
) -> Windows:
    """Windows of a domain's people before its cameras; see `Domain.sample_motion` for the splits.

    The 2D has the domain's annotation noise, which is in units of a person's crop: here, of the
    larger extent of all joints in the window times `Domain.margin`.

    Args:
        domain: for example `domain("stage")` of this module.
        count: number of windows N.
        seed: the same seed gives the same windows.
        frames: T.
        split: `train` or `test`.
        units: of the 2D.
        fps: frames a second.

    Raises:
        ValueError: for unknown units, and as `Domain.sample_motion`.
    """
    if units not in UNITS:
        raise ValueError(f"units must be one of {UNITS}, found {units!r}")
    moving = domain.sample_motion(count, frames, seed, split, fps)
    flat = moving.joints3d.flatten(1, 2)  # (N, T J, 3)
    inside = moving.camera.to_camera(flat).unflatten(1, (frames, -1))  # (N, T, J, 3)
    pixels = moving.camera.project(flat).unflatten(1, (frames, -1))  # (N, T, J, 2)
    extent = (pixels.amax((1, 2)) - pixels.amin((1, 2))).amax(-1)  # (N,)
    random = torch.Generator().manual_seed(2**32 + seed)
    noise = torch.randn(pixels.shape, generator=random)
    pixels = pixels + (domain.noise * domain.margin * extent)[:, None, None, None] * noise
    camera = moving.camera
    if units == "screen":
        pixels, camera = to_screen(pixels, camera, IMAGE_WIDTH)
    elif units == "plane":
        pixels, camera = to_plane(pixels, camera)
    root = inside[:, :, 0]
    poses = inside - root[:, :, None]
    return Windows(pixels, camera, poses, root, moving.action, moving.subject)


def domain(name: str) -> Domain:
    """Source and targets of the chapter: those of `world.domains` with cameras of their own.

    `lab` has Human3.6M's focal length (1,145 pixels of 1,000). `stage` has 3DHP's wide lens (about
    730) from nearer by: people are nearly as large as in `lab`, but seen from knee
    height to the ceiling. `stage_far` has the wide lens at the distances of `lab`, so that image
    scale makes the gap. `stage_marked` is `stage` with joints annotated at other places: the pelvis
    higher, hips wider, neck and shoulders higher, and the top of the head where `lab` has it.
    `outdoor` has a hand-held camera at all distances, and much 2D noise.

    Raises:
        ValueError: for another name.
    """
    return Shelf("domain", _DOMAINS).get(name)


_DOMAINS = {
    "lab": replace(domains.get("lab"), focal=1145.0),
    "stage": replace(domains.get("stage"), focal=730.0, noise=0.004),
    "stage_far": replace(
        domains.get("stage"), focal=600.0, distance=(4.2, 5.6), elevation=(5.0, 25.0), noise=0.004
    ),
    "stage_marked": replace(
        domains.get("stage"),
        focal=730.0,
        noise=0.004,
        convention=(
            ("pelvis", "spine", 0.3),
            ("right_hip", "left_hip", -0.2),
            ("left_hip", "right_hip", -0.2),
            ("neck", "head_top", 0.3),
            ("right_shoulder", "head_top", 0.2),
            ("left_shoulder", "head_top", 0.2),
        ),
    ),
    "outdoor": replace(domains.get("outdoor"), focal=1000.0, distance=(2.5, 6.0)),
}


def to_plane(keypoints: Tensor, camera: Camera) -> tuple[Tensor, Camera]:
    """Keypoints (N, T, J, 2) on the plane z = 1, and the camera of that picture; no lens is left.

    Args:
        keypoints: in the units of `camera`, distorted if its lens is; NaN stays.
        camera: one, or N.
    """
    still = replace(
        camera,
        rotation=torch.eye(3).to(camera.rotation),
        translation=torch.zeros(3).to(camera.translation),
    )
    flat = keypoints.flatten(1, 2)  # (N, T J, 2)
    plane = still.unproject(flat, torch.ones_like(flat[..., 0]))[..., :2]
    one = torch.ones_like(camera.focal)
    straight = Camera(camera.rotation, camera.translation, one, torch.zeros_like(one))
    return plane.unflatten(1, keypoints.shape[1:3]), straight


def to_screen(keypoints: Tensor, camera: Camera, width: float) -> tuple[Tensor, Camera]:
    """Keypoints (N, T, J, 2) in half image widths from the principal point, and their camera.

    Args:
        keypoints: in the units of `camera`, distorted if its lens is; NaN stays.
        camera: one, or N.
        width: of the image, in the same units.

    Raises:
        ValueError: if the width is not above 0.
    """
    if not width > 0:
        raise ValueError(f"an image is wider than {width}: give its width in the camera's units")
    plane, straight = to_plane(keypoints, camera)
    focal = camera.focal * (2 / width)  # (..., 2)
    scale = focal.reshape(-1, 1, 1, 2) if camera.shape else focal
    return plane * scale, replace(straight, focal=focal)


def fill(keypoints: Tensor) -> Tensor:
    """Keypoints (N, T, J, 2) with every joint in all frames of a window, if it is in any.

    Between two frames that show it a joint moves evenly; before the first and after the last it
    stands still. A joint that no frame of a window shows stays NaN. The networks take what is
    missing, but they were taught on whole people and answer better to a guess. Measured once, in no
    card: with 30 % of the joints of `lab` taken away (20 frames at 15 a second), those that are
    left are lifted to 264 mm with gaps and to 104 mm filled, whole people to 98 mm; a lost frame to
    417 and to 101 mm.
    """
    seen = ~keypoints.isnan().any(-1)  # (N, T, J)
    before, after = _before(seen), keypoints.shape[1] - 1 - _before(seen.flip(1)).flip(1)
    before, after = before.where(before >= 0, after), after.where(after < len(seen[0]), before)
    there = (before >= 0) & (before < len(seen[0]))  # (N, T, J): some frame shows it
    before, after = before.where(there, 0), after.where(there, 0)
    now = torch.arange(len(seen[0]), device=keypoints.device)[:, None]  # (T, 1)
    share = (now - before).to(keypoints) / (after - before).clamp(min=1)  # (N, T, J)
    start, stop = (keypoints.gather(1, i[..., None].expand_as(keypoints)) for i in (before, after))
    between = start + share[..., None] * (stop - start)
    return keypoints.where(seen[..., None], between.where(there[..., None], torch.nan))


def nearest(seen: Tensor) -> Tensor:
    """For frames (N, T), the nearest that is seen, the earlier of two; -1 where none is."""
    last = seen.shape[1] - 1
    before, after = _before(seen), last - _before(seen.flip(1)).flip(1)  # (N, T)
    now = torch.arange(last + 1, device=seen.device)
    later = (before < 0) | ((after <= last) & (after - now < now - before))
    return after.where(later, before).where(seen.any(1, keepdim=True), -1)


def _before(seen: Tensor) -> Tensor:
    """Number of the last frame up to each of (N, T, ...) that is seen; -1 if there is none."""
    now = torch.arange(seen.shape[1], device=seen.device)
    now = now.view(-1, *[1] * (seen.ndim - 2)).expand_as(seen)  # (N, T, ...)
    return now.where(seen, -1).cummax(1).values


def cut(sequence: Tensor, frames: int, stride: int | None = None) -> Tensor:
    """Windows of a sequence (F, ...): (W, frames, ...).

    Windows start every `stride` frames, by default side by side. What is left over at the end, and
    a sequence shorter than a window, is padded by repeating the last frame.

    Raises:
        ValueError: for an empty sequence, or a window or stride below 1.
    """
    stride = stride or frames
    if not len(sequence) or min(frames, stride) < 1:
        raise ValueError(
            f"expected frames to cut and a window and stride of at least 1, found "
            f"{len(sequence)} frames, {frames} and {stride}"
        )
    count = 1 + max(0, -(-(len(sequence) - frames) // stride))
    first = stride * torch.arange(count, device=sequence.device)
    index = first[:, None] + torch.arange(frames, device=sequence.device)
    return sequence[index.clamp(max=len(sequence) - 1)]
