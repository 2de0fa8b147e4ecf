"""FlexPose's tau: matrices at the output of A that move a whole distribution of poses."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posenb.prior.networks import Generator, Styles
from posenb.train import runtime


class StyleTransfer(nn.Module):
    """tau: U_l at some layers' style codes, the identity at the others (FlexPose, Eq. 4 and 6).

    U_l acts on all that A gives, its bias included, as Eq. 4 has it: A_t = tau . A_s. So a
    constant can be moved too, though no vector is added. It starts as the identity, where tau
    changes nothing, bit for bit.

    Args:
        widths: length of each layer's style code, coarsest first.
        layers: numbers l of the layers that get a matrix, from 1.
        bias: also add a vector, which starts at 0. The paper's tau has none.
        linear: False puts a small network in the place of U_l, s + V relu(W s) with V = 0 at
            first, to show what the paper's linear regularisation is for.
        seed: of W, where there is one.

    Raises:
        ValueError: if there is no layer, one is out of range, or one is named twice.
    """

    def __init__(
        self,
        widths: Sequence[int],
        layers: Sequence[int],
        bias: bool = False,
        linear: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.widths, self.layers = tuple(widths), tuple(layers)
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise ValueError(f"expected at least one layer and none twice, found {self.layers}")
        for layer in self.layers:
            if not 1 <= layer <= len(widths):
                raise ValueError(
                    f"layer {layer} is out of range: the generator's style layers are 1 (coarsest) "
                    f"to {len(widths)}"
                )
        random = runtime.generator((seed, 6))
        self.blocks = nn.ModuleDict(
            {
                str(layer): StyleMatrix(widths[layer - 1], bias)
                if linear
                else StyleNetwork(widths[layer - 1], random)
                for layer in self.layers
            }
        )

    def forward(self, styles: Styles, amount: float = 1.0) -> Styles:
        """Style codes moved by tau; an amount between 0 and 1 lies between the identity and tau."""
        moved = list(styles.layers)
        for layer in self.layers:
            code = moved[layer - 1].float()  # (batch, channels)
            moved[layer - 1] = code.lerp(self.blocks[str(layer)](code), amount)
        return Styles(moved, styles.colors)

    def matrix(self) -> Tensor:
        """The one diagonal matrix of Eq. 6, (sum of widths, sum of widths).

        Raises:
            ValueError: if tau is no matrix: it has a bias, or is not linear.
        """
        blocks = []
        for layer, width in enumerate(self.widths, 1):
            block = self.blocks[str(layer)] if layer in self.layers else StyleMatrix(width, False)
            if not isinstance(block, StyleMatrix) or block.bias is not None:
                raise ValueError("this tau is not a matrix: it has a bias, or is not linear")
            blocks.append(block.u.detach())
        return torch.block_diag(*blocks)


class StyleMatrix(nn.Module):
    """U_l, the identity at first, and perhaps a vector to add."""

    def __init__(self, width: int, bias: bool) -> None:
        super().__init__()
        self.u = nn.Parameter(torch.eye(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def forward(self, code: Tensor) -> Tensor:
        """U s of style codes s (batch, width)."""
        with torch.autocast(code.device.type, enabled=False):  # U is nearly I: keep its digits
            return nn.functional.linear(code, self.u, self.bias)


class StyleNetwork(nn.Module):
    """A network in the place of U_l (FlexPose, Table 4 "without linear"); nothing at first."""

    def __init__(self, width: int, random: torch.Generator) -> None:
        super().__init__()
        self.inner = nn.Linear(width, 2 * width)
        self.outer = nn.Linear(2 * width, width)
        with torch.no_grad():
            self.inner.weight.normal_(0, (2 / width) ** 0.5, generator=random)
            self.inner.bias.zero_()
            self.outer.weight.zero_()
            self.outer.bias.zero_()

    def forward(self, code: Tensor) -> Tensor:
        """Style codes (batch, width) of style codes."""
        with torch.autocast(code.device.type, enabled=False):
            return code + self.outer(self.inner(code).relu())


class AdaptedGenerator(nn.Module):
    """g_t = phi . tau . A . f: a generator whose style codes pass through tau (FlexPose, Eq. 4).

    Args:
        source: g_s. A copy is kept, and no gradient is ever computed for it.
        transfer: tau.
    """

    def __init__(self, source: Generator, transfer: StyleTransfer) -> None:
        super().__init__()
        self.source = copy.deepcopy(source).eval().requires_grad_(False)
        self.transfer = transfer
        self.amount = 1.0  # 0: the source, 1: adapted

    @classmethod
    def of(
        cls, source: Generator, layers: Sequence[int], **options: bool | int
    ) -> AdaptedGenerator:
        """With a new tau at these layers; options as in `StyleTransfer`."""
        widths = [len(affine.get_parameter("bias")) for affine in source.affines]
        transfer = StyleTransfer(widths, layers, **options)  # type: ignore[arg-type]
        return cls(source, transfer.to(source.w_mean.device))

    @property
    def layers(self) -> int:
        """Number of style layers L."""
        return self.source.layers

    @property
    def resolution(self) -> int:
        """Height and width of the images."""
        return self.source.resolution

    def sample_z(self, count: int, generator: torch.Generator) -> Tensor:
        """Latent codes (count, style), standard normal."""
        return self.source.sample_z(count, generator)

    def mapping(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """f, the source's."""
        return self.source.mapping(z, truncation)

    def affine(self, w: Tensor | Sequence[Tensor]) -> Styles:
        """delta_t's last part, tau . A."""
        return self.transfer(self.source.affine(w), self.amount)

    def synthesis(self, styles: Styles, noise: torch.Generator | None = None) -> Tensor:
        """phi, the source's."""
        return self.source.synthesis(styles, noise)

    def forward(
        self, z: Tensor, truncation: float = 1.0, noise: torch.Generator | None = None
    ) -> Tensor:
        """Images (batch, 3, S, S) of latent codes (batch, style)."""
        return self.synthesis(self.affine(self.mapping(z, truncation)), noise)

    def between(self, amount: float) -> AdaptedGenerator:
        """This generator with tau pulled towards the identity: I + amount (tau - I).

        Args:
            amount: 0 gives the source's images, 1 the adapted ones; beyond exaggerates.
        """
        other = copy.copy(self)
        other.amount = amount
        return other
