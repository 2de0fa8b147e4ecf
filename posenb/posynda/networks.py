"""Denoisers: from 2D keypoints and a noisy 3D pose to a clean one (PoSynDA, Eq. 8 and Sec. 3.4).

All have one interface; see `Denoiser`. Defaults are of a size that a laptop trains; `PAPER` is the
paper's. Poses are root-relative, in metres, in the camera's frame (x right, y down, z forward).
"""

from __future__ import annotations

import copy
import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posenb.train import runtime

PAPER = {"width": 512, "depth": 8, "heads": 8, "frames": 243}


class Condition(NamedTuple):
    """What a denoiser knows before it sees any noise; the same for every hypothesis and step.

    Attributes:
        tokens: the embedded 2D keypoints, (N, 1, ...).
        seen: which joints are there, (N, T, J) bool, or None if all are.
    """

    tokens: Tensor
    seen: Tensor | None


class Denoiser(nn.Module, ABC):
    """P of Eq. 8: x0 = P(noisy, keypoints2d, t).

    Args:
        joints: J.
        frames: T, the length of a window.
        root: the joint at the origin; Human3.6M's is 0.
    """

    adapted_layers: tuple[str, ...] = ()  # names of the linear layers that LoRA joins
    bias: nn.Parameter | None  # B of Eq. 11; see `adaptable`

    def __init__(self, joints: int, frames: int, root: int) -> None:
        super().__init__()
        self.joints, self.frames, self.root = joints, frames, root
        self.register_parameter("bias", None)

    def forward(self, noisy: Tensor, keypoints2d: Tensor, t: Tensor) -> Tensor:
        """Clean poses.

        Args:
            noisy: y_t, (N, H, T, J, 3) metres.
            keypoints2d: from the principal point, in the units it was trained with,
                (N, T, J, 2); NaN where a joint was not found.
            t: step of each window, (N,), or of each hypothesis, (N, H).

        Returns:
            Root-relative poses, (N, H, T, J, 3) metres.

        Raises:
            ValueError: for a wrong shape, or joints missing where the network cannot do without.
        """
        condition = self.condition(keypoints2d)
        wanted = (len(keypoints2d), self.frames, self.joints, 3)
        if noisy.ndim != 5 or (len(noisy), *noisy.shape[2:]) != wanted:
            raise ValueError(
                f"noisy poses have shape {tuple(noisy.shape)}, expected (N, H, T, J, 3) with "
                f"N, T, J = {wanted[:3]} of the keypoints and this network"
            )
        if t.shape not in ((wanted[0],), noisy.shape[:2]):
            raise ValueError(
                f"t has shape {tuple(t.shape)}, expected {wanted[:1]} or {tuple(noisy.shape[:2])}"
            )
        return self.denoise(noisy, condition, t)

    def condition(self, keypoints2d: Tensor) -> Condition:
        """Embed the keypoints (N, T, J, 2), once for all hypotheses and steps.

        Raises:
            ValueError: as `seen`.
        """
        seen = self.seen(keypoints2d)
        known = keypoints2d.where(seen[..., None], 0.0)
        return Condition(self.embed(known), None if seen.all() else seen)

    def seen(self, keypoints2d: Tensor) -> Tensor:
        """Which joints of keypoints (N, T, J, 2) are there, (N, T, J).

        Raises:
            ValueError: for a wrong shape, or infinite numbers.
        """
        if keypoints2d.ndim != 4 or keypoints2d.shape[1:] != (self.frames, self.joints, 2):
            raise ValueError(
                f"keypoints have shape {tuple(keypoints2d.shape)}, this network lifts windows "
                f"(N, {self.frames}, {self.joints}, 2): cut them with windows.cut, convert joints "
                "with skeletons.convert"
            )
        seen = ~keypoints2d.isnan().any(-1)  # (N, T, J)
        known = keypoints2d.where(seen[..., None], 0.0)
        if not known.isfinite().all():
            raise ValueError("keypoints are infinite somewhere: a missing joint is NaN")
        return seen

    def denoise(self, noisy: Tensor, condition: Condition, t: Tensor) -> Tensor:
        """As `forward`, with the keypoints embedded already."""
        steps = t if t.ndim == 2 else t[:, None].expand(noisy.shape[:2])  # (N, H)
        poses = self.body(noisy, condition, self.clock(steps.flatten()))  # (N, H, T, J, 3)
        poses = poses.to(noisy)  # under autocast, millimetres still count
        if self.bias is not None:
            poses = poses + self.bias  # Eq. 11
        return poses - poses[..., self.root, None, :]

    @abstractmethod
    def clock(self, t: Tensor) -> Tensor:
        """Embeddings of steps, (N H, channels)."""

    @abstractmethod
    def embed(self, keypoints2d: Tensor) -> Tensor:
        """Tokens (N, 1, ...) of keypoints (N, T, J, 2) without NaN."""

    @abstractmethod
    def body(self, noisy: Tensor, condition: Condition, clock: Tensor) -> Tensor:
        """Poses (N, H, T, J, 3), before bias and root, of noisy ones and clocks (N H, channels)."""


