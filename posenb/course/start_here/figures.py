"""The figures of notebook 00, and its table of recipes: each shows what the notebook computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from posenb.course.show import figures, people, style
from posenb.course.show.explorer import Slider
from posenb.course.teach import cards
from posenb.measure import keypoints
from posenb.world import domains
from posenb.world.motion import Motion
from posenb.world.rendering import Rendered
from posenb.world.skeletons import BODY17, Skeleton

__all__ = [
    "angles_at_joints",
    "bar_chart",
    "circles",
    "detector_map",
    "detector_under_a_dial",
    "distance_maps",
    "heat_map",
    "knob_bars",
    "looks_and_labels",
    "named_joints",
    "pictures_with_crops",
    "pinhole",
    "pose_rows",
    "real_labels",
    "recipes",
    "rising_curves",
    "seen_from_the_side",
    "space_errors",
    "takes",
    "the_gap",
]

RARE = 0.3  # weight of an action below which it is called rare; common ones have 1


def the_gap(source: domains.PoseSet, target: domains.PoseSet, distance: float) -> Figure:
    """The whole idea: six poses of `wild`, an arrow with their distance, six poses of `lab`."""
    figure = style.new_figure(12, 4.2)
    left, middle, right = figure.subfigures(1, 3, squeeze=False, width_ratios=(3, 1.1, 3))[0]
    for place, role, name, poses in (
        (left, "source", "wild", source),
        (right, "target", "lab", target),
    ):
        look = style.look(role)
        place.suptitle(f"{role}: {name}", color=look.color)
        for axes, pose in zip(place.subplots(2, 3).ravel(), poses.keypoints, strict=True):
            axes.set(xlim=(0, 1), ylim=(1, 0), aspect="equal", xticks=(), yticks=())
            axes.spines[:].set(visible=True, color=look.color)
            figures.draw_pose(axes, pose, BODY17, width=3.5)
    arrow = middle.subplots()
    arrow.set_axis_off()
    head = {"arrowstyle": "-|>", "lw": 4, "color": style.INK, "mutation_scale": 30}
    arrow.annotate("", (1.0, 0.5), (0.0, 0.5), xycoords="axes fraction", arrowprops=head)
    arrow.text(0.5, 0.56, "domain gap", ha="center", weight="bold", transform=arrow.transAxes)
    arrow.text(0.5, 0.36, f"FD {distance:.2f}", ha="center", transform=arrow.transAxes)
    return figure


def named_joints(panels: Sequence[tuple[Skeleton, Tensor]]) -> Figure:
    """Skeletons on a standing person, each joint with its name.

    Args:
        panels: skeleton and pose (J, 2), metres, x right, y down, pelvis near the origin.
    """
    figure = style.new_figure(12, 7)
    higher = {"neck": 0.06, "pelvis": 0.07, "left_eye": 0.05, "right_eye": 0.05}
    for axes, (skeleton, pose) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        figures.draw_pose(axes, pose, skeleton, width=6)
        for name, (x, y) in zip(skeleton.joints, pose.tolist(), strict=True):
            side = "right" if name.startswith("right") else "left"
            x, y = x + (-0.05 if side == "right" else 0.05), y - higher.get(name, 0.0)
            axes.text(x, y, name, ha=side, va="center", fontsize=12)
        axes.set(xlim=(-0.85, 0.85), ylim=(0.9, -0.75), aspect="equal", title=skeleton.name)
        axes.set_axis_off()
    return figure


def seen_from_the_side(
    poses: Mapping[str, Tensor],
    size: tuple[float, float],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    marked: int | None = None,
) -> Figure:
    """People in space side by side, without perspective, seen along the third axis.

    Args:
        poses: title to joints (17, 3), metres, y up.
        size: inches.
        xlim: metres, left and right.
        ylim: metres, bottom and top; y is drawn downwards.
        marked: a joint with a dot on it.
    """
    figure = style.new_figure(*size)
    panels = figure.subplots(1, len(poses), squeeze=False)[0]
    for axes, (title, joints) in zip(panels, poses.items(), strict=True):
        figures.draw_pose(axes, torch.stack([joints[:, 0], -joints[:, 1]], -1), BODY17, width=5)
        if marked is not None:
            x, y = joints[marked, 0], -joints[marked, 1]
            axes.scatter(x, y, s=160, color=style.PALETTE["orange"], zorder=6)
        axes.set(xlim=xlim, ylim=ylim, aspect="equal")
        axes.set_title(title, loc="center", fontsize=13)
        axes.set_axis_off()
    return figure


def pinhole(focal: float = 1.0, height: float = 1.1, depth: float = 3.0) -> Figure:
    """A pinhole camera from the side: two similar triangles, lengths in any unit."""
    figure = style.new_figure(11, 4)
    axes = figure.subplots()
    axes.plot([0, depth * 1.1], [0, 0], color=style.FAINT, linewidth=1.5, marker="")
    axes.plot([0, depth], [0, height], color=style.PALETTE["orange"], marker="")
    axes.plot([focal] * 2, [-0.45, 0.75], color=style.INK, linewidth=1.5, marker="")
    for place, end, color in (
        (focal, height * focal / depth, "blue"),
        (depth, height, "vermillion"),
    ):
        axes.plot([place] * 2, [0, end], color=style.PALETTE[color], linewidth=5, marker="")
    axes.scatter([0], [0], s=150, color=style.INK, zorder=5)
    axes.text(0, 0.12, "pinhole", ha="center", weight="bold")
    blue, red = style.PALETTE["blue"], style.PALETTE["vermillion"]
    axes.text(focal + 0.05, 0.13, "$v - c_y$", ha="left", fontsize=18, color=blue)
    axes.text(depth + 0.05, 0.5, "$Y$", fontsize=18, color=red)
    axes.text(focal + 0.04, 0.68, "picture", ha="left")
    for end, level, text in ((focal, -0.2, "focal length $f$"), (depth, -0.58, "depth $Z$")):
        span = {"arrowstyle": "<->", "lw": 1.8, "color": style.INK}
        axes.annotate("", (end, level), (0, level), arrowprops=span)
        axes.text(end / 2, level - 0.03, text, ha="center", va="top")
    axes.set(xlim=(-0.3, 3.5), ylim=(-0.85, 1.25), aspect="equal")
    axes.set_axis_off()
    return figure


def pictures_with_crops(pixels: Tensor, corner: Tensor, side: Tensor) -> Figure:
    """One person in pictures of 1000 pixels, with the square that is cut out.

    Args:
        pixels: (cameras, 17, 2).
        corner: top left of each square, (cameras, 2).
        side: of each square, (cameras,).
    """
    figure = style.new_figure(12, 3.6)
    for number, axes in enumerate(figure.subplots(1, len(pixels), sharey=True)):
        figures.draw_pose(axes, pixels[number], BODY17, width=3)
        (x, y), s = corner[number].tolist(), side[number].item()
        box = ([x, x + s, x + s, x, x], [y, y, y + s, y + s, y])
        axes.plot(*box, "--", color=style.INK, linewidth=1.5, marker="")
        axes.set(xlim=(0, 1000), ylim=(1000, 0), aspect="equal", xlabel="x, pixels")
        axes.set_title(f"camera {number}", loc="center")
    figure.axes[0].set_ylabel("y, pixels")
    return figure


def pose_rows(poses: Mapping[str, Tensor]) -> Figure:
    """Poses of several domains, a row each.

    Args:
        poses: name of the domain to keypoints (N, 17, 2) in [0, 1], the same N for all.
    """
    figure = style.new_figure(12, 8.6)
    grid = figure.subplots(len(poses), len(next(iter(poses.values()))))
    for row, (name, shown) in zip(grid, poses.items(), strict=True):
        for axes, pose in zip(row, shown, strict=True):
            axes.set(xlim=(0, 1), ylim=(1, 0), aspect="equal", xticks=(), yticks=())
            axes.spines[:].set(visible=True, color="#CCCCCC")
            figures.draw_pose(axes, pose, BODY17, width=2.6, joints=False)
        color = style.look(name).color
        row[0].set_ylabel(name, color=color, weight="bold", rotation=0, ha="right", va="center")
    return figure


def takes(recordings: Motion, named: str) -> Figure:
    """Which part of each recording is for training, and which for the test.

    Args:
        recordings: all of them.
        named: the action whose bar carries the words "train" and "test".
    """
    (low, high), spare = domains.TEST_TAKE, domains.TAKE_GAP
    pieces = (
        ("train", 0, low - spare, style.PALETTE["blue"], "white"),
        ("test", low, high, style.PALETTE["orange"], style.INK),
        ("train", high + spare, 1, style.PALETTE["blue"], "white"),
    )
    figure = style.new_figure(10, 5.5)
    axes = figure.subplots()
    for row, clip in enumerate(recordings.clips):
        length = len(clip) / clip.fps
        for label, start, stop, color, ink in pieces:
            axes.barh(row, (stop - start) * length, left=start * length, color=color)
            if clip.action == named:
                middle = (start + stop) / 2 * length
                axes.text(middle, row, label, ha="center", va="center", color=ink)
    actions = [clip.action for clip in recordings.clips]
    axes.set_yticks(range(len(actions)), actions, fontsize=10)
    axes.set(xlabel="seconds from the start of the recording", title="Train and test takes")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    return figure


def rising_curves(distances: Mapping[str, Tensor], limit: float) -> Figure:
    """Share of values below a distance, a curve each.

    Args:
        distances: name to values (N,), cm.
        limit: right end of the axis, cm.
    """
    figure = style.new_figure(9, 4)
    axes = figure.subplots()
    for (name, values), look in zip(distances.items(), style.CATEGORIES[1::-1], strict=True):
        share = torch.linspace(0, 1, len(values))
        axes.plot(values.sort().values, share, color=look.color, marker=look.marker, markevery=60)
        axes.text(values.quantile(0.72).item() + 1, 0.68, name, color=look.color, weight="bold")
    axes.set(xlim=(0, limit), xlabel="distance to the nearest training pose, cm")
    axes.set(ylabel="share of test poses", title="How new is a test pose?")
    return figure


def heat_map(
    axes: Axes,
    values: Tensor,
    rows: Sequence[str],
    columns: Sequence[str],
    digits: int = 0,
    limit: float | None = None,
    below: float | None = None,
    bold: bool | None = None,
) -> None:
    """Numbers in a table of colours, dark for small and bright for large.

    Args:
        axes: where to draw.
        values: (rows, columns), from 0 on.
        rows: their names.
        columns: their names.
        digits: behind the point.
        limit: the brightest value; the largest one if None, and then the cells are square.
        below: write only numbers below this one.
        bold: all numbers or none; of None, those on the diagonal.
    """
    highest = values.max().item() if limit is None else limit
    shape: Literal["equal", "auto"] = "equal" if limit is None else "auto"
    axes.imshow(values, cmap="cividis", vmin=0, vmax=limit, aspect=shape)
    dark = 0.5 * highest
    for row, column in torch.cartesian_prod(*map(torch.arange, values.shape)).tolist():
        value = values[row, column].item()
        if below is None or value < below:
            strong = row == column if bold is None else bold
            axes.text(
                column, row, f"{round(value, digits) + 0.0:.{digits}f}", ha="center", va="center",
                color="white" if value < dark else "black", weight="bold" if strong else "normal",
            )  # fmt: skip
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(visible=False)


def circles(truth: Tensor, predicted: Tensor, thresholds: Sequence[float]) -> Figure:
    """PCK as circles around the true joints: predicted joints inside are dots, others crosses.

    Args:
        truth: (17, 2) in [0, 1].
        predicted: (17, 2).
        thresholds: one a panel.
    """
    figure = style.new_figure(12, 4.6)
    for axes, threshold in zip(figure.subplots(1, len(thresholds)), thresholds, strict=True):
        figures.draw_pose(axes, truth, BODY17, width=2, color=style.FAINT, joints=False)
        for true, read in zip(truth.tolist(), predicted.tolist(), strict=True):
            axes.plot(*zip(true, read, strict=True), color=style.FAINT, linewidth=1.4, marker="")
        good = (predicted - truth).norm(dim=-1) <= threshold
        for spot, inside in zip(truth.tolist(), good.tolist(), strict=True):
            color = style.PALETTE["green" if inside else "vermillion"]
            axes.add_patch(Circle(spot, threshold, fill=False, color=color, linewidth=1.8))
        for chosen, name, marker in ((good, "green", "o"), (~good, "vermillion", "X")):
            spots = predicted[chosen].T
            axes.scatter(*spots, s=60, color=style.PALETTE[name], marker=marker, zorder=5)
        score = keypoints.pck(predicted, truth, threshold)
        axes.set(xlim=(0.1, 0.9), ylim=(1.03, 0), aspect="equal")
        axes.set_axis_off()
        axes.set_title(f"PCK@{threshold:g} = {score:.2f}", loc="center")
    return figure


def space_errors(body: Tensor, guesses: Mapping[str, Tensor]) -> Figure:
    """Predictions in space over the truth, with MPJPE and PA-MPJPE, seen from the side.

    Args:
        body: joints (17, 3), metres, pelvis at the origin.
        guesses: title to predicted joints (17, 3).
    """
    figure = style.new_figure(12, 4.6)
    panels = figure.subplots(1, len(guesses), sharey=True)
    for axes, (name, guess) in zip(panels, guesses.items(), strict=True):
        for joints, role in ((body, "truth"), (guess, "prediction")):
            color = style.look(role).color
            figures.draw_pose(axes, joints[:, [2, 1]], BODY17, 3.5, color, label=role)
        protocol1 = 1000 * keypoints.mpjpe(keypoints.root_relative(guess), body)
        protocol2 = 1000 * keypoints.pa_mpjpe(guess, body)
        axes.set(xlim=(-0.8, 0.8), ylim=(-1.0, 0.8), aspect="equal", xlabel="metres")
        scores = f"MPJPE {protocol1:.0f} mm · PA {protocol2:.0f} mm"
        axes.set_title(f"{name}\n{scores}", loc="center", fontsize=13)
    figure.axes[0].legend(loc="lower left")
    return figure


def angles_at_joints(pose: Tensor, triplets: Sequence[tuple[int, int, int]]) -> Figure:
    """A pose (17, 2) with the angles of elbows and knees written beside the joints."""
    angles = torch.rad2deg(keypoints.joint_angles(pose, triplets))
    figure = style.new_figure(5.5, 5.5)
    axes = figure.subplots()
    figures.draw_pose(axes, pose, BODY17, width=5)
    middles = [BODY17.joints[middle] for _, middle, _ in triplets]
    limbs = [i for i, joint in enumerate(middles) if "elbow" in joint or "knee" in joint]
    for index in limbs:
        x, y = pose[triplets[index][1]].tolist()
        side = 1 if x > pose[0, 0] else -1
        axes.annotate(
            f"{angles[index]:.0f}°", (x, y), (24 * side, 0), textcoords="offset points",
            ha="left" if side > 0 else "right", va="center", weight="bold",
        )  # fmt: skip
    axes.set(xlim=(0.15, 0.85), ylim=(0.95, 0), aspect="equal")
    axes.set_axis_off()
    axes.set_title(f"{len(limbs)} of its {len(triplets)} angles", loc="center")
    return figure


def real_labels(errors: Mapping[str, Tensor], valid: Tensor) -> Figure:
    """How well four cameras agree on the labels of a real clip, and which labels are kept.

    Args:
        errors: name to reprojection errors (cameras, frames, 17), original pixels.
        valid: (cameras, frames, 17) bool.
    """
    figure = style.new_figure(12.5, 4.3)
    left, right = figure.subplots(1, 2, width_ratios=(0.8, 1.2))
    views = [f"camera {view}" for view in range(len(valid))]
    medians = {name: [view.nanmedian().item() for view in error] for name, error in errors.items()}
    figures.bars(left, views, medians, xlabel="median reprojection error, px of 1920")
    for row, values in enumerate(medians.values()):
        for view, value in enumerate(values):
            left.text(value + 0.4, view + 0.4 * row - 0.2, f"{value:.1f}", va="center", fontsize=11)
    kept = 100 * valid.float().mean(1)  # (cameras, 17) per cent
    heat_map(right, kept, views, BODY17.joints, limit=100, below=90, bold=True)
    right.set_xticks(range(17), BODY17.joints, rotation=60, ha="right", fontsize=11)
    right.set_title("valid, % of the frames")
    return figure


def distance_maps(distances: Mapping[str, Tensor], names: Sequence[str]) -> Figure:
    """Distances between all pairs of domains; the diagonal, the noise floor, is bold.

    Args:
        distances: name of the distance to its values (N, N).
        names: of the domains, N.
    """
    figure = style.new_figure(12.5, 5.6)
    panels = figure.subplots(1, len(distances))
    for axes, (title, values) in zip(panels, distances.items(), strict=True):
        heat_map(axes, values, names, names, digits=3)
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axes.set_title(f"{title} between domains (bold: noise floor)")
    return figure


def knob_bars(
    ends: Mapping[tuple[str, float], Mapping[str, float]],
    controls: Mapping[str, Slider],
    floors: Mapping[str, float],
) -> Figure:
    """How far each knob moves a domain, at both ends of its range.

    Args:
        ends: (knob, value) to its distances, by their names.
        controls: the knobs.
        floors: name of a distance to its noise floor.
    """
    labels = [f"{c.label}\n{c.low:g} to {c.high:g}" for c in controls.values()]
    figure = style.new_figure(12, 6.4)
    for axes, measure in zip(figure.subplots(1, len(floors), sharey=True), floors, strict=True):
        values = {
            side: [ends[n, getattr(c, end)][measure] for n, c in controls.items()]
            for side, end in (("lowest", "low"), ("highest", "high"))
        }
        lines = {"noise floor": floors[measure]}
        figures.bars(axes, labels, values, xlabel=measure, reference=lines)
        if axes is not figure.axes[-1] and (legend := axes.get_legend()):
            legend.remove()  # one is enough
    return figure


def detector_under_a_dial(
    film: tuple[Tensor, Tensor], strengths: Sequence[float], card: cards.Card, live: Sequence[float]
) -> Figure:
    """One person at rising strengths of a look, and the falling PCK of many.

    Args:
        film: pictures (N, 3, S, S) and keypoints (2, N, 17, 2), labels before finds.
        strengths: N of them.
        card: `reconstruction.gap`.
        live: PCK of the first detector, computed now, per cent.
    """
    images, poses = film
    figure = style.new_figure(12, 8.6)
    above, axes = figure.subplots(2, 1, height_ratios=(1.6, 1))
    titles = [f"strength {s:g}" for s in strengths]
    seen = torch.ones(poses.shape[:-1], dtype=torch.bool)
    people.show_film(
        above, images.expand(2, *images.shape), poses, seen, titles, ["labels", "found"]
    )
    source = style.look("source")
    mean, low, high = zip(*cards.intervals(card, "PCK"), strict=True)
    axes.fill_between(strengths, low, high, color=source.color, alpha=0.2)
    axes.plot(strengths, mean, color=source.color, marker=source.marker, label="three networks")
    axes.plot(strengths, live, "x", color=style.INK, label="the first, 100 people, now")
    axes.set(xlabel="strength of lab", ylabel="PCK@0.05, %", ylim=(0, 100), xticks=strengths)
    axes.legend(loc="lower left")
    return figure


def detector_map(rows: Sequence[cards.Card], groups: Sequence[str]) -> Figure:
    """PCK of joint groups: detectors on kinds of pictures, a row each, in blocks of four.

    Args:
        rows: of cards, with `detector` and `pictures`.
        groups: metrics of the cards, all joints first.
    """
    scores = torch.tensor([[r["metrics"][g]["mean"] for g in groups] for r in rows])
    axes = (figure := style.new_figure(11.5, 6.4)).subplots()
    names = [f"{r['detector']} on {r['pictures']}" for r in rows]
    axes.hlines((3.5, 7.5), -0.5, len(groups) - 0.5, color="white", linewidth=4)
    heat_map(axes, scores, names, ["all joints", *groups[1:]], limit=100, bold=True)
    axes.set_title("PCK@0.05, %, mean of three seeds")
    return figure


def recipes(names: Sequence[str]) -> figures.Table:
    """The recipes of domains in words, a domain a column.

    Args:
        names: of the domains.
    """
    columns = [_recipe(domains.get(name)) for name in names]
    rows = [
        {"": line, **{n: c[line] for n, c in zip(names, columns, strict=True)}}
        for line in columns[0]
    ]
    return figures.table(rows, "The recipes")


def _recipe(domain: domains.Domain) -> dict[str, str]:
    """What a recipe says, in words."""
    rare = sum(weight < RARE for _, weight in domain.actions)
    build = (f"{bone} {100 * abs(f - 1):.0f} % {'longer' if f > 1 else 'shorter'}"
             for bone, f in domain.bone_ratios)  # fmt: skip
    down, up = domain.elevation
    box = f"joints and {100 * (domain.margin - 1):.0f} % more"
    return {
        "actions": f"{len(domain.actions)}" + (f", {rare} of them rare" if rare else ""),
        "people": f"{domain.subjects}",
        "bones": ", ".join(build).replace("shanks", "shins") or "as recorded",
        "people face": "any way" if domain.facing is None else f"the camera ± {domain.facing:g}°",
        "bodies lean": f"± {domain.lean:g}°",
        "cameras stand": "anywhere"
        if domain.azimuths is None
        else f"at {len(domain.azimuths)} places",
        "they look from": f"{f'{-down:g}° below' if down < 0 else f'{down:g}°'} to {up:g}° above",
        "they are rolled": f"± {domain.roll[1]:g}°",
        "they are away": f"{domain.distance[0]:g} to {domain.distance[1]:g} m",
        "the crop holds": box if domain.crop == "box" else f"{domain.margin:g} m around the pelvis",
        "joints put elsewhere": f"{len(domain.convention)}",
        "noise of labels": f"{100 * domain.noise:g} % of the crop",
    }


def bar_chart(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float] | Sequence[tuple[float, float, float]]],
    size: tuple[float, float],
    xlabel: str | None = None,
    digits: int | None = None,
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """One panel of bars with a title.

    Args:
        title: what the bars say.
        labels: one a group.
        series: as in `posenb.course.show.figures.bars`.
        size: inches.
        xlabel: what is shown; the name of the only series if None.
        digits: also write the values behind the bars of one series, with so many digits.
        colors: of a series, by name, where its name fixes none.
    """
    figure = style.new_figure(*size)
    axes = figure.subplots()
    first = next(iter(series))
    figures.bars(axes, labels, series, xlabel=xlabel or first, colors=colors)
    if digits is not None:
        values = [v[0] if isinstance(v, tuple) else v for v in series[first]]
        for place, value in enumerate(values):
            axes.text(value + 0.015 * max(values), place, f"{value:.{digits}f}", va="center")
        axes.set_xlim(0, 1.12 * max(values))
    if len(series) > 1:
        axes.legend(loc="lower right")
    axes.set_title(title)
    return figure


def looks_and_labels(seen: Mapping[str, Rendered], labelled: str) -> Figure:
    """One person in several looks, and below it what is known about one of the pictures.

    Args:
        seen: name of a look to one picture of `posenb.world.rendering`; three of them.
        labelled: the look whose labels are shown.
    """
    figure = style.new_figure(12, 8.4)
    above, below = figure.subplots(2, len(seen))
    for axes, (name, one) in zip(above, seen.items(), strict=True):
        people.show_image(axes, one.images, f"the look {name}")
    people.show_labels(below, seen[labelled])
    return figure
