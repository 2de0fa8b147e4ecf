from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from posenb.flexpose.losses import energy_distance, matching


def test_energy_distance_equals_a_slow_loop():
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(6, 4, generator=random), torch.randn(9, 4, generator=random) + 0.5

    def mean(pairs):
        return np.mean([float((x - y).norm()) for x, y in pairs])

    slow = (
        2 * mean(itertools.product(a, b))
        - mean(itertools.combinations(a, 2))
        - mean(itertools.combinations(b, 2))
    )
    assert float(energy_distance(a, b)) == pytest.approx(slow, abs=1e-6)


def test_energy_distance_is_zero_on_average_for_one_distribution():
    random = torch.Generator().manual_seed(0)
    found = [
        float(
            energy_distance(
                torch.randn(20, 3, generator=random), torch.randn(30, 3, generator=random)
            )
        )
        for _ in range(400)
    ]
    error = np.std(found) / 20
    assert abs(np.mean(found)) < 3 * error
    assert min(found) < 0


def test_energy_distance_has_a_finite_gradient_for_twins():
    a = torch.zeros(4, 3, requires_grad=True)
    energy_distance(a, torch.ones(5, 3)).backward()
    assert a.grad.isfinite().all()


@pytest.mark.parametrize("shapes", [((1, 3), (4, 3)), ((4, 3), (4, 2))])
def test_energy_distance_refuses(shapes):
    with pytest.raises(ValueError, match="two samples"):
        energy_distance(*(torch.rand(*shape) for shape in shapes))


def test_matching_is_the_best_of_all_pairings_and_ignores_a_shift():
    random = torch.Generator().manual_seed(1)
    a, b = torch.rand(6, 3, 2, generator=random), torch.rand(6, 3, 2, generator=random)
    cost = [
        sum(float((a[i] - b[j]).square().sum()) for i, j in enumerate(order))
        for order in itertools.permutations(range(6))
    ]
    best = list(itertools.permutations(range(6)))[int(np.argmin(cost))]
    assert matching(a, b).tolist() == list(best)
    assert matching(a + 7, b).tolist() == list(best)
    with pytest.raises(ValueError, match="equally many"):
        matching(a, b[:5])