class MixSTE(Denoiser):
    """Attention among the joints of a frame and along the frames of a joint, in turn.

    Zhang et al., 2022, as D3DP made it a denoiser: [2D || noisy 3D] goes in, and the embedded step
    is added before the first block. At `PAPER` size it has 34.84 M parameters.

    Joints that were not found are hidden from all others in every attention; they are predicted
    themselves from what they see.

    Args:
        joints: J.
        frames: T.
        width: channels of a token, a multiple of `heads`.
        depth: number of pairs of a spatial and a temporal block.
        heads: of every attention.
        root: the joint at the origin.
        seed: of the initial weights.

    Raises:
        ValueError: if the width is no multiple of the heads, or is odd.
    """

    adapted_layers = ("qkv", "out")

    def __init__(
        self,
        joints: int = 17,
        frames: int = 27,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        root: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(joints, frames, root)
        if width % heads or width % 2:
            raise ValueError(f"width {width} is not even, or no multiple of {heads} heads")
        self.first = nn.Linear(5, width)
        self.joint_place = nn.Parameter(torch.zeros(joints, width))
        self.frame_place = nn.Parameter(torch.zeros(frames, 1, width))
        self.time = Clock(width, width)
        self.spatial = nn.ModuleList(AttentionBlock(width, heads) for _ in range(depth))
        self.temporal = nn.ModuleList(AttentionBlock(width, heads) for _ in range(depth))
        self.spatial_norm, self.temporal_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3))
        initialise(self, seed)

    def clock(self, t: Tensor) -> Tensor:
        """Embeddings of steps, (N H, width)."""
        return self.time(t, self.first.weight.dtype)

    def embed(self, keypoints2d: Tensor) -> Tensor:
        """The first layer's part that does not see the noise, (N, 1, T, J, width)."""
        weight, bias = self.first.weight[:, :2], self.first.bias
        return (F.linear(keypoints2d.to(weight), weight, bias) + self.joint_place).unsqueeze(1)

    def body(self, noisy: Tensor, condition: Condition, clock: Tensor) -> Tensor:
        """Blocks in turn on tokens (N H, T, J, width)."""
        count, hypotheses = noisy.shape[:2]
        x = F.linear(noisy.to(self.first.weight), self.first.weight[:, 2:]) + condition.tokens
        x = x.flatten(0, 1) + clock[:, None, None]  # (N H, T, J, width)
        among_joints = among_frames = None
        if condition.seen is not None:
            seen = condition.seen.repeat_interleave(hypotheses, 0)  # (N H, T, J)
            among_joints, among_frames = _hidden(seen), _hidden(seen.mT)
        for number, (spatial, temporal) in enumerate(zip(self.spatial, self.temporal, strict=True)):
            x = self.spatial_norm(spatial(x, among_joints))
            x = x + self.frame_place if number == 0 else x
            x = x.transpose(1, 2).contiguous()  # (N H, J, T, width); copied once, not in each layer
            x = self.temporal_norm(temporal(x, among_frames)).transpose(1, 2).contiguous()
        return self.last(x).unflatten(0, (count, hypotheses))


