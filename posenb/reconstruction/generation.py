"""G, and W with G: a picture rebuilt through the bones (Geometric Reconstruction, Eq. 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posenb.reconstruction.bones import THICKNESS, pixel_centres
from posenb.reconstruction.warping import Warping, WarpingModule, block, sample
from posenb.world.skeletons import BODY17, Skeleton


class GenerationModule(nn.Module):
    """G: features go down, are moved by D, and come up again (Sec. 3.3.2).

    On the way up each level takes C * moved + (1 - C) * previous, also the last, where what is
    moved is the base picture itself: what the base picture shows is copied, the rest is painted.

    Args:
        widths: channels, those at full resolution first; each level halves the resolution.
        residuals: residual blocks at the coarsest level.
    """

    def __init__(self, widths: tuple[int, ...] = (8, 32, 64), residuals: int = 1) -> None:
        super().__init__()
        pairs = list(zip(widths, widths[1:], strict=False))
        self.first = block(3, widths[0])
        self.down = nn.ModuleList([block(fine, coarse, 2) for fine, coarse in pairs])
        deep = widths[-1]
        self.residuals = nn.ModuleList(
            [nn.Sequential(block(deep, deep), block(deep, deep)) for _ in range(residuals)]
        )
        self.up = nn.ModuleList([block(coarse, fine) for fine, coarse in reversed(pairs)])
        self.last = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, base: Tensor, warping: Warping) -> Tensor:
        """The driving pictures rebuilt, (N, 3, H, W) in [0, 1], of base pictures (N, 3, H, W)."""
        levels = [self.first(base)]
        for down in self.down:
            levels.append(down(levels[-1]))
        moved = [_moved(level, warping) for level in levels]
        x, share = moved.pop()
        x = share * x
        for residual in self.residuals:
            x = x + residual(x)
        for up, (skip, share) in zip(self.up, reversed(moved), strict=True):
            x = up(F.interpolate(x, skip.shape[-2:], mode="nearest"))
            x = share * skip + (1 - share) * x
        painted = self.last(x).to(base.dtype).sigmoid()
        copied, share = _moved(base, warping)
        return share * copied + (1 - share) * painted


class Rebuilt(NamedTuple):
    """Pictures rebuilt, (N, 3, S, S) in [0, 1], and the warping that they were rebuilt by."""

    images: Tensor
    warping: Warping


@dataclass(frozen=True)
class Widths:
    """How large W and G are.

    Attributes:
        warping: channels of W's hourglass, finest level first.
        generation: channels of G, those at full resolution first.
        residuals: of G.
        scale: W works at the pictures' size divided by this.
    """

    warping: tuple[int, ...] = (32, 48, 64)
    generation: tuple[int, ...] = (8, 32, 64)
    residuals: int = 1
    scale: int = 2

    @property
    def step(self) -> int:
        """What the size of the pictures must be a multiple of."""
        levels = len(self.warping) - 1
        return max(self.scale * 2**levels, int(2 ** (len(self.generation) - 1)))


# The paper gives no widths. PAPER follows its reference [28] (Motion Representations for
# Articulated Animation), on which W and G build, at 256 pixels; not compared with its code.
TEACHING = Widths()
PAPER = Widths((64, 128, 256, 512, 1024, 1024), (64, 128, 256), residuals=6, scale=4)


class Reconstructor(nn.Module):
    """W and G: the driving picture of a base picture and two poses (Eq. 4).

    `Reconstructor(skeleton, 256, PAPER)` has the size of the paper.

    Args:
        skeleton: of the keypoints.
        size: S, pixels of the pictures.
        widths: of both networks.
        thickness: sigma of Eq. 6 in [-1, 1].
        seed: of the initial weights.

    Raises:
        ValueError: for a size that the networks cannot halve as often as they do.
    """

    def __init__(
        self,
        skeleton: Skeleton = BODY17,
        size: int = 64,
        widths: Widths = TEACHING,
        thickness: float = THICKNESS,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if size < widths.step or size % widths.step:
            raise ValueError(f"with these widths, size is a multiple of {widths.step}: not {size}")
        self.skeleton, self.size, self.widths = skeleton, size, widths
        self.warping = WarpingModule(skeleton, widths.warping, widths.scale, thickness)
        self.generation = GenerationModule(widths.generation, widths.residuals)
        _initialise(self, seed)

    def forward(
        self,
        base: Tensor,
        base_keypoints: Tensor,
        driving_keypoints: Tensor,
        background: Tensor | None = None,
    ) -> Rebuilt:
        """Rebuild driving pictures; gradients reach both poses.

        Args:
            base: pictures, RGB in [0, 1], (N, 3, S, S).
            base_keypoints: in [0, 1] of the picture, (N, K, 2).
            driving_keypoints: (N, K, 2).
            background: how the camera moved, as in `WarpingModule.forward`; default not at all.

        Raises:
            ValueError: for pictures of another size, keypoints of another skeleton, as many
                pictures as there are not poses, or a number that is not finite.
        """
        self._check(base, base_keypoints, driving_keypoints)
        warping = self.warping(base, base_keypoints, driving_keypoints, background)
        return Rebuilt(self.generation(base, warping), warping)

    def _check(self, base: Tensor, base_keypoints: Tensor, driving_keypoints: Tensor) -> None:
        if base.ndim != 4 or tuple(base.shape[1:]) != (3, self.size, self.size):
            raise ValueError(
                f"pictures (N, 3, {self.size}, {self.size}) are rebuilt here, found "
                f"{tuple(base.shape)}: scale them with torch.nn.functional.interpolate(..., "
                "mode='area')"
            )
        if not base.isfinite().all():
            raise ValueError("a base picture holds NaN or infinity: leave that pair out")
        for name, pose in (("base", base_keypoints), ("driving", driving_keypoints)):
            wanted = (len(base), len(self.skeleton), 2)
            if tuple(pose.shape) != wanted:
                raise ValueError(
                    f"{len(base)} pairs of {self.skeleton.name} have {name} keypoints {wanted}, "
                    f"found {tuple(pose.shape)}"
                )
            if not pose.isfinite().all():
                bad = (~pose.isfinite()).flatten(1).any(1).nonzero().flatten().tolist()
                raise ValueError(
                    f"the {name} keypoints of {len(bad)} pairs are not finite, the first is pair "
                    f"{bad[0]}: leave out those that `bones.missing` names"
                )


def _moved(features: Tensor, warping: Warping) -> tuple[Tensor, Tensor]:
    """Features (N, C, h, w) moved by D, and C at their resolution, (N, 1, h, w)."""
    size = features.shape[-2], features.shape[-1]
    coarse = warping.displacement.shape
    # How far a pixel moves is scaled, not where it comes from: the identity stays the identity,
    # which interpolated places near the border would not.
    shift = warping.displacement - pixel_centres(coarse[1], coarse[2], warping.displacement)
    shift = _resized(shift.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)  # (N, h, w, 2)
    places = shift + pixel_centres(*size, shift)
    return sample(features, places), _resized(warping.inpainting, size).to(features.dtype)


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (N, C, h, w) at another size: areas on the way down, straight lines on the way up."""
    if maps.shape[-2:] == size:
        return maps
    if maps.shape[-1] > size[-1]:
        return F.interpolate(maps, size, mode="area")
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


@torch.no_grad()
def _initialise(network: Reconstructor, seed: int) -> None:
    """He initialisation from a local generator.

    Masks and inpainting map start from what the bones say alone, so the first pictures are warped
    by bones, not by chance.
    """
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            inputs = layer.in_channels * math.prod(layer.kernel_size)
            layer.weight.normal_(0, math.sqrt(2 / inputs), generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
    for head in (network.warping.masks, network.warping.inpainting):
        head.weight.zero_()
