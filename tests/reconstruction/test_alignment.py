"""Alignment of features (Eq. 2) against a double loop, and what tells it from SimCLR's loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from posenb.reconstruction.losses import alignment_loss

Vector = list[float]


def cosine(a: Vector, b: Vector) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.hypot(*a) / math.hypot(*b)


def slow(z: list[Vector], z_plus: list[Vector], tau: float) -> float:
    """Eq. 2, letter by letter."""
    total = 0.0
    for i in range(len(z)):
        below = 0.0
        for k in range(len(z)):
            if k != i:
                below += math.exp(cosine(z[i], z[k]) / tau)
                below += math.exp(cosine(z[i], z_plus[k]) / tau)
        total -= math.log(math.exp(cosine(z[i], z_plus[i]) / tau) / below)
    return total


def features(seed: int, count: int = 5) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, 7, generator=random, dtype=torch.float64)


@given(seed=st.integers(0, 2**31), tau=st.floats(0.1, 2))
def test_the_loss_is_equation_2(seed: int, tau: float) -> None:
    z, z_plus = features(seed)
    wanted = slow(z.tolist(), z_plus.tolist(), tau)
    assert float(alignment_loss(z, z_plus, tau)) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_tau_is_a_half() -> None:
    z, z_plus = features(0)
    torch.testing.assert_close(alignment_loss(z, z_plus), alignment_loss(z, z_plus, 0.5))
    assert alignment_loss(z, z_plus) != alignment_loss(z, z_plus, 0.4)


def test_it_is_not_simclr_s_loss() -> None:
    basis = torch.eye(4, dtype=torch.float64)
    # Pairs agree and others are at right angles: -log(e^2 / (6 e^0)) each, below 0.
    assert float(alignment_loss(basis, basis)) == pytest.approx(4 * (math.log(6) - 2))
    z, z_plus = features(1)
    assert alignment_loss(z, z_plus) != alignment_loss(z_plus, z)  # only z are anchors
    both = alignment_loss(torch.cat([z, z]), torch.cat([z_plus, z_plus]))
    assert both > 2 * alignment_loss(z, z_plus)  # a sum, and more others


@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 100))
def test_only_directions_count(seed: int, scale: float) -> None:
    z, z_plus = features(seed)
    turn = torch.linalg.qr(features(seed + 1, 7)[0]).Q
    torch.testing.assert_close(
        alignment_loss(scale * z @ turn, z_plus @ turn), alignment_loss(z, z_plus)
    )


def test_the_gradient_is_that_of_finite_differences_and_draws_pairs_together() -> None:
    z, z_plus = features(2)
    z.requires_grad_(), z_plus.requires_grad_()
    assert torch.autograd.gradcheck(alignment_loss, (z, z_plus))
    alignment_loss(z, z_plus).backward()
    step = z_plus.detach() - 0.05 * z_plus.grad
    before, after = (torch.cosine_similarity(z.detach(), x).mean() for x in (z_plus.detach(), step))
    assert after > before


def test_features_of_zeros_give_finite_gradients() -> None:
    z = torch.zeros(3, 4, requires_grad=True)
    loss = alignment_loss(z, torch.zeros(3, 4))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(3 * math.log(4))
    assert z.grad is not None and z.grad.isfinite().all()


def test_what_cannot_be_aligned_is_named() -> None:
    with pytest.raises(ValueError, match=r"B from 2.*found \(1, 4\)"):
        alignment_loss(torch.ones(1, 4), torch.ones(1, 4))
    with pytest.raises(ValueError, match=r"\(3, 4\) and \(3, 5\)"):
        alignment_loss(torch.ones(3, 4), torch.ones(3, 5))
    with pytest.raises(ValueError, match="above 0, found 0"):
        alignment_loss(torch.ones(3, 4), torch.ones(3, 4), 0.0)
