"""Figures of notebook 06, each of which serves several of its cells.

Poses are in metres in a camera's frame (x right, y down, z forward), intervals are
(mean, low, high) as `cards.intervals` and `cards.paired` give them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from posenb.course.show.figures import bars, draw_pose
from posenb.course.show.poses3d import draw_hypotheses, draw_pose3d, set_view
from posenb.course.show.style import CATEGORIES, FAINT, INK, Look, look, new_figure
from posenb.course.teach.cards import intervals
from posenb.posynda.windows import Windows
from posenb.world.skeletons import BODY17

__all__ = [
    "bar_panels",
    "beside_paper",
    "depth_panels",
    "interval_curve",
    "interval_marks",
    "lifted_views",
    "mark_panels",
    "picture",
    "pose_grid",
    "same_picture",
    "side_view",
    "size_against_pitch",
    "time_curves",
]

Interval = tuple[float, float, float]
Series = Mapping[str, Sequence[float] | Sequence[Interval]]


def picture(
    axes: Axes,
    keypoints: Tensor,
    reach: float | None = None,
    center: Tensor | None = None,
    width: float = 4.0,
) -> None:
    """What a camera sees of one person.

    Args:
        axes: where to draw.
        keypoints: y down, (J, 2).
        reach: from the middle to the border, in the units of the keypoints; None: the person fits.
        center: the middle (2,); that of the person's box if None.
        width: of a bone, points.
    """
    draw_pose(axes, keypoints, BODY17, width)
    low, high = keypoints.amin(0), keypoints.amax(0)
    x, y = ((low + high) / 2 if center is None else center).tolist()
    far = 0.6 * float((high - low).max()) if reach is None else reach
    axes.set(xlim=(x - far, x + far), ylim=(y + far, y - far), aspect="equal")
    axes.set(xticks=(), yticks=())


def side_view(
    axes: Axes, hypotheses: Tensor, one: int | Tensor, truth: Tensor, title: str, reach: float
) -> None:
    """Several answers to one picture, from the right of its camera: depth grows to the right.

    Args:
        axes: where to draw.
        hypotheses: (H, J, 3).
        one: number of the chosen one, or the pose that is made of them, (J, 3).
        truth: (J, 3).
        title: above the panel.
        reach: metres from the middle to the border.
    """
    draw_hypotheses(axes, hypotheses, BODY17, one, truth, 90)
    around = truth if isinstance(one, Tensor) else torch.cat([hypotheses, truth[None]])
    set_view(axes, around, 90, reach=reach)
    axes.set_title(title, loc="center")


def same_picture(bodies: Sequence[Tensor]) -> Figure:
    """Bodies (J, 3) before one camera: above their pictures, below from the side; truth first."""
    figure = new_figure(13, 5.6)
    grid = figure.subplots(2, len(bodies))
    center = (bodies[0][:, :2] / bodies[0][:, 2:]).mean(0)
    for (front, side), pose in zip(grid.T, bodies, strict=True):
        picture(front, pose[:, :2] / pose[:, 2:], 0.4, center, 3.5)
        draw_pose3d(side, pose - pose[0], BODY17, 90, width=3.5)
        set_view(side, pose - pose[0], 90, reach=0.95, floor=False, scale=0)
    grid[0, 0].set_title("the truth", loc="center")
    for axes, name in zip(grid[:, 0], ("the picture", "from the side"), strict=True):
        axes.set_ylabel(name)
    return figure


def size_against_pitch(domains: Mapping[str, Windows]) -> Figure:
    """How large people of domains are in the picture, and how steeply their cameras look down."""
    figure = new_figure(12, 4.2)
    axes = figure.subplots()
    for name, some in domains.items():
        own = look(name, 4)
        size = (some.keypoints.amax(2) - some.keypoints.amin(2)).mean((1, 2))  # (N,)
        pitch = torch.rad2deg(torch.asin(-some.camera.rotation[:, 2, 1]))  # of the z axis
        axes.scatter(pitch, size, s=26, color=own.color, marker=own.marker, alpha=0.6, label=name)
    axes.set(xlabel="camera looks down by, °", ylabel="size in the picture, half widths")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), markerscale=2)
    axes.set_title("Where people are small, and where they are seen from above")
    return figure


def depth_panels(true: Tensor, found: Mapping[str, Tensor], looks: Sequence[Look]) -> Figure:
    """Found distances (N,) against true ones, a panel for each way to find them, metres."""
    figure = new_figure(11, 4.6)
    grid = figure.subplots(1, len(found), sharey=True)
    for axes, (name, depth), own in zip(grid, found.items(), looks, strict=True):
        axes.scatter(true, depth, s=20, color=own.color, marker=own.marker, alpha=0.6)
        axes.plot([2, 6], [2, 6], color=FAINT, ls="--", marker="")
        axes.set(xlabel="true distance, m", xlim=(2, 6), ylim=(1, 9), title=f"{name}: distance, m")
    return figure


def pose_grid(
    rows: Mapping[str, Sequence[Tensor]],
    titles: Sequence[str],
    height: float,
    reach: float,
    azimuth: float = 0.0,
    elevation: float = 0.0,
    notes: Sequence[str] = (),
) -> Figure:
    """Poses side by side, a row for each name.

    Args:
        rows: name to poses (J, 3), as many in each row.
        titles: one a column.
        height: of the figure, inches.
        reach: metres from the middle of a panel to its border.
        azimuth: degrees, see `poses3d.turned`.
        elevation: degrees, see `poses3d.turned`.
        notes: one a column, below it.
    """
    figure = new_figure(13, height)
    grid = figure.subplots(len(rows), len(titles), squeeze=False)
    for line, (name, poses) in zip(grid, rows.items(), strict=True):
        for axes, pose in zip(line, poses, strict=True):
            draw_pose3d(axes, pose, BODY17, azimuth, elevation, width=3.5)
            set_view(axes, pose, azimuth, elevation, reach=reach, floor=False, scale=0)
        line[0].set_ylabel(name)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, loc="center")
    for axes, note in zip(grid[-1], notes, strict=bool(notes)):
        axes.set_xlabel(note)
    return figure


def lifted_views(lifts: Mapping[str, Tensor], truth: Tensor, titles: Sequence[str]) -> Figure:
    """Lifted poses over the true one, from the front and from the side, a column a view.

    Args:
        lifts: role of a lifter, see `style.ROLES`, to its poses (views, J, 3).
        truth: (views, J, 3).
        titles: one a view.
    """
    figure = new_figure(13, 6)
    grid = figure.subplots(2, len(titles))
    for line, (side, azimuth) in zip(grid, (("front", 0.0), ("side", 90.0)), strict=True):
        for view, axes in enumerate(line):
            for width, (role, poses) in zip((2.5, 3.5), lifts.items(), strict=True):
                name = {"source": "before", "adapted": "after"}[role]
                draw_pose3d(
                    axes, poses[view], BODY17, azimuth, color=look(role).color, width=width,
                    label=name,
                )  # fmt: skip
            draw_pose3d(
                axes, truth[view], BODY17, azimuth, color=INK, width=2, style="--",
                label="triangulated",
            )  # fmt: skip
            set_view(axes, truth[view], azimuth, reach=1.15, floor=False)
        line[0].set_ylabel(f"from the {side}")
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, loc="center")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def bar_panels(
    labels: Sequence[str],
    panels: Sequence[tuple[str, Series]],
    size: tuple[float, float],
    widths: Sequence[float] | None = None,
    titles: Sequence[str] = (),
    rule: bool = False,
) -> Figure:
    """Panels of horizontal bars with the same labels, and one legend on the right.

    Args:
        labels: one a group of bars.
        panels: what is shown, with its unit, and series as `bars` draws them.
        size: of the figure, inches.
        widths: of the panels, relative.
        titles: one a panel.
        rule: a dashed line at the first bar of every panel whose bars have intervals.
    """
    figure = new_figure(*size)
    grid = figure.subplots(1, len(panels), sharey=True, width_ratios=widths, squeeze=False)[0]
    for axes, (xlabel, series) in zip(grid, panels, strict=True):
        bars(axes, labels, series, xlabel)
        first = next(iter(series.values()))[0]
        if rule and isinstance(first, tuple):
            axes.axvline(first[0], color=FAINT, ls="--")
        if (legend := axes.get_legend()) is not None:
            legend.remove()
    if len(panels[-1][1]) > 1:
        grid[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    for axes, title in zip(grid, titles, strict=bool(titles)):
        axes.set_title(title)
    return figure


def beside_paper(
    labels: Sequence[str] | Mapping[str, str],
    paper: Mapping[str, float],
    card: Mapping[str, Any],
    targets: Sequence[str],
    size: tuple[float, float],
    rule: bool = False,
) -> Figure:
    """The paper's MPJPE on 3DHP as bars, and beside it a card's, a panel for each target.

    Args:
        labels: methods of the card, or a mapping from them to what is shown.
        paper: method to its MPJPE in mm, where the paper has it.
        card: with a row for every method and target.
        targets: of the card.
        size: of the figure, inches.
        rule: as for `bar_panels`.
    """
    shown = list(labels.values()) if isinstance(labels, Mapping) else labels
    printed: Series = {"source": [paper.get(name, math.nan) for name in labels]}
    panels: list[tuple[str, Series]] = [("paper: 3DHP, mm", printed)]
    for target in targets:
        here = {"adapted": intervals(card, "MPJPE", target=target)}
        panels.append((f"here: {target}, MPJPE, mm", here))
    return bar_panels(shown, panels, size, [0.7, *(1.0 for _ in targets)], rule=rule)


def interval_marks(
    axes: Axes,
    labels: Sequence[str],
    series: Mapping[str, Sequence[Interval]],
    looks: Sequence[Look],
    xlabel: str,
    reference: float = 0.0,
) -> None:
    """Means with their intervals as marks beside a line, the first label on top.

    Args:
        axes: where to draw.
        labels: one a row.
        series: name to one interval a label.
        looks: one a series.
        xlabel: what is shown, with its unit.
        reference: where the line is: 0 for differences.
    """
    for position, ((name, entries), own) in enumerate(zip(series.items(), looks, strict=True)):
        mean, low, high = torch.tensor(entries).T
        at = torch.arange(len(labels)) + 0.3 * (position - (len(series) - 1) / 2)
        reach = torch.stack([mean - low, high - mean])
        axes.errorbar(mean, at, xerr=reach, fmt=own.marker, color=own.color, capsize=4, label=name)
    axes.axvline(reference, color=INK, linestyle="--")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(ylim=(len(labels) - 0.5, -0.5), xlabel=xlabel)


def mark_panels(
    labels: Sequence[str],
    panels: Mapping[str, Mapping[str, Sequence[Interval]]],
    looks: Sequence[Look],
    xlabel: str,
    size: tuple[float, float],
    reference: float = 0.0,
) -> Figure:
    """`interval_marks` in panels with the same labels, and one legend on the right.

    Args:
        labels: one a row.
        panels: title to series.
        looks: one a series.
        xlabel: what is shown, with its unit.
        size: of the figure, inches.
        reference: where the lines are.
    """
    figure = new_figure(*size)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, series) in zip(grid, panels.items(), strict=True):
        interval_marks(axes, labels, series, looks, xlabel, reference)
        axes.set_title(title)
    grid[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def time_curves(curves: Mapping[str, tuple[Sequence[float], Sequence[Interval]]]) -> Figure:
    """What computing time changes: name to milliseconds and intervals of the change in mm."""
    figure = new_figure(9, 4.4)
    axes = figure.subplots()
    for own, (name, (time, entries)) in zip(CATEGORIES, curves.items(), strict=False):
        mean, low, high = torch.tensor(entries).T
        reach = torch.stack([mean - low, high - mean])
        axes.errorbar(time, mean, reach, color=own.color, marker=own.marker, capsize=4, label=name)
    axes.axhline(0, color=INK, ls="--")
    axes.set(xscale="log", xlabel="ms a window, one core", ylabel="change of MPJPE, mm")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def interval_curve(
    axes: Axes, x: Sequence[float], entries: Sequence[Interval], own: Look, label: str
) -> None:
    """A line through means, and a band of their intervals.

    Args:
        axes: where to draw.
        x: one a mean.
        entries: intervals.
        own: colour and marker.
        label: name in the legend.
    """
    mean, low, high = torch.tensor(entries).T
    axes.plot(x, mean, color=own.color, marker=own.marker, label=label)
    axes.fill_between(x, low, high, color=own.color, alpha=0.15)
