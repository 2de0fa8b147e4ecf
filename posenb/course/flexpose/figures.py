"""Figures of notebook 02: each draws what it is given, and returns the figure.

Grids of skeletons, tables and single bars are those of `posenb.course.show.figures`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from torch import Tensor

from posenb.course.show import figures, style
from posenb.course.teach import cards
from posenb.measure.keypoints import joint_angles, joint_triplets
from posenb.world.skeletons import BODY17

__all__ = [
    "anatomy",
    "bar_panels",
    "curve_panels",
    "fewer_pairs",
    "method_bars",
    "method_map",
    "random_pairs",
    "reached",
    "scatter",
    "tau_blocks",
    "the_idea",
    "tsne",
    "tsne_maps",
    "tuning_map",
    "what_differs",
]

Interval = tuple[float, float, float]  # mean, low and high end
TILTED, BENT = 45.0, 120.0  # degrees: a trunk that does not stand, a knee that is bent
BONES = {
    "thigh": ("right_hip", "right_knee"),
    "shin": ("right_knee", "right_ankle"),
    "hip": ("pelvis", "right_hip"),
    "shoulder": ("neck", "right_shoulder"),
}


def the_idea(clouds: Mapping[str, Tensor], target: Tensor, change: Tensor) -> Figure:
    """Poses before and after, each beside the target's, and what was put between them.

    Args:
        clouds: "source" and "adapted" to poses (N, J, 2).
        target: (M, J, 2), M >= N; its principal directions are the axes.
        change: tau - I, (codes, codes).
    """
    figure = style.new_figure(13.5, 4.4)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 0.95, 1])
    titles = ("before", "after")
    for axes, title, (name, poses) in zip((left, right), titles, clouds.items(), strict=True):
        figures.pose_map(axes, {"target": target[: len(poses)], name: poses}, reference=target)
        axes.set(xlim=(-1.2, 1.6), ylim=(-1.3, 1.4))
        axes.set_title(title, loc="center")
    reach = float(3 * change[change != 0].std())
    middle.imshow(change, cmap="RdBu", vmin=-reach, vmax=reach, interpolation="antialiased")
    middle.set(xticks=(), yticks=())
    middle.grid(visible=False)
    middle.set_title("τ − I", loc="center")
    return figure


def anatomy(keypoints: Tensor) -> dict[str, float]:
    """Pivot, joints and bones of poses (N, 17, 2) in three numbers, each in percent."""
    return {
        "tilted by more than 45°, %": 100 * float((_tilt(keypoints).abs() > TILTED).float().mean()),
        "knee below 120°, %": 100 * float((_knees(keypoints) < BENT).float().mean()),
        "hip, share of bones, %": _shares(keypoints)["hip"],
    }


def what_differs(sets: Mapping[str, Tensor]) -> Figure:
    """What the paper names as the gap: pivot orientation, joint rotation, bone length ratio.

    Args:
        sets: "source" and "target" to poses (N, 17, 2) in the image, y down.
    """
    figure = style.new_figure(13.5, 4.2)
    panels = figure.subplots(1, 3, width_ratios=[1, 1, 1.15])
    measures = (
        ("Pivot orientation", _tilt, "tilt of the trunk, degrees", torch.linspace(-180, 180, 25)),
        ("Joint rotation", _knees, "angle of a knee, degrees", torch.linspace(0, 180, 25)),
    )
    for axes, (title, measure, label, edges) in zip(panels[:2], measures, strict=True):
        for name, poses in sets.items():
            counts, look = torch.histogram(measure(poses), edges).hist, style.look(name)
            axes.plot(
                (edges[1:] + edges[:-1]) / 2,
                100 * counts / counts.sum(),
                color=look.color,
                marker=look.marker,
                markevery=3,
                label=name,
            )
        axes.set(xlabel=label, ylabel="poses, %", title=title, ylim=(0, None))
    panels[0].legend()
    shares = {name: list(_shares(poses).values()) for name, poses in sets.items()}
    figures.bars(panels[2], list(BONES), shares, xlabel="share of all bones, %")
    panels[2].set_title("Bone length ratio")
    panels[2].get_legend().remove()
    return figure


def tau_blocks(matrix: Tensor, widths: Sequence[int], learned: int) -> Figure:
    """The matrix of tau, a white square around every layer's block.

    Args:
        matrix: (codes, codes).
        widths: of the layers' style codes, coarsest first.
        learned: how many of the coarsest layers have a matrix U of their own.
    """
    figure = style.new_figure(6.4, 5.4)
    axes = figure.subplots()
    axes.imshow(matrix.abs().clamp(max=0.1).sqrt(), cmap="cividis", interpolation="antialiased")
    low = 0
    for layer, width in enumerate(widths, 1):
        high = low + width
        square = [low, high, high, low, low], [low, low, high, high, low]
        axes.plot(*square, marker="", color="white", lw=1.2)
        if layer < 6:  # the finer ones are too small for a name
            name = f"$U_{layer}$" if layer <= learned else "$I$"
            axes.text(high + 8, (low + high) / 2, name, color="white", va="center", fontsize=15)
        low = high
    axes.set(xlim=(0, low), ylim=(low, 0), title="τ, block by block")
    axes.set(xlabel="style codes of all nine layers, in", ylabel="out")
    axes.grid(visible=False)
    return figure


def random_pairs(
    simulated: Mapping[int, Mapping[int, float]], formula: Callable[[Tensor, int], Tensor]
) -> Figure:
    """The variance that a linear fit to random pairs keeps at new latents.

    Args:
        simulated: width d to number of pairs to the share kept.
        formula: (pairs, d) to the share.
    """
    figure = style.new_figure(10, 4.6)
    axes = figure.subplots()
    for (width, points), look in zip(simulated.items(), style.CATEGORIES, strict=False):
        line = torch.linspace(min(points), 2_000, 400)
        axes.plot(line, formula(line, width), color=look.color, marker="")
        pairs, shares = list(points), list(points.values())
        axes.plot(pairs, shares, color=look.color, marker=look.marker, linestyle="")
        end = float(formula(torch.tensor(2_000.0), width))
        axes.text(2_050, end, f"d = {width}", color=look.color, weight="bold", va="center")
    axes.axhline(1, color=style.FAINT, linestyle="--")
    axes.text(66, 1.12, "all of it", color=style.INK)
    axes.axvline(1_000, color=style.FAINT, linestyle=":")
    axes.set(xscale="log", yscale="log", xlim=(64, 2_700), ylim=(0.02, 40))
    axes.set(xlabel="pairs n", ylabel="share of variance kept")
    axes.set_xticks([100, 200, 500, 1_000, 2_000], ["100", "200", "500", "1,000", "2,000"])
    axes.set_title("How much of unrelated targets a linear fit keeps at new latents")
    return figure


def fewer_pairs(card: cards.Card, formula: Callable[[Tensor, int], Tensor]) -> Figure:
    """The spread of our generator after training on random pairs (card `flexpose.pairs`)."""
    counts = [row["pairs"] for row in card["rows"]]
    means, low, high = zip(*cards.intervals(card, "spread"), strict=True)
    figure = style.new_figure(9.5, 4.4)
    axes = figure.subplots()
    look, line = style.look("adapted"), torch.linspace(140, 1_000, 300)
    axes.plot(counts, means, color=look.color, marker=look.marker, label="our generator")
    axes.fill_between(counts, low, high, color=look.color, alpha=0.2, linewidth=0)
    toy = formula(line, 64)
    axes.plot(line, toy, color=style.FAINT, linestyle="--", marker="", label="linear toy, d = 64")
    axes.set(xscale="log", xlabel="pairs", ylabel="spread, relative to real poses", ylim=(0, 1))
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.set_title("The paper's objective with fewer pairs")
    axes.legend()
    return figure


def curve_panels(
    curves: Iterable[tuple[str, str, Sequence[float], Sequence[float]]],
    titles: Sequence[str],
    size: tuple[float, float],
) -> Figure:
    """Curves of the adapted generator side by side, each from 0.

    Args:
        curves: (label of x, label of y, x, y), one a panel.
        titles: one a panel.
        size: inches.
    """
    figure, look = style.new_figure(*size), style.look("adapted")
    panels = figure.subplots(1, len(titles))
    for axes, title, (xlabel, ylabel, x, y) in zip(panels, titles, curves, strict=True):
        every = 3 if len(x) > 7 else 1
        axes.plot(x, y, color=look.color, marker=look.marker, markevery=every)
        axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
        axes.set_title(title)
    return figure


def bar_panels(
    panels: Mapping[str, Mapping[str, Interval]],
    size: tuple[float, float],
    rows: int = 1,
    xlabel: str | None = None,
    references: Mapping[str, Mapping[str, float]] | None = None,
    shared: bool = True,
    changes: bool = False,
) -> Figure:
    """Panels of bars with intervals.

    Args:
        panels: name of a panel to (name of a bar to its interval).
        size: inches.
        rows: of panels.
        xlabel: what all panels show; then their names are titles, else they are the labels.
        references: name of a panel to its dashed lines, see `figures.bars`.
        shared: all panels have the same bars.
        changes: of something else's numbers: mark 0.
    """
    figure = style.new_figure(*size)
    grid = figure.subplots(rows, len(panels) // rows, sharey=shared, squeeze=False).flat
    for axes, (name, found) in zip(grid, panels.items(), strict=True):
        lines = (references or {}).get(name)
        series = {"adapted": list(found.values())}
        figures.bars(axes, list(found), series, xlabel or name, lines)
        if xlabel:
            axes.set_title(name)
        if changes:
            axes.axvline(0, color=style.INK)
    return figure


def method_bars(card: cards.Card, methods: Sequence[str]) -> Figure:
    """FD, recall, precision and misread of rows of a Table 1; without pictures, no misread."""
    panels: dict[str, dict[str, Interval]] = {}
    for metric in ("FD", "recall", "precision", "misread"):
        has = [m for m in methods if metric in cards.row(card, poses=m)["metrics"]]
        scale, label = (100, "misread, %") if metric == "misread" else (1, metric)
        panels[label] = {m: cards.intervals(card, metric, scale, poses=m)[0] for m in has}
    return bar_panels(panels, (13.5, 8), rows=2, shared=False)


def tuning_map(card: cards.Card, methods: Sequence[str]) -> Figure:
    """FD and misread of every setting that was tried; a ring around the one of lowest FD."""
    figure = style.new_figure(11, 5)
    axes = figure.subplots()
    for look, method in zip(style.CATEGORIES, methods, strict=False):
        tried = [r for r in card["rows"] if r["poses"] == method and not r["change"]]
        found = [tuple(r["metrics"][m]["mean"] for m in ("FD", "misread")) for r in tried]
        x, y = [fd for fd, _ in found], [100 * misread for _, misread in found]
        axes.scatter(x, y, s=60, color=look.color, marker=look.marker, alpha=0.5)
        at = x.index(min(x))
        edge = look.color
        axes.scatter(x[at], y[at], s=260, facecolors="none", edgecolors=edge, linewidths=2)
        axes.text(x[at] - 0.004, y[at] - 7, method, color=look.color, weight="bold")
    axes.set(xlabel="FD to stage (lower is better)", ylabel="misread, % (lower is better)")
    axes.set(xlim=(0.09, None), ylim=(25, None))
    axes.set_title("Every learning rate and length that was tried; a ring: chosen, by FD")
    return figure


def method_map(card: cards.Card, families: Mapping[str, Sequence[str]]) -> Figure:
    """Recall against FD, a panel a family, the other families in grey behind it.

    Args:
        card: a Table 1.
        families: name to its rows of the card.
    """
    figure = style.new_figure(13.5, 9.5)
    grid = figure.subplots(2, len(families) // 2, sharex=True, sharey=True)
    places = {
        method: [cards.intervals(card, metric, poses=method)[0] for metric in ("FD", "recall")]
        for methods in families.values()
        for method in methods
    }
    for axes, (family, methods), look in zip(
        grid.flat, families.items(), style.CATEGORIES, strict=False
    ):
        axes.set(yscale="log", xlim=(0, 0.45), ylim=(2e-4, 0.4))
        axes.set_title(family, color=look.color)
        for method, ((x, *ends), (y, low, high)) in places.items():
            if method not in methods:
                axes.scatter(x, y, s=40, c="#CCCCCC", marker="o", zorder=1)
                continue
            bars = [[y - max(low, 0.3 * y)], [high - y]], [[x - ends[0]], [ends[1] - x]]
            mark = {"fmt": look.marker, "color": look.color, "markersize": 10, "lw": 1.5}
            axes.errorbar(x, y, *bars, **mark)
        named = {m.replace(" of the target", ""): places[m] for m in methods}
        figures.name_points(axes, {name: (x[0], y[0]) for name, (x, y) in named.items()})
    figure.supxlabel("FD (lower is better)")
    figure.supylabel("recall (higher is better)")
    return figure


def reached(coverage: Mapping[str, Sequence[float]]) -> Figure:
    """Of held-out poses, the share with a neighbour in each set: upright actions, floor exercises.

    Args:
        coverage: name of a set to both shares, percent.
    """
    figure = style.new_figure(9.5, 3.4)
    axes, kinds = figure.subplots(), ("upright actions", "floor exercises")
    figures.bars(axes, kinds, coverage, "held-out poses with a neighbour, %")
    axes.set_title("What is reached (target: as many training poses)")
    return figure


def tsne(sets: Mapping[str, Tensor], perplexity: float, seed: int) -> dict[str, Tensor]:
    """t-SNE of sets of poses (N, J, 2) together: the place (N, 2) of each.

    Args:
        sets: name to poses.
        perplexity: roughly, how many neighbours each point cares about.
        seed: of the first placement.
    """
    points = torch.cat(list(sets.values())).flatten(1)
    model = TSNE(perplexity=perplexity, random_state=seed, init="random", max_iter=600)
    places = torch.from_numpy(model.fit_transform(points.numpy()))
    return dict(zip(sets, places.split([len(poses) for poses in sets.values()]), strict=True))


def tsne_maps(sets: Mapping[str, Tensor], perplexities: Sequence[float]) -> Figure:
    """The same sets of poses (N, J, 2) in a t-SNE map for each perplexity."""
    figure = style.new_figure(13.5, 4.4)
    for axes, perplexity in zip(figure.subplots(1, len(perplexities)), perplexities, strict=True):
        scatter(axes, tsne(sets, perplexity, seed=0), legend=False)
        axes.set_title(f"perplexity {perplexity:g}", loc="center")
    return figure


def scatter(axes: Axes, places: Mapping[str, Tensor], legend: bool = True) -> None:
    """Sets of points (N, 2) of a map whose axes mean nothing, in the colours of their roles."""
    for name, points in places.items():
        look = style.look(name)
        x, y = points.T
        axes.scatter(x, y, s=26, c=look.color, marker=look.marker, alpha=0.5, linewidths=0)
        axes.scatter([], [], s=70, c=look.color, marker=look.marker, label=name)
    axes.set(xticks=(), yticks=())
    if legend:
        axes.legend(loc="upper left", frameon=True, edgecolor="none", fontsize=11)


def _tilt(keypoints: Tensor) -> Tensor:
    """Angle between trunk and upright in the image, degrees, (N,)."""
    trunk = keypoints[:, BODY17.index("neck")] - keypoints[:, BODY17.index("pelvis")]
    x, y = trunk.unbind(-1)
    return torch.rad2deg(torch.atan2(x, -y))


def _knees(keypoints: Tensor) -> Tensor:
    """Angle of both knees, degrees, 180 is stretched, (2 N,)."""
    triplets = joint_triplets(BODY17.parents)
    knees = [i for i, (_, joint, _) in enumerate(triplets) if "knee" in BODY17.joints[joint]]
    return torch.rad2deg(joint_angles(keypoints, triplets)[:, knees]).flatten()


def _shares(keypoints: Tensor) -> dict[str, float]:
    """Mean share of some bones in the sum of all bones' lengths, percent."""
    lengths = BODY17.bone_lengths(keypoints)  # (N, 16)
    shares = 100 * (lengths / lengths.sum(1, keepdim=True)).mean(0)
    places = {name: (BODY17.index(a), BODY17.index(b)) for name, (a, b) in BONES.items()}
    return {name: float(shares[BODY17.bones.index(bone)]) for name, bone in places.items()}
