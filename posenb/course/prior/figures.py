"""Figures of notebook 01 that take more than a few lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from posenb.course.show import figures, style
from posenb.course.teach import cards
from posenb.prior.networks import Generator, KeypointRegressor, rerender
from posenb.train import runtime
from posenb.world.skeletons import BODY17

__all__ = [
    "bar_chart",
    "card_bars",
    "curves",
    "landscape",
    "map_rows",
    "maps",
    "noise",
    "the_idea",
]

Line = tuple[Sequence[float], Sequence[float]]  # x and y


@torch.no_grad()
def the_idea(generator: Generator, regressor: KeypointRegressor, seed: int = 2) -> Figure:
    """One sample on its way: z, f, w, A, style codes, phi, image, beta, keypoints, alpha, image."""
    w = generator.mapping(z := generator.sample_z(1, runtime.generator(seed)))  # (1, 64) each
    styles = generator.affine(w)
    image = generator.synthesis(styles)  # (1, 3, S, S)
    clean, keypoints = rerender(image, regressor)
    widest = max(code.shape[1] for code in styles.layers)
    codes = torch.full((len(styles.layers), widest), torch.nan)
    for row, code in zip(codes, styles.layers, strict=True):
        row[: code.shape[1]] = code[0]
    titles = [
        "latent $z$",
        "$w$",
        f"{len(codes)} style codes",
        "picture",
        "keypoints",
        "re-rendered",
    ]
    figure = style.new_figure(13, 2.3)
    axes = figure.subplots(1, 11, width_ratios=[1, 0.36] * 5 + [1])
    maps(axes[:5:2], [z.view(8, 8), w.view(8, 8), codes], aspect="auto")
    figures.image_grid(image, axes=axes[6])
    figures.draw_pose(axes[8], keypoints[0], BODY17, width=2.5)
    axes[8].set(xlim=(0, 1), ylim=(1, 0))
    figures.image_grid(clean, axes=axes[10])
    for place, title in zip(axes[::2], titles, strict=True):
        place.set(xticks=(), yticks=(), box_aspect=1)
        place.set_title(title, loc="center", fontsize=13)
    head = {"arrowstyle": "-|>", "lw": 2.5, "color": style.INK, "mutation_scale": 18}
    for place, name in zip(axes[1::2], ("$f$", "$A$", "$φ$", "$β$", "$α$"), strict=True):
        place.set_axis_off()
        place.annotate("", (1.25, 0.5), (-0.25, 0.5), xycoords="axes fraction", arrowprops=head)
        place.text(0.5, 0.6, name, ha="center", fontsize=17, transform=place.transAxes)
    return figure


def maps(
    places: Sequence[Axes],
    values: Sequence[Tensor],
    titles: Sequence[str] = (),
    limit: float | None = None,
    points: Sequence[Tensor] = (),
    aspect: Literal["equal", "auto"] = "equal",
) -> AxesImage:
    """Fields of numbers side by side, dark for small and bright for large.

    Args:
        places: where to draw, one a field.
        values: fields (height, width), from NaN (white) to any size.
        titles: one a field, or none.
        limit: colours reach from -limit to limit; each field has its own range if None.
        points: one a field, (2,) in [0, 1], x before y: marked by a cross; or none.
        aspect: "equal" for square cells, "auto" to fill the axes.

    Returns:
        The last field drawn, for a colour bar.
    """
    for place, field in zip(places, values, strict=True):
        extent = (0.0, 1.0, 1.0, 0.0) if len(points) else None
        low = None if limit is None else -limit
        shown = place.imshow(field, "cividis", aspect=aspect, vmin=low, vmax=limit, extent=extent)
        shown.set_interpolation("nearest")
        place.set(xticks=(), yticks=())
    for place, title in zip(places, titles, strict=False):
        place.set_title(title, loc="center", fontsize=13)
    for place, point in zip(places, points, strict=False):
        x, y = point.tolist()
        place.scatter(x, y, s=90, marker="+", color="white", linewidths=2)
    return shown


def map_rows(rows: Mapping[str, Sequence[Tensor]], titles: Sequence[str], limit: float) -> Figure:
    """Rows of `maps`, each with its name on the left, one range of colours for all.

    Args:
        rows: name to fields (height, width), equally many a row.
        titles: over the first row, one a column.
        limit: colours reach from -limit to limit.
    """
    figure = style.new_figure(1.2 * len(titles), 1.5 * len(rows))
    for number, (places, (name, fields)) in enumerate(
        zip(figure.subplots(len(rows), len(titles)), rows.items(), strict=True)
    ):
        maps(places, fields, titles if number == 0 else (), limit)
        places[0].set_ylabel(name)
    return figure


def noise(strengths: Sequence[float], images: Tensor) -> Figure:
    """How strong each layer's noise is, one image, and where images of one latent differ.

    Args:
        strengths: one a layer.
        images: of one latent under different noise, (N, 3, S, S).
    """
    figure = style.new_figure(12, 4)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    labels = [f"layer {number}" for number in range(1, len(strengths) + 1)]
    figures.bars(left, labels, {"noise": strengths}, "learnt strength")
    figures.image_grid(images[:1], axes=middle)
    middle.set_title("one sample", loc="center", fontsize=13)
    shown = maps([right], [images.std(0).mean(0)], ["where noise acts"])
    figure.colorbar(shown, ax=[middle, right], label="standard deviation", shrink=0.8)
    return figure


def curves(
    panels: Mapping[str, tuple[str, Mapping[str, Line]]],
    xlabel: str,
    size: tuple[float, float],
    room: float = 0.3,
) -> Figure:
    """Panels of curves side by side, each curve named at its end.

    Args:
        panels: title of a panel to the label of its y axis and its curves, name to x and y.
        xlabel: of all panels.
        size: of the figure, inches.
        room: share of the axis that is left free on the right, for the names.
    """
    figure = style.new_figure(*size)
    places = figure.subplots(1, len(panels), squeeze=False)[0]
    for place, (title, (ylabel, lines)) in zip(places, panels.items(), strict=True):
        figures.loss_curve(place, lines, xlabel=xlabel, ylabel=ylabel)
        left, right = place.get_xlim()
        place.set(xlim=(left, right + room * (right - left)), title=title)
    return figure


def bar_chart(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    xlabel: str,
    size: tuple[float, float],
) -> Figure:
    """One panel of `posenb.course.show.figures.bars`, with a title."""
    figure = style.new_figure(*size)
    axes = figure.subplots()
    figures.bars(axes, labels, series, xlabel=xlabel)
    axes.set_title(title)
    return figure


def card_bars(
    card: Mapping[str, Any],
    labels: Sequence[str],
    panels: Mapping[str, tuple[str, str, float]],
    size: tuple[float, float],
) -> Figure:
    """Metrics of a result card side by side: means and 95 % intervals over seeds.

    Args:
        card: from `posenb.course.teach.cards.load`.
        labels: of its rows.
        panels: metric to title, label of its axis, and factor on its numbers.
        size: of the figure, inches.
    """
    figure = style.new_figure(*size)
    places = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for number, (metric, (title, xlabel, scale)) in enumerate(panels.items()):
        colors = {metric: style.CATEGORIES[number].color}
        values = {metric: cards.intervals(card, metric, scale)}
        figures.bars(places[number], labels, values, xlabel, colors=colors)
        places[number].set_title(title)
    return figure


def landscape(
    hills: Mapping[str, Callable[[Tensor], Tensor]], images: Mapping[str, Sequence[float]]
) -> Figure:
    """Logits of discriminators over a line of pictures, and where on it the pictures are.

    Args:
        hills: name to a function from places in [0, 1] to logits.
        images: "generated" and "real" to their places on the line.
    """
    line = torch.linspace(0, 1, 200)
    curve = {name: (line.tolist(), hill(line).tolist()) for name, hill in hills.items()}
    figure = curves({"": ("logit", curve)}, "all pictures, on a line", (10, 3.8), room=0.1)
    (axes,) = figure.axes
    for (name, places), role in zip(images.items(), ("prediction", "truth"), strict=True):
        own = style.look(role)
        axes.scatter(
            places, [-7.0] * len(places), s=120, color=own.color, marker=own.marker, clip_on=False
        )
        axes.text(places[-1] + 0.03, -7, name, va="center")
    axes.set(ylim=(-7.8, 6), xticks=())
    return figure
