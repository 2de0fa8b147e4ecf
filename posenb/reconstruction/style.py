"""StyleNet: pictures of one domain in the style of another, people and poses kept (Sec. 3.2).

A style is the mean and the deviation of each channel of features: adaptive instance normalisation,
Huang and Belongie, "Arbitrary style transfer in real-time" (ICCV 2017). The paper takes the network
of its reference [24] (ALADIN), which has such layers at every resolution, and so has ours; but that
learned from artworks, with VGG-19 as its judge, and ours learns from rendered pictures of two
domains, with a detector's encoder as its judge, in minutes (`style_training`). It learns both
directions: UniFrame brings target pictures to the source's style, too.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Each channel's mu and sigma of each picture, (N, C, 1, 1) each, of (N, C, h, w)."""
    mean = features.mean((-2, -1), keepdim=True)
    # A channel may be the same everywhere, where the root has no finite slope.
    variance = (features - mean).square().mean((-2, -1), keepdim=True)
    return mean, (variance + 1e-5).sqrt()


def adain(content: Tensor, style: Tensor, strength: Tensor | float = 1.0) -> Tensor:
    """Features with mean and deviation of others (Huang and Belongie 2017, Eq. 8).

        AdaIN(x, y) = sigma(y) (x - mu(x)) / sigma(x) + mu(y)

    Args:
        content: x, (N, C, h, w).
        style: y, (N, C, h', w').
        strength: alpha of their Eq. 14: (1 - alpha) x + alpha AdaIN(x, y), a number or (N,).

    Returns:
        (N, C, h, w).

    Raises:
        ValueError: if pictures or channels differ in number.
    """
    if content.shape[:2] != style.shape[:2]:
        raise ValueError(
            f"found {tuple(content.shape[:2])} pictures and channels of content and "
            f"{tuple(style.shape[:2])} of style, expected equal numbers"
        )
    (mean, deviation), (style_mean, style_deviation) = moments(content), moments(style)
    styled = style_deviation * (content - mean) / deviation + style_mean
    alpha = torch.as_tensor(strength, dtype=content.dtype, device=content.device)
    return content.lerp(styled, alpha.view(-1, 1, 1, 1))


class StyleNetwork(nn.Module):
    """Encoder, AdaIN at each of three resolutions, decoder.

    The picture itself is one more layer: it gets the style's mean and deviation of each colour, and
    the decoder adds what is missing. So nothing is blurred, and without style nothing is changed
    before anything is learned. All units leak: with plain ReLUs the last ones died in 400 steps,
    because to add nothing is the easy way to leave pictures still.

    Args:
        widths: channels at full, half and quarter resolution.
        seed: of the initial weights.
    """

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 64), seed: int = 0) -> None:
        super().__init__()
        fine, middle, deep = widths
        self.encoder = nn.ModuleList(
            [
                nn.Sequential(_convolution(3, fine), nn.LeakyReLU(0.2)),
                nn.Sequential(_convolution(fine, middle, 2), nn.LeakyReLU(0.2)),
                nn.Sequential(
                    _convolution(middle, deep, 2),
                    nn.LeakyReLU(0.2),
                    _convolution(deep, deep),
                    nn.LeakyReLU(0.2),
                ),
            ]
        )
        self.decoder = nn.ModuleList(
            [
                nn.Sequential(_convolution(deep, deep), nn.LeakyReLU(0.2)),
                nn.Sequential(_convolution(deep + middle, middle), nn.LeakyReLU(0.2)),
                nn.Sequential(_convolution(middle + fine, fine), nn.LeakyReLU(0.2)),
            ]
        )
        self.head = _convolution(fine, 3)
        _initialise(self, seed)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Features at 1/1, 1/2 and 1/4 of pictures (N, 3, H, W).

        Raises:
            ValueError: for pictures of another shape, or sides that are no multiple of 4.
        """
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % 4 or images.shape[3] % 4:
            raise ValueError(
                "expected pictures (N, 3, H, W) with H and W multiples of 4, found "
                f"{tuple(images.shape)}"
            )
        x, features = 2 * images - 1, []
        for stage in self.encoder:
            x = stage(x)
            features.append(x)
        return features

    def forward(self, content: Tensor, style: Tensor, strength: Tensor | float = 1.0) -> Tensor:
        """`stylise`, with gradients where the result is inside [0, 1]."""
        pairs = zip(self.encode(content), self.encode(style), strict=True)
        fine, middle, deep = (adain(x, y, strength) for x, y in pairs)
        x = self.decoder[0](deep)  # (N, deep, H / 4, W / 4)
        for decode, skip in zip(self.decoder[1:], (middle, fine), strict=True):
            x = decode(torch.cat([F.interpolate(x, scale_factor=2.0), skip], 1))
        made = adain(content, style, strength) + self.head(x)  # (N, 3, H, W)
        return made.clamp(0, 1)

    @torch.no_grad()
    def stylise(self, content: Tensor, style: Tensor, strength: Tensor | float = 1.0) -> Tensor:
        """Pictures in the style of others.

        Args:
            content: pictures in [0, 1], (N, 3, H, W).
            style: pictures that show the style, (N, 3, H', W').
            strength: 0 (as they were) to 1, a number or (N,).

        Returns:
            (N, 3, H, W) in [0, 1], without gradients.

        Raises:
            ValueError: if pictures differ in number, or cannot be halved twice.
        """
        styled: Tensor = self(content, style, strength)
        return styled


def style_losses(
    made: Tensor, content: Tensor, style: Tensor, strength: Tensor, judge: nn.Module
) -> dict[str, Tensor]:
    """What is wrong with restyled pictures: `content`, `style` and `still`, scalars.

    Args:
        made: restyled pictures, (N, 3, H, W).
        content: what they show.
        style: how they should look.
        strength: (N,), 1: in the style of `style`, 0: as they were.
        judge: gives features of several resolutions; the pictures themselves are one more.
    """
    still = ((made - content).abs().mean((1, 2, 3)) * (1 - strength)).sum()
    swapped = strength / strength.sum().clamp_min(1)
    with torch.no_grad():
        wanted, looks = [content, *judge(content)], [style, *judge(style)]
    off_content, off_style = [], []
    for x, y, z in zip([made, *judge(made)], wanted, looks, strict=True):
        mean, deviation = moments(x)
        style_mean, style_deviation = moments(z)
        # In units of the style's own deviation, so that each resolution counts alike.
        unit = style_deviation.mean(1, keepdim=True)
        off = ((mean - style_mean) / unit).square() + (
            (deviation - style_deviation) / unit
        ).square()
        off_style.append((off.mean((1, 2, 3)) * swapped).sum())
        bare = without_style(x) - without_style(y)
        off_content.append((bare.square().mean((1, 2, 3)) * swapped).sum())
    return {
        "content": torch.stack(off_content).mean(),
        "style": torch.stack(off_style).mean(),
        "still": still / (1 - strength).sum().clamp_min(1),
    }


def without_style(features: Tensor) -> Tensor:
    """Features without their style: every channel with mean 0 and deviation 1."""
    mean, deviation = moments(features)
    return (features - mean) / deviation


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3 x 3 convolution that mirrors at the border: zeros there would be a style, too."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, padding_mode="reflect")


@torch.no_grad()
def _initialise(network: StyleNetwork, seed: int) -> None:
    """He initialisation from a local generator; the head adds nothing at first."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            inputs = layer.in_channels * math.prod(layer.kernel_size)
            layer.weight.normal_(0, math.sqrt(2 / inputs), generator=generator)
            assert layer.bias is not None
            layer.bias.zero_()
    network.head.weight.zero_()
