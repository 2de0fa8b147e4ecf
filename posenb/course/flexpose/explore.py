"""What notebook 02 moves: the explorer, and the film of a generator that is being adapted.

The explorer shows one latent through every adapted generator at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from torch import Tensor

from posenb.course.show import figures
from posenb.course.show.explorer import Choice, Slider, checked
from posenb.flexpose.adapt import AdaptTask
from posenb.flexpose.networks import AdaptedGenerator
from posenb.flexpose.weights import SOURCE, VARIANTS, Variant, load_taus
from posenb.measure.distributions import frechet_distance
from posenb.prior.networks import Generator, KeypointRegressor, Styles
from posenb.prior.weights import SkeletonGenerator, load_generator, load_regressor, sample
from posenb.train import runtime
from posenb.train.loop import History
from posenb.world.skeletons import BODY17

SHOWN = 256  # pixels of a displayed image; enlarged without smoothing
ALL = "all"


def _named(layers: tuple[int, ...]) -> str:
    return ", ".join(map(str, layers))


def _choice(label: str, values: list[str], home: str) -> Choice:
    return Choice(label, (ALL, *dict.fromkeys(values)), home)


CONTROLS: Mapping[str, Slider | Choice] = {
    "seed": Slider("latent (seed)", 0, 200, 37, 1),
    "amount": Slider("amount (0: source, 1: adapted)", 0.0, 1.0, 1.0, 0.1),
    "truncation": Slider("truncation ψ", 0.0, 1.2, 1.0, 0.1),
    "objective": _choice("objective", [v.objective for v in VARIANTS], ALL),
    "layers": _choice("layers with a matrix", [_named(v.layers) for v in VARIANTS], ALL),
    "shots": _choice(
        "number of shots", [str(n) for n in sorted({v.shots for v in VARIANTS})], "30"
    ),
}


@dataclass(frozen=True)
class Views:
    """What the explorer shows: one latent through several generators, the source's first.

    Attributes:
        images: (1 + variants, 3, S, S), not clamped.
        keypoints: what beta reads from them, (1 + variants, J, 2) in [0, 1].
        variants: what each image but the first was adapted with; there may be none.
        shifts: mean way of a joint from the source's pose, in percent of the image, one a variant.
        amount: 0 is the source, 1 adapted.
        truncation: psi.
    """

    images: Tensor
    keypoints: Tensor
    variants: tuple[Variant, ...]
    shifts: tuple[float, ...]
    amount: float
    truncation: float


def compute(parameters: Mapping[str, object]) -> Views:
    """Paint one latent with the source and with those shipped generators that are asked for.

    Args:
        parameters: a value for each of `CONTROLS`.

    Raises:
        ValueError: if a control is missing, unknown or beyond its range, or the asset is missing.
    """
    values = checked(CONTROLS, parameters)
    source, regressor, adapted = _networks()
    wanted = {v: network for v, network in adapted.items() if _asked_for(v, parameters)}
    z = source.sample_z(1, runtime.generator(int(values["seed"])))
    with torch.no_grad():
        w = source.mapping(z, values["truncation"])
        views = [
            source.affine(w),
            *(network.between(values["amount"]).affine(w) for network in wanted.values()),
        ]
        images = source.synthesis(_stacked(views))  # (1 + variants, 3, S, S): phi is the source's
        keypoints = regressor(images)  # (1 + variants, J, 2)
    shifts = 100 * (keypoints[1:] - keypoints[0]).norm(dim=-1).mean(1)
    return Views(
        images,
        keypoints,
        tuple(wanted),
        tuple(shifts.tolist()),
        values["amount"],
        values["truncation"],
    )


def draw(state: Views, figure: Figure) -> None:
    """A column a generator: its image above, the pose that beta reads from it below."""
    axes = figure.subplots(2, len(state.images), squeeze=False)
    labels = ["source", *(_label(variant) for variant in state.variants)]
    for place, label, image in zip(axes[0], labels, state.images, strict=True):
        factor = max(1, SHOWN // image.shape[-1])
        large = image.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
        figures.image_grid(large[None], axes=place)
        place.set_title(label, loc="center", fontsize=10)
    ways = ["", *(f"{shift:.1f} %" for shift in state.shifts)]
    for place, way, pose in zip(axes[1], ways, state.keypoints, strict=True):
        figures.draw_pose(place, pose, BODY17, width=3, joints=False)
        place.set(xlim=(0, 1), ylim=(1, 0), aspect="equal", xticks=(), yticks=(), xlabel=way)
        place.spines[:].set_visible(True)
    if not state.shifts:
        said = "no generator was adapted like this: choose other layers, shots or objective"
    else:
        low, high = min(state.shifts), max(state.shifts)
        span = f"{low:.1f} %" if len(state.shifts) == 1 else f"{low:.1f} to {high:.1f} %"
        said = f"joints move by {span} of the image on average"
    figure.suptitle(f"{said} (amount {state.amount:.1f}, ψ = {state.truncation:.1f})", fontsize=14)


class Film:
    """Shows the same latents again and again while a generator is adapted: a callback of `adapt`.

    Attributes:
        frames: number of steps to images (latents, 3, S, S).
        steps: of the curve.
        distances: FD of 256 poses to the reference, one a step of the curve.
    """

    def __init__(
        self, source: Generator, regressor: KeypointRegressor, z: Tensor, real: Tensor, every: int
    ) -> None:
        """Show the source's pictures.

        Args:
            source: before adaptation.
            regressor: beta.
            z: latents (latents, style).
            real: poses that the generator's are compared with, (count, J, 2).
            every: steps from one look to the next, a multiple of the 10 of a logged row.
        """
        self.regressor, self.z, self.real, self.every = regressor, z, real, every
        self.frames: dict[int, Tensor] = {}
        self.steps: list[int] = []
        self.distances: list[float] = []
        self._live = display(Markdown("..."), display_id=True)
        self._look(source, 0)

    def __call__(self, task: AdaptTask, history: History) -> None:
        """Look at the generator, if it is time."""
        if history.step % self.every == 0:
            self._look(task.network, history.step)

    @torch.no_grad()
    def _look(self, network: SkeletonGenerator, step: int) -> None:
        self.frames[step] = network(self.z).clamp(0, 1)
        poses = sample(network, self.regressor, 256, seed=9)
        self.steps.append(step)
        self.distances.append(frechet_distance(self.real, poses))
        text = f"After {step} steps, FD of 256 poses: {self.distances[-1]:.3f}"
        row = figures.image_grid(self.frames[step], scale=1.5)
        row.suptitle(text, fontsize=13)
        if self._live is not None:  # there is a notebook
            self._live.update(figures.Picture(figures.png(row), f"The latents. {text}."))


@cache
def _networks() -> tuple[Generator, KeypointRegressor, dict[Variant, AdaptedGenerator]]:
    source = load_generator(SOURCE)
    return source, load_regressor(), load_taus(source)


def _asked_for(variant: Variant, parameters: Mapping[str, object]) -> bool:
    mine = {
        "objective": variant.objective,
        "layers": _named(variant.layers),
        "shots": str(variant.shots),
    }
    return all(parameters[name] in (ALL, value) for name, value in mine.items())


def _stacked(views: list[Styles]) -> Styles:
    """Style codes of several generators as one batch."""
    layers, colors = zip(*views, strict=True)
    return Styles(
        *([torch.cat(codes) for codes in zip(*part, strict=True)] for part in (layers, colors))
    )


def _label(variant: Variant) -> str:
    name = "layer" if len(variant.layers) == 1 else "layers"
    return f"{variant.objective}\n{name} {_named(variant.layers)}\n{variant.shots} shots"
