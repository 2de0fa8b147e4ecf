from __future__ import annotations

import pytest
import torch

from posenb.flexpose.networks import AdaptedGenerator, StyleTransfer
from posenb.prior.networks import Generator


@pytest.fixture(scope="module")
def source() -> Generator:
    return Generator(16, style_size=8, width=0.25, seed=3).eval()


def latents(count: int = 5) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("layers", [(3,), (1, 2), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("options", [{}, {"bias": True}, {"linear": False}])
def test_identity_changes_nothing_bit_for_bit(source, layers, options):
    adapted = AdaptedGenerator.of(source, layers, **options)
    assert torch.equal(adapted(latents()), source(latents()))


def test_tau_is_the_block_diagonal_matrix_of_equation_6(source):
    adapted = AdaptedGenerator.of(source, (2, 4))
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for block in adapted.transfer.blocks.values():
            block.u.add_(torch.randn(block.u.shape, generator=random))
    styles = source.affine(source.mapping(latents()))
    moved = adapted.affine(adapted.mapping(latents()))
    whole = torch.cat(styles.layers, 1) @ adapted.transfer.matrix().T
    torch.testing.assert_close(torch.cat(moved.layers, 1), whole)
    assert all(torch.equal(a, b) for a, b in zip(moved.colors, styles.colors, strict=True))


def test_amount_runs_in_a_line_from_source_to_adapted(source):
    adapted = AdaptedGenerator.of(source, (1,))
    with torch.no_grad():
        adapted.transfer.blocks["1"].u.mul_(3)
    w = source.mapping(latents())
    ends = source.affine(w).layers[0], adapted.affine(w).layers[0]
    half = adapted.between(0.5).affine(w).layers[0]
    torch.testing.assert_close(half, (ends[0] + ends[1]) / 2)
    assert torch.equal(adapted.between(0.0)(latents()), source(latents()))
    assert torch.equal(adapted.between(1.0)(latents()), adapted(latents()))
    assert adapted.amount == 1


def test_gradients_reach_tau_only(source):
    given = Generator(16, style_size=8, width=0.25, seed=3)  # its weights require gradients
    adapted = AdaptedGenerator.of(given, (3,))
    adapted(latents()).sum().backward()
    reached = {name for name, p in adapted.named_parameters() if p.grad is not None}
    assert reached == {"transfer.blocks.3.u"}
    assert all(p.grad is None and p.requires_grad for p in given.parameters())


def test_matrix_refuses_what_is_none():
    for options in ({"bias": True}, {"linear": False}):
        with pytest.raises(ValueError, match="not a matrix"):
            StyleTransfer((4, 4), (1,), **options).matrix()


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ((0,), "layer 0 is out of range"),
        ((3,), "1 .coarsest. to 2"),
        ((), "at least one"),
        ((1, 1), "none twice"),
    ],
)
def test_layers_must_exist(layers, reason):
    with pytest.raises(ValueError, match=reason):
        StyleTransfer((4, 4), layers)
