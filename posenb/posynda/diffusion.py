"""Diffusion of poses: noise is added step by step, and taken away again (PoSynDA, Sec. 3.4).

The paper's step e is `t` here, counted from 0 (least noise) to T - 1. `alpha_bar[t]` is the share
of the pose's variance that is left, Eq. 7. The denoiser predicts the clean pose, not the noise
(Eq. 8). Schedule and sampler are those of D3DP, from which PoSynDA starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Denoise = Callable[[Tensor, int], Tensor]  # noisy poses (...) and one step t -> clean poses (...)

OFFSET = 0.008  # s of the cosine schedule (Nichol and Dhariwal, 2021, Eq. 17)
LARGEST_BETA = 0.999


class GaussianDiffusion:
    """Forward process and samplers; holds numbers only, nothing that learns.

    Args:
        timesteps: T; the paper's is 1,000.
        bound: noisy poses and predictions are clamped to [-bound, bound] metres, as in D3DP; a
            body reaches 1.1 m from its pelvis. None: never.

    Raises:
        ValueError: if there are fewer than 2 steps, or the bound is not above 0.
    """

    def __init__(self, timesteps: int = 1000, bound: float | None = 1.1) -> None:
        if timesteps < 2 or (bound is not None and not bound > 0):
            raise ValueError(
                "timesteps must be at least 2 and bound above 0 or None, found "
                f"{timesteps} and {bound}"
            )
        self.timesteps, self.bound = timesteps, bound
        self.beta = cosine_beta(timesteps)  # (T,) float64
        self.alpha_bar = torch.cumprod(1 - self.beta, 0)  # (T,) float64

    def clamp(self, poses: Tensor) -> Tensor:
        """Poses within the bound."""
        return poses if self.bound is None else poses.clamp(-self.bound, self.bound)

    def q_sample(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Noisy poses y_t of clean ones (Eq. 7).

        Args:
            clean: y_0, (N, ...).
            t: a step each, (N,), or one for every hypothesis, (N, H), for poses (N, H, ...).
            noise: standard normal, as `clean`.
        """
        kept = self.alpha_bar.to(t.device)[t]  # as t
        kept = kept.reshape(*t.shape, *[1] * (clean.ndim - t.ndim))
        return self.clamp(kept.sqrt().to(clean) * clean + (1 - kept).sqrt().to(clean) * noise)

    def posterior(self, clean: Tensor, noisy: Tensor, t: int) -> tuple[Tensor, float]:
        """q(y_{t-1} | y_t, y_0), from Eq. 6 and 7 by Bayes' rule (Ho et al., 2020, Eq. 6 and 7).

        Args:
            clean: y_0, any shape.
            noisy: y_t, as `clean`.
            t: step, 0 to T - 1; y_{-1} is y_0.

        Returns:
            Mean, as `clean`, and variance.
        """
        now, beta = float(self.alpha_bar[t]), float(self.beta[t])
        before = float(self.alpha_bar[t - 1]) if t else 1.0
        of_clean = math.sqrt(before) * beta / (1 - now)
        of_noisy = math.sqrt(1 - beta) * (1 - before) / (1 - now)
        return of_clean * clean + of_noisy * noisy, beta * (1 - before) / (1 - now)

    def ddpm(self, denoise: Denoise, start: Tensor, random: torch.Generator) -> Tensor:
        """Sample through all T steps (Ho et al., 2020, Algorithm 2), predicting y_0.

        Args:
            denoise: P of Eq. 8 with its condition.
            start: pure noise, any shape.
            random: of the noise of the steps.
        """
        noisy = start
        for t in reversed(range(self.timesteps)):
            clean = self.clamp(denoise(self.clamp(noisy), t))
            noisy, variance = self.posterior(clean, noisy, t)
            if t:
                noisy = noisy + math.sqrt(variance) * _noise(noisy, random)
        return noisy

    def ddim(
        self, denoise: Denoise, start: Tensor, random: torch.Generator, steps: int, eta: float = 1.0
    ) -> Tensor:
        """Sample through K of the T steps (Song et al., 2021, Eq. 12 and 16), predicting y_0.

        With eta = 1 and K = T it is `ddpm`. With eta = 0 nothing is drawn on the way.

        Args:
            denoise: P of Eq. 8 with its condition.
            start: pure noise, any shape.
            random: of the noise of the steps.
            steps: K, 1 to T.
            eta: 0 to 1.

        Raises:
            ValueError: if K or eta is out of range.
        """
        if not 1 <= steps <= self.timesteps or not 0 <= eta <= 1:
            raise ValueError(
                f"steps must be 1 to {self.timesteps} and eta in [0, 1], found {steps} and {eta}"
            )
        times = self.times(steps)
        noisy = clean = start
        for t, following in zip(times, [*times[1:], -1], strict=True):
            clean = self.clamp(denoise(self.clamp(noisy), t))
            if following < 0:
                break
            now, then = float(self.alpha_bar[t]), float(self.alpha_bar[following])
            sigma = eta * math.sqrt((1 - now / then) * (1 - then) / (1 - now))
            # Rounding may leave a little less than 0 here, and the first step with a NaN.
            direction = math.sqrt(max(1 - then - sigma**2, 0.0))
            epsilon = (noisy - math.sqrt(now) * clean) / math.sqrt(1 - now)
            noisy = math.sqrt(then) * clean + direction * epsilon
            if sigma:
                noisy = noisy + sigma * _noise(noisy, random)
        return clean

    def times(self, steps: int) -> list[int]:
        """The K steps that DDIM visits: evenly from T - 1 down to, but without, -1."""
        points = torch.linspace(-1, self.timesteps - 1, steps + 1, dtype=torch.float64)
        return points.round().long().flip(0)[:-1].tolist()


def cosine_beta(timesteps: int) -> Tensor:
    """beta_t of the cosine schedule (Nichol and Dhariwal, 2021, Eq. 17), (T,) float64."""
    x = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    wanted = torch.cos((x + OFFSET) / (1 + OFFSET) * math.pi / 2).square()
    return (1 - wanted[1:] / wanted[:-1]).clamp(0, LARGEST_BETA)


def _noise(like: Tensor, random: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=random, device=like.device, dtype=like.dtype)
