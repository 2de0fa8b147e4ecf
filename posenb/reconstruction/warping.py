"""W: where every pixel of the driving picture comes from (Geometric Reconstruction, Eq. 8)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posenb.reconstruction.bones import (
    THICKNESS,
    bone_maps,
    directed_transforms,
    expand,
    sampling_transforms,
)
from posenb.world.skeletons import BODY17, Skeleton

PRIOR = 4.0  # how much a bone's own map weighs in the masks before anything is learned


class Warping(NamedTuple):
    """What W says of N pairs; h and w are those of the pictures divided by W's `scale`.

    Attributes:
        displacement: D, the place in the base picture that each pixel of the driving one comes
            from, (N, h, w, 2), in [-1, 1] with x before y, as `grid_sample` takes it.
        inpainting: C in [0, 1], (N, 1, h, w): low where the base picture does not show it.
        masks: M_j of background and bones, (N, 1 + J, h, w), of sum 1.
    """

    displacement: Tensor
    inpainting: Tensor
    masks: Tensor


class WarpingModule(nn.Module):
    """W: bones give J coarse motions, an hourglass says where which one holds (Sec. 3.3.2).

    For every bone the hourglass sees the difference of both bone maps and the base picture as that
    bone would move it, and it sees the base picture itself. The background stands still unless a
    transform is given. For equal poses all motions are the identity, and so is D, whatever the
    masks are.

    Args:
        skeleton: of the keypoints, with J bones.
        widths: channels of the hourglass, finest level first; each level halves the resolution.
        scale: every side of the pictures is divided by this first.
        thickness: sigma of Eq. 6 in [-1, 1].
    """

    def __init__(
        self,
        skeleton: Skeleton = BODY17,
        widths: tuple[int, ...] = (32, 48, 64),
        scale: int = 2,
        thickness: float = THICKNESS,
    ) -> None:
        super().__init__()
        self.skeleton, self.scale, self.thickness = skeleton, scale, thickness
        bones = len(skeleton.bones)
        self.hourglass = Hourglass(3 + bones + 3 * bones, widths)
        self.masks = nn.Conv2d(widths[0], 1 + bones, 3, padding=1)
        self.inpainting = nn.Conv2d(widths[0], 1, 3, padding=1)

    def forward(
        self,
        base: Tensor,
        base_keypoints: Tensor,
        driving_keypoints: Tensor,
        background: Tensor | None = None,
    ) -> Warping:
        """Where the driving pictures come from.

        Args:
            base: pictures, RGB in [0, 1], (N, 3, H, W).
            base_keypoints: in [0, 1] of the picture, (N, K, 2).
            driving_keypoints: of the picture to be, (N, K, 2).
            background: takes places of the driving picture to places of the base picture,
                (N, 2, 3), where the camera moved; default the identity.
        """
        small = F.avg_pool2d(base, self.scale)  # (N, 3, h, w)
        size = small.shape[-2], small.shape[-1]
        poses = base_keypoints, driving_keypoints
        before, after = (
            bone_maps(pose, self.skeleton, *size, self.thickness) for pose in poses
        )  # (N, J, h, w) each
        moves = sampling_transforms(
            *(directed_transforms(pose, self.skeleton, self.thickness) for pose in poses)
        )
        if background is None:
            background = torch.eye(2, 3, device=base.device, dtype=moves.dtype).expand(
                len(base), 2, 3
            )
        places = expand(torch.cat([background[:, None], moves], 1), *size)  # (N, 1 + J, h, w, 2)
        moved = _move_each(small, places[:, 1:])
        x = self.hourglass(torch.cat([small, after - before, moved.flatten(1, 2)], 1))
        known = torch.cat([torch.full_like(after[:, :1], 0.5), after], 1)
        masks = (self.masks(x).to(known.dtype) + PRIOR * known).softmax(1)  # (N, 1 + J, h, w)
        displacement = (masks[..., None] * places).sum(1)  # Eq. 8, (N, h, w, 2)
        inpainting = (1 + self.inpainting(x).to(known.dtype)).sigmoid()
        return Warping(displacement, inpainting, masks)


class Hourglass(nn.Module):
    """Convolutions down and up again; on the way up, each level adds what it knew going down.

    Args:
        inputs: channels that come in.
        widths: of the levels, finest first; those of the first go out.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.first = block(inputs, widths[0])
        pairs = list(zip(widths, widths[1:], strict=False))
        self.down = nn.ModuleList([block(fine, coarse, 2) for fine, coarse in pairs])
        self.middle = block(widths[-1], widths[-1])
        self.up = nn.ModuleList([block(coarse, fine) for fine, coarse in reversed(pairs)])

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, widths[0], h, w) of (N, inputs, h, w)."""
        levels = [self.first(x)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = self.middle(levels.pop())
        for up, level in zip(self.up, reversed(levels), strict=True):
            x = up(F.interpolate(x, level.shape[-2:], mode="nearest")) + level
        return x


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution, normalisation in groups of 8 channels, leaky ReLU.

    Groups and not the batch: a picture is rebuilt alike, whatever it is rebuilt together with.

    Raises:
        ValueError: if the channels do not come in eights.
    """
    if outputs % 8:
        raise ValueError(f"widths are multiples of 8, found {outputs}")
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.GroupNorm(outputs // 8, outputs),
        nn.LeakyReLU(0.1),
    )


def sample(features: Tensor, displacement: Tensor) -> Tensor:
    """Take features (N, C, H, W) from places (N, h, w, 2); the border goes on outside.

    The places are computed in full precision, also under autocast: a bfloat16 near 1 is half a
    pixel of 256.
    """
    moved = F.grid_sample(
        features.to(displacement.dtype), displacement, padding_mode="border", align_corners=False
    )
    return moved.to(features.dtype)


def _move_each(images: Tensor, places: Tensor) -> Tensor:
    """Pictures as each bone would move them, (N, J, 3, h, w), of places (N, J, h, w, 2)."""
    # One tall picture of all bones: the base need not be copied for every one.
    tall = sample(images, places.flatten(1, 2))  # (N, 3, J h, w)
    return tall.unflatten(2, places.shape[1:3]).transpose(1, 2)
