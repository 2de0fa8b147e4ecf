from __future__ import annotations

import math

import pytest
import torch

from posenb.posynda.diffusion import GaussianDiffusion, cosine_beta
from posenb.train import runtime

MEAN, SPREAD = 0.4, 0.3  # of the toy target, a normal distribution


def exact(diffusion):
    """The best denoiser of the toy target: E[y_0 | y_t], known in closed form."""

    def denoise(noisy, t):
        kept = float(diffusion.alpha_bar[t])
        gain = math.sqrt(kept) * SPREAD**2 / (kept * SPREAD**2 + 1 - kept)
        return MEAN + gain * (noisy - math.sqrt(kept) * MEAN)

    return denoise


def start(count=40_000, seed=0):
    return torch.randn(count, generator=runtime.generator(seed), dtype=torch.float64)


def test_the_schedule_is_the_cosine():
    steps = 1000
    alpha_bar = GaussianDiffusion(steps).alpha_bar

    def f(t):
        return math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2

    for t in (0, 1, 10, 500, 900, 990):
        assert float(alpha_bar[t]) == pytest.approx(f(t + 1) / f(0), rel=1e-9)
    beta = cosine_beta(steps)
    assert beta.max() == beta[-1] == 0.999 and (beta > 0).all()
    assert (alpha_bar.diff() < 0).all()


def test_noise_added_step_by_step_is_noise_added_at_once():
    """Eq. 6 repeated has the mean and the variance of Eq. 7."""
    diffusion = GaussianDiffusion(50)
    mean, variance = 1.0, 0.0
    for t, beta in enumerate(diffusion.beta.tolist()):
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        kept = float(diffusion.alpha_bar[t])
        assert mean == pytest.approx(math.sqrt(kept), rel=1e-9)
        assert variance == pytest.approx(1 - kept, rel=1e-9)


def test_q_sample_is_equation_7_for_steps_of_windows_and_of_hypotheses():
    diffusion = GaussianDiffusion(bound=None)
    random = runtime.generator(0)
    clean, noise = torch.randn(2, 4, 3, 5, 2, 3, generator=random)
    for t in (torch.tensor([0, 5, 500, 999]), torch.randint(1000, (4, 3), generator=random)):
        noisy = diffusion.q_sample(clean, t, noise)
        for n in range(4):
            for h in range(3):
                kept = float(diffusion.alpha_bar[t[n] if t.ndim == 1 else t[n, h]])
                expected = math.sqrt(kept) * clean[n, h] + math.sqrt(1 - kept) * noise[n, h]
                torch.testing.assert_close(noisy[n, h], expected)
    assert GaussianDiffusion(bound=0.5).q_sample(clean, t, noise).abs().max() == 0.5


def test_the_posterior_is_bayes_rule():
    """Density of y_{t-1} from y_t and y_0 on a grid, without the closed form."""
    diffusion = GaussianDiffusion(20)
    grid = torch.linspace(-6, 6, 20_001, dtype=torch.float64)
    for t in (1, 7, 19):
        clean, noisy = torch.tensor(0.7), torch.tensor(-0.4)
        before, beta = float(diffusion.alpha_bar[t - 1]), float(diffusion.beta[t])
        log = -((grid - math.sqrt(before) * clean) ** 2) / (2 * (1 - before))
        log = log - (noisy - math.sqrt(1 - beta) * grid) ** 2 / (2 * beta)
        density = (log - log.max()).exp()
        density = density / density.sum()
        expected = float((density * grid).sum())
        spread = float((density * (grid - expected) ** 2).sum())
        mean, variance = diffusion.posterior(clean, noisy, t)
        assert float(mean) == pytest.approx(expected, abs=1e-6)
        assert variance == pytest.approx(spread, rel=1e-4)
    mean, variance = diffusion.posterior(clean, noisy, 0)
    assert float(mean) == pytest.approx(0.7) and variance == 0


