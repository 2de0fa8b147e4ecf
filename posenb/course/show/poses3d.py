"""Poses in 3D on flat axes, without perspective, from any side (explained in notebook 06).

Poses are in metres in a camera's frame: x right, y down, z forward. Azimuth 0 is what the camera
sees. At 90 degrees one looks from its right: depth grows to the right, and errors in depth, which
the camera cannot see, become visible. (mplot3d would give every panel another scale.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from posenb.course.show.style import FAINT, INK, PALETTE

if TYPE_CHECKING:
    from posenb.world.skeletons import Skeleton

__all__ = [
    "CHOSEN",
    "TRUTH",
    "draw_hypotheses",
    "draw_pose3d",
    "hypothesis_look",
    "paint",
    "pick",
    "set_view",
    "turned",
    "view_axes",
]

Array = NDArray[np.float32]
LineStyle = str | tuple[float, tuple[float, ...]]  # as matplotlib takes them
CHOSEN = PALETTE["vermillion"]  # PoSynDA, Fig. 3: "the red pose is selected as the pseudo label"
TRUTH = INK
# Without orange, which is too near the chosen one's colour.
_HYPOTHESES = (*(PALETTE[name] for name in ("blue", "green", "purple", "sky")), FAINT)
_STYLES = ("-", "--", ":", "-.")
_DASHES: LineStyle = (0, (2.5, 1.2))  # of the truth: short ones, so that short bones show some
_MARGIN = 0.12  # round the poses, metres
_RADIUS = 0.5  # of the floor, metres
_BAR = 0.15  # room for the bar below, metres


def view_axes(towards: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """Right, up and towards the eye as unit rows (3, 3), of two vectors at a right angle."""
    eye, side = (np.asarray(v, np.float64) / np.linalg.norm(v) for v in (towards, right))
    return np.stack([side, np.cross(eye, side), eye])


def turned(points: Tensor | Array, azimuth: float = 0.0, elevation: float = 0.0) -> Array:
    """Points as somebody sees them from afar: right, up, towards the eye.

    Args:
        points: metres, camera frame (x right, y down, z forward), (..., 3).
        azimuth: degrees round the vertical; 0: as the camera sees them, 90: from the camera's
            right, with depth growing to the right.
        elevation: degrees above the camera's horizon, -90 to 90.

    Returns:
        Metres, (..., 3).
    """
    a, e = math.radians(azimuth), math.radians(elevation)
    right = (math.cos(a), 0.0, math.sin(a))
    towards = (math.sin(a) * math.cos(e), -math.sin(e), -math.cos(a) * math.cos(e))
    return (_numpy(points) @ view_axes(towards, right).T).astype(np.float32)


def hypothesis_look(number: int) -> tuple[str, str]:
    """Colour and line style of a hypothesis; the first 20 all differ."""
    return _HYPOTHESES[number % len(_HYPOTHESES)], _STYLES[number % len(_STYLES)]


def paint(
    axes: Axes,
    pieces: Array,
    colors: Sequence[Any] | NDArray[Any],
    width: float,
    order: float = 3,
    alpha: float = 1.0,
    style: LineStyle = "-",
    outline: float = 0.0,
    label: str | None = None,
) -> None:
    """Straight pieces of line, the far ones first.

    Args:
        axes: where; up is up.
        pieces: both ends of each, as `turned` gives them: right, up, towards the eye, (P, 2, 3).
        colors: one a piece.
        width: points.
        order: of the whole among the other things in the axes.
        alpha: opacity.
        style: of matplotlib's lines.
        outline: width of a dark rim, points; a near piece then stands out before a far one.
        label: name in the legend.
    """
    sequence = pieces[:, :, 2].mean(1).argsort()
    flat = pieces[sequence][:, :, :2]
    shades, widths = [colors[i] for i in sequence], [width] * len(flat)
    if outline:
        # Rims of whole pieces lie below all; those over farther pieces end before the joints,
        # where a pose would fall apart into bones.
        middle = flat.mean(1, keepdims=True)
        shorter = middle + 0.6 * (flat - middle)
        rims = [INK] * len(flat)
        above = np.stack([shorter, flat], 1).reshape(-1, 2, 2)
        flat = np.concatenate([flat, above])
        shades = rims + [c for pair in zip(rims, shades, strict=True) for c in pair]
        rim = width + outline
        widths = [rim] * len(rims) + [rim, width] * len(rims)
    axes.add_collection(
        LineCollection(
            flat,
            colors=shades,
            linewidths=widths,
            linestyles=style,
            capstyle="round" if style == "-" else "butt",
            alpha=alpha,
            label=label,
            zorder=order,
        )
    )


def draw_pose3d(
    axes: Axes,
    pose: Tensor,
    skeleton: Skeleton,
    azimuth: float = 0.0,
    elevation: float = 0.0,
    color: str | None = None,
    width: float = 4.0,
    alpha: float = 1.0,
    style: LineStyle = "-",
    order: float = 3,
    label: str | None = None,
) -> None:
    """Draw one pose, in the bones' own colours with a dark rim, or thin in one colour.

    `set_view` then frames the axes.

    Args:
        axes: where; up is up.
        pose: metres, camera frame, (J, 3); bones with a NaN end are left out.
        skeleton: names the bones and their colours.
        azimuth: degrees, see `turned`.
        elevation: degrees, see `turned`.
        color: one colour for all bones, without a rim, to compare poses.
        width: of a bone, points.
        alpha: opacity.
        style: of matplotlib's lines.
        order: among the other things in the axes.
        label: name in the legend.

    Raises:
        ValueError: if the shape does not fit the skeleton.
    """
    if tuple(pose.shape) != (len(skeleton), 3):
        raise ValueError(
            f"the pose has shape {tuple(pose.shape)}, but {skeleton.name} needs "
            f"({len(skeleton)}, 3)"
        )
    points = turned(pose, azimuth, elevation)
    pieces = points[np.array(skeleton.bones)]  # (bones, 2, 3)
    known = np.isfinite(pieces).all((1, 2))
    colors = [color or own for own, there in zip(skeleton.colors, known, strict=True) if there]
    outline = 0.0 if color else 1.6
    paint(axes, pieces[known], colors, width, order, alpha, style, outline, label)


def draw_hypotheses(
    axes: Axes,
    hypotheses: Tensor,
    skeleton: Skeleton,
    chosen: int | Tensor | None = None,
    truth: Tensor | None = None,
    azimuth: float = 0.0,
    elevation: float = 0.0,
    width: float = 1.6,
) -> None:
    """Several answers to one picture, as in PoSynDA's Fig. 3: thin, and the chosen one red.

    The truth is dark and dashed, and lies over all. `set_view` then frames the axes.

    Args:
        axes: where; up is up.
        hypotheses: metres, camera frame, (H, J, 3).
        skeleton: names the bones.
        chosen: number of a hypothesis, or a pose made of them, (J, 3).
        truth: metres, camera frame, (J, 3).
        azimuth: degrees, see `turned`.
        elevation: degrees, see `turned`.
        width: of a hypothesis, points; that of the chosen one is more than twice as much.

    Raises:
        ValueError: if a shape does not fit the skeleton, or there is no hypothesis `chosen`.
    """
    for number, pose in enumerate(hypotheses):
        color, style = hypothesis_look(number)
        name = f"{len(hypotheses)} hypotheses" if number == 0 else None
        draw_pose3d(axes, pose, skeleton, azimuth, elevation, color, width, 0.85, style, label=name)
    picked = pick(hypotheses, chosen)
    if picked is not None:
        draw_pose3d(
            axes, picked, skeleton, azimuth, elevation, CHOSEN, 2.6 * width, 0.9, order=4,
            label="chosen",
        )  # fmt: skip
    if truth is not None:
        draw_pose3d(
            axes, truth, skeleton, azimuth, elevation, TRUTH, 1.3 * width, style=_DASHES, order=5,
            label="truth",
        )  # fmt: skip


def pick(hypotheses: Tensor, chosen: int | Tensor | None) -> Tensor | None:
    """The chosen pose (J, 3), by its number or as it is.

    Raises:
        ValueError: if there is no hypothesis of that number.
    """
    if not isinstance(chosen, int):
        return chosen
    if not 0 <= chosen < len(hypotheses):
        raise ValueError(f"chosen is {chosen}, but there are {len(hypotheses)} hypotheses")
    return hypotheses[chosen]


def set_view(
    axes: Axes,
    poses: Tensor,
    azimuth: float = 0.0,
    elevation: float = 0.0,
    reach: float | None = None,
    floor: bool = True,
    scale: float = 0.5,
) -> None:
    """Equal scales, no ticks, a disc of floor under the poses, and a bar that says how long.

    Args:
        axes: with poses drawn into it from the same side.
        poses: metres, camera frame, (..., 3): all that has to be in the picture.
        azimuth: degrees, see `turned`.
        elevation: degrees, see `turned`.
        reach: metres from the origin, where roots are, to every border, so that panels share a
            scale and do not move with a slider; None: as the poses need.
        floor: draw the disc, as wide as a metre, at the lowest joint.
        scale: length of the bar, metres; 0: none.
    """
    world = _numpy(poses).reshape(-1, 3)
    world = world[np.isfinite(world).all(1)]
    drawn = [turned(world, azimuth, elevation)]
    if floor:
        angle = np.linspace(0, 2 * np.pi, 73)
        middle, ground = (world.min(0) + world.max(0)) / 2, world[:, 1].max()
        ring = np.stack(
            [
                middle[0] + _RADIUS * np.cos(angle),
                np.full_like(angle, ground),
                middle[2] + _RADIUS * np.sin(angle),
            ],
            -1,
        )
        drawn.append(turned(ring, azimuth, elevation))
        right, up, _ = drawn[-1].T
        axes.fill(right, up, facecolor="#EDEDED", edgecolor="#BBBBBB", linewidth=1.5, zorder=1)
    everything = np.concatenate(drawn)[:, :2]
    low, high = everything.min(0) - _MARGIN, everything.max(0) + _MARGIN
    if scale:
        low[1] -= _BAR
    if reach is not None:
        low, high = np.full(2, -reach), np.full(2, reach)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xticks=(), yticks=())
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    if scale:
        start, height = low[0] + 0.04, low[1] + 0.05
        axes.plot(
            [start, start + scale], [height, height], color=FAINT, marker="|", linewidth=2, zorder=2
        )
        axes.annotate(
            f"{100 * scale:g} cm",
            (start + scale / 2, height),
            (0, 5),
            textcoords="offset points",
            color=INK,
            fontsize=11,
            ha="center",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def _numpy(points: Tensor | Array) -> Array:
    return points.detach().float().cpu().numpy() if isinstance(points, Tensor) else points
