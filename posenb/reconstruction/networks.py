"""The keypoint predictor f_kp = f_enc . f_dec (Geometric Reconstruction, Sec. 3.2).

A picture becomes 2 K maps: for each of K keypoints one of heat and one of depth. Softmax and
expectation of the heat give the place (Eq. 5), and the same probabilities read the depth: 2.5D, as
in Iqbal et al., "Hand pose estimation via latent 2.5D heatmap regression" (ECCV 2018), the paper's
[9]. `lifting` makes 3D of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posenb.world.skeletons import BODY17, Skeleton

COARSEST = 16  # pixels a cell of the encoder's last stage
DEVIATION = 2 / 64  # of the Gaussians of Eq. 1 in units of the picture: 2 cells of the paper's 64


class Maps(NamedTuple):
    """What the network says of every cell: 2 K maps a picture.

    Attributes:
        heat: h_p before the softmax of Eq. 5, (N, K, h, w).
        depth: of each keypoint if it were there, (N, K, h, w), in units of `lifting.bone_scale`.
    """

    heat: Tensor
    depth: Tensor


class Detection(NamedTuple):
    """Keypoints in 2.5D.

    Attributes:
        keypoints: in [0, 1] of the picture, x right, y down, (N, K, 2).
        confidence: in [0, 1], (N, K), see `confidence`.
        depth: behind the root, (N, K), in units of the body's root mean square bone length
            (`lifting.bone_scale`): a picture does not say how large a person is.
    """

    keypoints: Tensor
    confidence: Tensor
    depth: Tensor


class KeypointDetector(nn.Module):
    """f_kp: a small ResNet, deconvolutions, 2 K maps.

    The paper's is a ResNet-101 at 256 pixels; this one is for a CPU. So that little is lost on the
    way down, each deconvolution adds what the encoder knew at that resolution.

    Args:
        skeleton: whose K joints are found.
        size: S, pixels of the pictures it is trained on, a multiple of 16.
        widths: channels of the stem and of the three stages at S / 4, S / 8 and S / 16.
        seed: of the initial weights.

    Raises:
        ValueError: for another size, or another number of widths.
    """

    def __init__(
        self,
        skeleton: Skeleton = BODY17,
        size: int = 96,
        widths: tuple[int, ...] = (32, 48, 96, 192),
        seed: int = 0,
    ) -> None:
        super().__init__()
        if size < 2 * COARSEST or size % COARSEST:
            raise ValueError(
                f"size must be a multiple of {COARSEST} from {2 * COARSEST}, found {size}"
            )
        if len(widths) != 4:
            raise ValueError(f"expected 4 widths, of the stem and three stages, found {widths}")
        self.skeleton, self.size, self.widths = skeleton, size, tuple(widths)
        stem, fine, middle, deep = widths
        self.stem = _normed(nn.Conv2d(3, stem, 3, 2, 1, bias=False))
        self.stages = nn.ModuleList(
            [
                nn.Sequential(ResidualBlock(stem, fine, 2)),
                nn.Sequential(ResidualBlock(fine, middle, 2), ResidualBlock(middle, middle)),
                nn.Sequential(ResidualBlock(middle, deep, 2), ResidualBlock(deep, deep)),
            ]
        )
        self.up = nn.ModuleList(
            [
                _normed(nn.ConvTranspose2d(deep, middle, 4, 2, 1, bias=False)),
                _normed(nn.ConvTranspose2d(middle, 64, 4, 2, 1, bias=False)),
            ]
        )
        self.across = nn.ModuleList([nn.Conv2d(middle, middle, 1), nn.Conv2d(fine, 64, 1)])
        self.head = nn.Conv2d(64, 2 * len(skeleton), 1)
        _initialise(self, seed)

    def encode(self, images: Tensor) -> list[Tensor]:
        """f_enc: feature maps at 1/4, 1/8 and 1/16, (N, C, S / k, S / k) each, finest first.

        Args:
            images: RGB in [0, 1], (N, 3, S, S).

        Raises:
            ValueError: for pictures of another shape or size than those it is trained on.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, self.size, self.size):
            raise ValueError(
                f"this detector reads pictures (N, 3, {self.size}, {self.size}), found "
                f"{tuple(images.shape)}: cut squares out, and scale them down with "
                "torch.nn.functional.interpolate(..., mode='area')"
            )
        x = self.stem(images * 2 - 1)  # (N, stem, S / 2, S / 2)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features

    def decode(self, features: list[Tensor]) -> Maps:
        """f_dec: the maps of what `encode` gave."""
        x = features[-1]  # (N, deep, S / 16, S / 16)
        for up, across, skip in zip(self.up, self.across, features[-2::-1], strict=True):
            x = up(x) + across(skip)  # twice as high and wide
        maps = self.head(x).float()  # (N, 2 K, S / 4, S / 4)
        heat, depth = maps.tensor_split(2, dim=1)
        return Maps(heat, depth)

    def maps(self, images: Tensor) -> Maps:
        """Maps of pictures (N, 3, S, S), RGB in [0, 1]."""
        return self.decode(self.encode(images))

    def forward(self, images: Tensor) -> Detection:
        """Keypoints of pictures (N, 3, S, S), RGB in [0, 1]."""
        return read(self.maps(images), self.skeleton)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around which the input goes, too (a ResNet's basic block)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = _normed(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))
        self.second = _normed(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), activate=False)
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.skip = _normed(nn.Conv2d(inputs, outputs, 1, stride, bias=False), activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, outputs, h / stride, w / stride) of features (N, inputs, h, w)."""
        return F.relu(self.second(self.first(x)) + self.skip(x))


def read(maps: Maps, skeleton: Skeleton) -> Detection:
    """Maps to keypoints, their confidence, and their depth behind the skeleton's root.

    The depth is the sum of the Hadamard product of probabilities and depth map (Sec. 3.2).

    Raises:
        ValueError: if the maps are not those of the skeleton's joints.
    """
    if maps.heat.shape[1] != len(skeleton):
        raise ValueError(
            f"found maps of {maps.heat.shape[1]} keypoints, but {skeleton.name} has {len(skeleton)}"
        )
    heat = probabilities(maps.heat)
    keypoints = expectation(heat)
    depth = (heat * maps.depth).sum((-2, -1))  # (N, K)
    root = skeleton.parents.index(-1)
    return Detection(keypoints, confidence(heat, keypoints), depth - depth[:, root, None])


def probabilities(heat: Tensor) -> Tensor:
    """Softmax over the cells of each map (Eq. 5, right), (..., h, w) like the input."""
    return heat.flatten(-2).softmax(-1).view_as(heat)


def expectation(heat: Tensor) -> Tensor:
    """Expected place under probabilities (Eq. 5, left).

    Args:
        heat: of the cells, (..., h, w), of sum 1.

    Returns:
        In [0, 1] of the picture, x right, y down, (..., 2); a cell's place is its centre.
    """
    height, width = heat.shape[-2:]
    x, y = _centres(width, heat), _centres(height, heat)
    # Sums rather than products of matrices, which autocast would round to three digits.
    return torch.stack([(heat.sum(-2) * x).sum(-1), (heat.sum(-1) * y).sum(-1)], dim=-1)


def soft_argmax(heat: Tensor) -> Tensor:
    """Places (..., 2) in [0, 1] of maps (..., h, w) before the softmax (Eq. 5)."""
    return expectation(probabilities(heat))


def gaussians(keypoints: Tensor, height: int, width: int) -> Tensor:
    """Gaussians around keypoints as probabilities: h^gt of Eq. 1, scaled to sum 1.

    The paper's have height 1. In Eq. 5, maps between 0 and 1 would draw every keypoint to the
    middle of the picture: of 4096 cells at e^0 and a few at e^1, the many win.

    Args:
        keypoints: in [0, 1] of the picture, (..., 2).
        height: h, cells.
        width: w, cells.

    Returns:
        (..., h, w).
    """
    x, y = (
        -((_centres(cells, keypoints) - keypoints[..., axis, None]) / DEVIATION).square() / 2
        for axis, cells in enumerate((width, height))
    )
    return y.softmax(-1)[..., :, None] * x.softmax(-1)[..., None, :]


def confidence(heat: Tensor, keypoints: Tensor) -> Tensor:
    """How much probabilities look like the one Gaussian they were trained to be.

    Their correlation with the Gaussian around the place read from them: about 1 for a map as sharp
    as in training, near 0 for one that is spread out, or has two peaks and its expectation between.

    Args:
        heat: of the cells, (..., h, w), of sum 1.
        keypoints: their expectation, (..., 2).

    Returns:
        In [0, 1], (...).
    """
    ideal = gaussians(keypoints, *heat.shape[-2:])
    overlap = (heat * ideal).sum((-2, -1)) / ideal.square().sum((-2, -1))
    return overlap.clamp(0, 1)


def _centres(cells: int, like: Tensor) -> Tensor:
    """Centres of cells along an axis of length 1, (cells,)."""
    return (torch.arange(cells, device=like.device, dtype=like.dtype) + 0.5) / cells


def _normed(convolution: nn.Module, activate: bool = True) -> nn.Sequential:
    """A convolution and batch normalisation, and ReLU or not."""
    outputs = convolution.out_channels
    assert isinstance(outputs, int)
    layers = [convolution, nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, nn.ReLU()) if activate else nn.Sequential(*layers)


@torch.no_grad()
def _initialise(network: nn.Module, seed: int) -> None:
    """He initialisation of all convolutions from a local generator; the head starts small."""
    generator = torch.Generator().manual_seed(seed)
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            continue
        inputs = layer.in_channels * math.prod(layer.kernel_size) / math.prod(layer.stride)
        if isinstance(layer, nn.Conv2d):
            inputs *= math.prod(layer.stride)  # only a transposed one spreads its inputs
        gain = 0.1 if name == "head" else math.sqrt(2)
        layer.weight.normal_(0, gain / math.sqrt(inputs), generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
