"""How the style network is trained (`python -m posenb train style ...`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from posenb.reconstruction.features import PerceptualFeatures
from posenb.reconstruction.networks import KeypointDetector
from posenb.reconstruction.style import StyleNetwork, style_losses
from posenb.reconstruction.weights import found_in
from posenb.train import loop, runtime
from posenb.world.looks import LOOKS
from posenb.world.rendering import render

POOL = 8  # batches that are rendered at once
VIEWS = 4  # how often a picture is seen on average, beside others each time
_STILL = 4  # every so many-th picture keeps its own style, so that the network learns to do nothing


@dataclass(frozen=True)
class StyleRecipe:
    """How a style network is trained.

    Attributes:
        source: domain of the one half of the pictures.
        target: of the other.
        images: pictures in all, of both.
        size: S, pixels.
        batch: pictures a step, half of each domain.
        learning_rate: the highest of Adam (one cycle).
        style_weight: of the distance in style, where content counts 1.
        still_weight: of the mean error of pictures that should stay as they are.
        seed: of everything.
    """

    source: str = "synthetic"
    target: str = "lab"
    images: int = 3_200
    size: int = 96
    batch: int = 8
    learning_rate: float = 1e-3
    style_weight: float = 3.0
    still_weight: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what would otherwise fail late.

        Raises:
            ValueError: for domains that cannot be rendered or show other things, or batches that
                are not of two halves.
        """
        for domain in (self.source, self.target):
            if domain not in LOOKS:
                raise ValueError(f"domains are {', '.join(LOOKS)}, found {domain!r}")
        if found_in(self.source) is not found_in(self.target):
            raise ValueError(f"{self.source} and {self.target} show different things")
        if self.batch < _STILL or self.batch % 2 or self.images < self.batch:
            raise ValueError(
                f"batch must be even and from {_STILL}, images at least one batch, found "
                f"{self.batch} and {self.images}"
            )

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.images // self.batch


class StyleTask(loop.Saved):
    """Trains a style network, for `train.loop.fit`.

    In each step pictures of both domains swap their styles. Whether they did is judged in the
    pictures themselves and in what a detector's encoder makes of them: moments of all channels are
    to be those of the style's picture, and all that is left without them those of the content's.
    Randomness follows from the seed and the step, so a resumed training goes on exactly.

    Args:
        recipe: what to train.
        detector: of the source; its encoder judges, and learns nothing.
        device: where.
    """

    def __init__(
        self, recipe: StyleRecipe, detector: KeypointDetector, device: torch.device
    ) -> None:
        self.recipe, self.device = recipe, device
        self.network = StyleNetwork(seed=recipe.seed).to(device)
        self.judge = PerceptualFeatures.of_detector(detector, len(detector.stages)).to(device)
        rate = recipe.learning_rate
        self.optimizer = torch.optim.Adam(self.network.parameters(), rate)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, rate, total_steps=recipe.steps, pct_start=0.1
        )
        self._pool: tuple[int, tuple[Tensor, Tensor]] | None = None

    def step(self, step: int) -> dict[str, Tensor]:
        """Swap the styles of some pictures, and do one step."""
        recipe, half = self.recipe, self.recipe.batch // 2
        random = runtime.generator((recipe.seed, step))
        pools = self.pool(step // (POOL * VIEWS))
        source, target = (
            pool[torch.randperm(len(pool), generator=random)[:half].to(self.device)]
            for pool in pools
        )
        content, style = torch.cat([source, target]), torch.cat([target, source])
        strength = (torch.arange(len(content), device=self.device) % _STILL > 0).to(content)
        made = self.network(content, style, strength)
        losses = style_losses(made, content, style, strength, self.judge)
        total = losses["content"] + recipe.style_weight * losses["style"]
        total = total + recipe.still_weight * losses["still"]
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        self.schedule.step()
        return losses

    def pool(self, number: int) -> tuple[Tensor, Tensor]:
        """Pictures of both domains for the steps of one pool: the latest are kept."""
        if self._pool is None or self._pool[0] != number:
            recipe = self.recipe
            random = runtime.generator((recipe.seed, number, POOL))
            seeds = torch.randint(2**62, (2,), generator=random).tolist()
            count = POOL * recipe.batch // 2
            one, two = (
                render(domain, count, seed, recipe.size, device=self.device).images
                for domain, seed in zip((recipe.source, recipe.target), seeds, strict=True)
            )
            self._pool = number, (one, two)
        return self._pool[1]


def train_style(
    recipe: StyleRecipe,
    detector: KeypointDetector,
    folder: Path,
    *,
    device: torch.device | None = None,
    progress: bool = True,
) -> tuple[StyleTask, loop.History]:
    """Train a style network; resumes from its checkpoint, and does nothing if that is finished.

    Args:
        recipe: what to train.
        detector: of the source, the judge.
        folder: where the checkpoint is.
        device: default as in `runtime.device`.
        progress: show a bar.

    Returns:
        The task (its `network` is the style network) and the history.
    """
    task = StyleTask(recipe, detector, device or runtime.device())
    history = loop.fit(
        task,
        recipe.steps,
        checkpoint=folder / f"style-{recipe.source}-{recipe.target}-{recipe.seed}.pt",
        label=f"style {recipe.source} {recipe.target} {recipe.seed}",
        progress=progress,
        identity=asdict(recipe),
    )
    task.network.eval()
    return task, history
