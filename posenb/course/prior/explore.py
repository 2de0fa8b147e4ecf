"""The explorer of notebook 01: two latents, truncation, and which layers see the second one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from posenb.course.show import figures
from posenb.course.show.explorer import Choice, Slider, checked
from posenb.prior.networks import Generator, KeypointRegressor, rerender
from posenb.prior.weights import load_generator, load_regressor
from posenb.train import runtime
from posenb.world.skeletons import BODY17

SHOWN = 256  # pixels of a displayed image; enlarged without smoothing

CONTROLS: Mapping[str, Slider | Choice] = {
    "first_seed": Slider("first latent (seed)", 0, 200, 37, 1),
    "second_seed": Slider("second latent (seed)", 0, 200, 9, 1),
    "truncation": Slider("truncation ψ", 0.0, 1.2, 1.0, 0.1),
    "from_layer": Slider("second latent from layer", 1, 9, 1, 1),
    "to_layer": Slider("to layer (0: nowhere)", 0, 9, 3, 1),
    "noise": Choice("noise inputs", ("off", "on"), "off"),
}


@dataclass(frozen=True)
class Mixture:
    """What the explorer shows.

    Attributes:
        images: of the first latent, the second, and the mixture, (3, 3, S, S), not clamped.
        clean: the mixture after beta and alpha (FlexPose, Eq. 8), (3, S, S).
        keypoints: of the mixture, (J, 2) in [0, 1].
        layers: numbers of the layers that see the second latent; the others see the first.
        truncation: psi.
        shift: mean way of a joint from the first image to the mixture, in percent of the image.
    """

    images: Tensor
    clean: Tensor
    keypoints: Tensor
    layers: tuple[int, ...]
    truncation: float
    shift: float


def compute(parameters: Mapping[str, object]) -> Mixture:
    """Mix two latents of the shipped generator `wild` by layer, and read the result with beta.

    Args:
        parameters: a value for each of `CONTROLS`.

    Raises:
        ValueError: if a control is missing, unknown or beyond its range.
    """
    values = checked(CONTROLS, parameters)
    generator, regressor = _networks()
    first, second = (
        generator.mapping(
            generator.sample_z(1, runtime.generator(int(values[name]))), values["truncation"]
        )
        for name in ("first_seed", "second_seed")
    )
    layers = tuple(range(int(values["from_layer"]), int(values["to_layer"]) + 1))
    codes = [
        torch.cat([first, second, second if layer in layers else first])  # (3, style)
        for layer in range(1, generator.layers + 1)
    ]
    noise = runtime.generator(0) if parameters["noise"] == "on" else None
    with torch.no_grad():
        images = generator.synthesis(generator.affine(codes), noise)  # (3, 3, S, S)
        clean, keypoints = rerender(images, regressor)
    shift = 100 * float((keypoints[2] - keypoints[0]).norm(dim=-1).mean())
    return Mixture(images, clean[2], keypoints[2], layers, values["truncation"], shift)


def draw(state: Mixture, figure: Figure) -> None:
    """The two images, their mixture, the mixture re-rendered, and its keypoints."""
    axes = figure.subplots(1, 5)
    pictures = [*state.images, state.clean]
    titles = ["first latent", "second latent", "mixture", "re-rendered"]
    for place, image, title in zip(axes, pictures, titles, strict=False):
        factor = max(1, SHOWN // image.shape[-1])
        large = image.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
        figures.image_grid(large[None], axes=place)
        place.set_title(title, loc="center")
    figures.draw_pose(axes[4], state.keypoints, BODY17, width=4)
    axes[4].set(xlim=(0, 1), ylim=(1, 0), aspect="equal", xticks=(), yticks=())
    axes[4].spines[:].set_visible(True)
    axes[4].set_title("keypoints", loc="center")
    if not state.layers:
        span = "no layer sees the second latent"
    elif len(state.layers) == 1:
        span = f"layer {state.layers[0]} sees the second latent"
    else:
        span = f"layers {state.layers[0]} to {state.layers[-1]} see the second latent"
    figure.suptitle(
        f"{span}: joints move by {state.shift:.1f} % of the image (ψ = {state.truncation:.1f})",
        fontsize=14,
    )


@cache
def _networks() -> tuple[Generator, KeypointRegressor]:
    return load_generator("wild"), load_regressor()
