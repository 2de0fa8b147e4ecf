"""Alignment of features (Eq. 2) against a double loop, and the training with it (Eq. 10)."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from posenb.reconstruction import KeypointDetector, training
from posenb.reconstruction.alignment import AlignedRecipe, AlignedTask, train_aligned
from posenb.reconstruction.losses import alignment_loss, supervised_loss
from posenb.reconstruction.style import StyleNetwork
from posenb.reconstruction.training import DetectorRecipe, Labelled
from posenb.train import checkpoints, loop

Vector = list[float]
CPU = torch.device("cpu")
TINY = AlignedRecipe(images=48, size=32, batch=8, seed=3)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that a test can train."""
    widths = (16, 16, 32, 32)
    monkeypatch.setattr(
        DetectorRecipe,
        "network",
        lambda self: KeypointDetector(self.skeleton, self.size, widths, self.seed),
    )


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


def test_shipped_detectors_keep_their_recipe() -> None:
    record = checkpoints.load_provenance("detector_synthetic")
    assert set(asdict(DetectorRecipe())) == set(record["configuration"])


@pytest.mark.usefixtures("small")
def test_the_loss_is_equation_10() -> None:
    recipe = replace(TINY, align_weight=0.2, temperature=0.7)
    task = AlignedTask(recipe, StyleNetwork(), CPU, autocast=False)
    random = torch.Generator().manual_seed(0)
    batch = Labelled(
        *(torch.rand(s, generator=random) for s in ((8, 3, 32, 32), (8, 17, 2), (8, 17)))
    )
    looks = torch.rand(32, 3, 32, 32, generator=random)
    task._looks = 0, looks
    total, scalars = task.loss(batch, 0, torch.Generator().manual_seed(5))

    draw = torch.Generator().manual_seed(5)
    style = looks[torch.randperm(32, generator=draw)[:8]]
    restyled = task.style.stylise(batch.images, style, torch.rand(8, generator=draw))
    features = task.network.encode(torch.cat([batch.images, restyled]))
    both = Labelled(*(torch.cat([part, part]) for part in batch))
    maps = task.network.decode(features)
    first = supervised_loss(maps, both.keypoints, both.depth, TINY.skeleton, TINY.depth_weight)
    z = features[-1].flatten(2).mean(-1).tolist()
    wanted = slow(z[:8], z[8:], 0.7)
    assert float(scalars["align"].detach()) == pytest.approx(wanted, rel=1e-4)
    torch.testing.assert_close(total, first.total + 0.2 * wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_aligned_training_aligns_and_leaves_the_style_alone(tmp_path: Path) -> None:
    style = StyleNetwork()
    kept = checkpoints.state_hash(style.state_dict())
    task, history = train_aligned(TINY, style, tmp_path, device=CPU, progress=False)
    assert history.step == 6 and checkpoints.state_hash(style.state_dict()) == kept
    again, same = train_aligned(TINY, style, tmp_path, device=CPU, progress=False)
    assert same.rows == history.rows
    assert checkpoints.state_hash(again.state_dict()) == checkpoints.state_hash(task.state_dict())
    with pytest.raises(ValueError, match="style = "):
        train_aligned(TINY, StyleNetwork(seed=1), tmp_path, device=CPU, progress=False)

    longer = AlignedTask(replace(TINY, images=8 * 30), style, CPU)
    _, values = loop.fit(longer, 30, progress=False, log_every=5).series("align")
    assert values[-1] < values[0]
    assert len(longer.looks(0)) == training.POOL * 8
    assert not torch.equal(longer.looks(0), longer.looks(1))


def test_bad_recipes_are_named() -> None:
    with pytest.raises(ValueError, match="target must show what synthetic does"):
        AlignedRecipe(target="hands_real")
    with pytest.raises(ValueError, match="batch from 2"):
        AlignedRecipe(batch=1)