def test_ddim_of_all_steps_with_eta_1_is_ddpm():
    """With the same noise even the same numbers."""
    diffusion = GaussianDiffusion(60, bound=None)
    denoise, noise = exact(diffusion), start()
    one = diffusion.ddpm(denoise, noise, runtime.generator(1))
    other = diffusion.ddim(denoise, noise, runtime.generator(1), steps=60, eta=1.0)
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_ddpm_samples_the_target():
    diffusion = GaussianDiffusion(1000, bound=None)
    found = diffusion.ddpm(exact(diffusion), start(), runtime.generator(1))
    assert float(found.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(found.std()) == pytest.approx(SPREAD, rel=0.02)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 5, 200])
def test_ddim_has_the_mean_and_variance_that_its_recursion_has(steps, eta):
    """The denoiser is linear, so that both follow in closed form, step by step."""
    diffusion = GaussianDiffusion(200, bound=None)
    denoise = exact(diffusion)
    mean, variance = 0.0, 1.0
    times = diffusion.times(steps)
    for t, following in zip(times, [*times[1:], -1], strict=True):
        now = float(diffusion.alpha_bar[t])
        zero = float(denoise(torch.tensor(0.0, dtype=torch.float64), t))
        gain = float(denoise(torch.tensor(1.0, dtype=torch.float64), t)) - zero
        if following < 0:
            mean, variance = zero + gain * mean, gain**2 * variance
            break
        then = float(diffusion.alpha_bar[following])
        sigma2 = eta**2 * (1 - now / then) * (1 - then) / (1 - now)
        c = math.sqrt(max(1 - then - sigma2, 0)) / math.sqrt(1 - now)
        slope = math.sqrt(then) * gain + c * (1 - math.sqrt(now) * gain)
        offset = (math.sqrt(then) - c * math.sqrt(now)) * zero
        mean, variance = offset + slope * mean, slope**2 * variance + sigma2
    found = diffusion.ddim(denoise, start(), runtime.generator(2), steps, eta)
    assert float(found.mean()) == pytest.approx(mean, abs=0.01)
    assert float(found.std()) == pytest.approx(math.sqrt(variance), rel=0.02, abs=1e-4)
    if steps == 200:  # and the recursion leads to the target
        assert mean == pytest.approx(MEAN, abs=1e-3)
        assert math.sqrt(variance) == pytest.approx(SPREAD, rel=0.03)


@pytest.mark.parametrize("timesteps", [2, 10, 1000])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_first_step_is_no_nan(timesteps, eta):
    diffusion = GaussianDiffusion(timesteps)
    noise = start(10).float()
    for steps in {1, 2, timesteps if timesteps < 1000 else 50}:
        found = diffusion.ddim(lambda y, t: 0.5 * y, noise, runtime.generator(0), steps, eta)
        assert found.isfinite().all() and found.abs().max() <= 1.1


def test_ddim_visits_evenly_spaced_steps():
    diffusion = GaussianDiffusion(1000)
    assert diffusion.times(1) == [999]
    assert diffusion.times(5) == [999, 799, 599, 399, 199]
    assert diffusion.times(1000) == list(range(999, -1, -1))


def test_eta_0_draws_nothing_on_the_way():
    diffusion = GaussianDiffusion(100)
    noise = start(10)
    denoise = exact(diffusion)
    runs = [diffusion.ddim(denoise, noise, runtime.generator(s), 5, 0.0) for s in (1, 2)]
    assert torch.equal(*runs)


@pytest.mark.parametrize(("steps", "eta"), [(0, 1.0), (101, 1.0), (5, -0.1), (5, 1.5)])
def test_steps_and_eta_out_of_range_are_refused(steps, eta):
    with pytest.raises(ValueError, match="steps must be 1 to 100"):
        GaussianDiffusion(100).ddim(lambda y, t: y, start(2), runtime.generator(0), steps, eta)


@pytest.mark.parametrize(("timesteps", "bound"), [(1, 1.0), (10, 0.0)])
def test_a_diffusion_without_sense_is_refused(timesteps, bound):
    with pytest.raises(ValueError, match="timesteps must be at least 2"):
        GaussianDiffusion(timesteps, bound)