class VideoPose(Denoiser):
    """Convolutions over time that reach ever further (Pavllo et al., 2019), as a denoiser.

    All joints of a frame are one vector. Every convolution is padded with its edge frames, so
    windows keep their length; the receptive field is 3 ** (depth + 1) frames. Batch norm became
    layer norm, because noise of all strengths shares a batch. The embedded step is added after the
    first layer. It has no attention: LoRA joins the layers that mix channels.

    Args:
        joints: J.
        frames: T.
        width: channels.
        depth: number of blocks with dilation 3, 9, ...
        root: the joint at the origin.
        seed: of the initial weights.
    """

    adapted_layers = ("mix",)

    def __init__(
        self,
        joints: int = 17,
        frames: int = 27,
        width: int = 256,
        depth: int = 2,
        root: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(joints, frames, root)
        self.from_2d = nn.Conv1d(2 * joints, width, 3, padding=1, padding_mode="replicate")
        self.from_3d = nn.Conv1d(
            3 * joints, width, 3, padding=1, padding_mode="replicate", bias=False
        )
        self.time = Clock(64, width)
        self.blocks = nn.ModuleList(DilatedBlock(width, 3**n) for n in range(1, depth + 1))
        self.last = nn.Linear(width, 3 * joints)
        initialise(self, seed)

    def clock(self, t: Tensor) -> Tensor:
        """Embeddings of steps, (N H, width)."""
        return self.time(t, self.last.weight.dtype)

    def seen(self, keypoints2d: Tensor) -> Tensor:
        """As for every denoiser, but all joints have to be there."""
        seen = super().seen(keypoints2d)
        if not seen.all():
            raise ValueError(
                f"{int((~seen).sum())} joints are missing (NaN), and VideoPose cannot "
                "leave any out: fill them in, or lift with MixSTE"
            )
        return seen

    def embed(self, keypoints2d: Tensor) -> Tensor:
        """The first layer's part that does not see the noise, (N, 1, width, T)."""
        return self.from_2d(keypoints2d.to(self.last.weight).flatten(2).mT).unsqueeze(1)

    def body(self, noisy: Tensor, condition: Condition, clock: Tensor) -> Tensor:
        """Blocks on frames (N H, width, T)."""
        count, hypotheses = noisy.shape[:2]
        x = self.from_3d(noisy.to(self.last.weight).flatten(3).flatten(0, 1).mT)
        x = (x.unflatten(0, (count, hypotheses)) + condition.tokens).flatten(0, 1)
        x = F.gelu(x + clock[..., None])  # (N H, width, T)
        for block in self.blocks:
            x = block(x)
        poses = self.last(x.mT)  # (N H, T, 3 J)
        return poses.unflatten(-1, (self.joints, 3)).unflatten(0, (count, hypotheses))


DENOISERS: Mapping[str, Callable[..., Denoiser]] = {  # by the names in cards and commands
    "MixSTE": MixSTE,
    "VideoPose": VideoPose,
    "MixSTE-paper": functools.partial(MixSTE, depth=PAPER["depth"], heads=PAPER["heads"]),
}


class Clock(nn.Module):
    """Embedding of a step: sines of many wavelengths, and two layers."""

    def __init__(self, waves: int, width: int) -> None:
        super().__init__()
        self.waves = waves
        self.inner, self.outer = nn.Linear(waves, 2 * width), nn.Linear(2 * width, width)

    def forward(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """Embeddings (count, width) of steps (count,)."""
        half = self.waves // 2
        rate = torch.exp(torch.arange(half, device=t.device) * (-math.log(1e4) / max(half - 1, 1)))
        angle = t[:, None] * rate  # (count, waves / 2)
        waves = torch.cat([angle.sin(), angle.cos()], -1).to(dtype)
        return self.outer(F.gelu(self.inner(waves)))


class AttentionBlock(nn.Module):
    """Attention and a small network, each beside a shortcut; tokens (batch, groups, L, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens of tokens; the mask (batch, groups, L, L) is True where one may look."""
        shape = x.shape
        qkv = self.qkv(self.norm(x)).flatten(0, 1)  # (batch groups, L, 3 width)
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        allowed = None if mask is None else mask.flatten(0, 1).unsqueeze(1)
        found = F.scaled_dot_product_attention(q, k, v, allowed)  # (batch groups, heads, L, d)
        x = x + self.out(found.transpose(1, 2).reshape(shape))
        return x + self.mlp(x)


class DilatedBlock(nn.Module):
    """One convolution over time and one over channels, beside a shortcut; (batch, width, T)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(
            width, width, 3, padding=dilation, dilation=dilation, padding_mode="replicate"
        )
        self.mix = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Frames of frames."""
        inner = F.gelu(self.convolution(self.norm(x.mT).mT))
        return x + self.mix(inner.mT).mT


class LoRA(nn.Module):
    """W0 x + B A x with W0 frozen (PoSynDA, Eq. 10; Hu et al., 2021).

    B is 0 at first, so that it changes nothing, bit for bit.

    Args:
        base: the layer with W0; its own bias stays as it is, too.
        rank: r.
        random: of A.

    Raises:
        ValueError: if the rank is below 1, or not below both sides of W0.
    """

    def __init__(self, base: nn.Linear, rank: int, random: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = base.weight.shape
        if not 1 <= rank < min(outputs, inputs):
            raise ValueError(
                f"rank {rank} for a matrix of {outputs} x {inputs}: expected 1 to "
                f"{min(outputs, inputs) - 1}"
            )
        self.base = base.requires_grad_(False)
        drawn = torch.randn(rank, inputs, generator=random) / math.sqrt(inputs)
        self.a = nn.Parameter(drawn.to(base.weight))
        self.b = nn.Parameter(base.weight.new_zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        """W0 x + B A x of (..., inputs)."""
        return self.base(x) + F.linear(F.linear(x, self.a), self.b)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One ordinary layer with W0 + B A."""
        layer = copy.deepcopy(self.base)
        layer.weight.add_(self.b @ self.a)
        return layer


def adaptable(model: Denoiser, rank: int | None = 4, bias: bool = True, seed: int = 0) -> Denoiser:
    """A copy of a trained denoiser with what PoSynDA learns while it adapts (Sec. 3.4).

    With one A for query, key and value, which are one matrix in MixSTE, r = 4 gives exactly the
    196,608 parameters of Table 3; the bias adds 3 J = 51.

    Args:
        model: trained on the source; it stays as it is.
        rank: r of LoRA, all other weights being frozen; None: all weights learn.
        bias: add B of Eq. 11, which starts at 0.
        seed: of LoRA's A.
    """
    copied = merged(model).requires_grad_(rank is None)
    if rank is not None:
        random = runtime.generator((seed, 7))
        for module in list(copied.modules()):
            for name in copied.adapted_layers:
                layer = getattr(module, name, None)
                if isinstance(layer, nn.Linear):
                    setattr(module, name, LoRA(layer, rank, random))
    if bias and copied.bias is None:
        like = next(copied.parameters())
        copied.bias = nn.Parameter(like.new_zeros(copied.joints, 3))
    if copied.bias is not None:
        copied.bias.requires_grad_(bias)
    return copied


def merged(model: Denoiser) -> Denoiser:
    """A copy with every LoRA multiplied into its layer: as fast as before the adaptation."""
    copied = copy.deepcopy(model)
    for module in list(copied.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, LoRA):
                setattr(module, name, layer.merged())
    return copied


@torch.no_grad()
def initialise(module: nn.Module, seed: int) -> None:
    """Draw the weights of all layers with a generator of their own.

    Places are as large as what layer norm makes of a token. Starting at 0, as is usual, tokens do
    not know for hundreds of steps whose joint they are.
    """
    random = runtime.generator((seed, 8))
    for name, weight in module.named_parameters():
        if weight.is_meta:
            continue
        if name.endswith("place"):
            weight.copy_(torch.randn(weight.shape, generator=random))
        elif name.endswith("bias"):
            weight.zero_()
        elif weight.ndim > 1:
            spread = 1 / math.sqrt(3 * weight[0].numel())
            weight.copy_(spread * torch.randn(weight.shape, generator=random))


def _hidden(seen: Tensor) -> Tensor:
    """Who may look at whom, (batch, groups, L, L): everyone at those seen, and at oneself."""
    own = torch.eye(seen.shape[-1], dtype=torch.bool, device=seen.device)
    return seen.unsqueeze(-2) | own
