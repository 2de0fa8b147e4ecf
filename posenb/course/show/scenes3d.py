"""People and cameras in 3D, to be turned with the mouse (used from notebook 00 on).

The world has y up, plotly z up: a point (x, y, z) is drawn at (x, -z, y), a quarter turn about x,
so that right-handed stays right-handed. JupyterLab draws the scenes with the extension that comes
inside the plotly package, without a network; pages without it show the static picture instead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import torch
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from torch import Tensor

from posenb.course.show.figures import Picture, png, save
from posenb.course.show.poses3d import CHOSEN, TRUTH, hypothesis_look, paint, pick, view_axes
from posenb.course.show.style import CATEGORIES, INK, new_figure, styled

if TYPE_CHECKING:
    from posenb.world.cameras import Camera
    from posenb.world.skeletons import Skeleton

__all__ = ["cameras_scene", "clip_player", "hypotheses_scene", "show3d", "static_picture"]

MOST_FRAMES = 40  # stored frames a clip: a notebook keeps them all
MARGIN = 0.25  # round the people and cameras of the static picture, metres
STILLS = 5  # frames in the static picture of a clip
EYE = (1.25, -1.25, 0.45)  # plotly's view point: people of the clips face +x, so from their front
SQUARE = 0.5  # side of a square of the ground grid, metres
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}  # matplotlib's and plotly's
MIMETYPE = "application/vnd.plotly.v1+json"
Array = NDArray[np.float32]


def clip_player(
    joints: Tensor,
    skeleton: Skeleton,
    fps: float = 30.0,
    title: str = "",
    most: int = MOST_FRAMES,
) -> go.Figure:
    """A clip with a play button, a slider over its frames, and a view to turn with the mouse.

    Args:
        joints: metres, world frame (y up), (T, J, 3); nobody is shown where they are NaN.
        skeleton: names the bones and their colours.
        fps: frames a second of `joints`; longer clips keep `most` frames and their duration.
        title: what the clip shows.
        most: frames kept; a notebook stores them all.

    Returns:
        The scene; display it with `show3d`.

    Raises:
        ValueError: if the shape does not fit the skeleton or the clip is empty.
    """
    if joints.ndim != 3 or joints.shape[1:] != (len(skeleton), 3) or len(joints) == 0:
        raise ValueError(
            f"joints have shape {tuple(joints.shape)}, expected (frames > 0, {len(skeleton)}, 3) "
            f"for {skeleton.name}"
        )
    points = _upright(joints)  # (T, J, 3)
    kept = np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).round())
    times = kept / fps
    low, high = np.nanmin(points, (0, 1)), np.nanmax(points, (0, 1))
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}}
    step = 1000 * times[-1] / max(len(times) - 1, 1)  # milliseconds
    scene = go.Figure(
        data=[_person(points[0], skeleton), _ground(low, high)],
        frames=[
            # the ground does not move: only trace 0 is stored again, and of it only the place
            go.Frame(name=f"{t:.2f}", traces=[0], data=[_lines(points[int(i)], skeleton)])
            for i, t in zip(kept, times, strict=True)
        ],
        layout=_layout(title, low, high),
    )
    scene.update_layout(
        margin={"b": 90},
        updatemenus=[
            {
                "type": "buttons",
                "direction": "left",
                "x": 0.0,
                "y": 0.0,
                "xanchor": "left",
                "yanchor": "top",
                "pad": {"t": 30, "l": 8},
                "buttons": [
                    {
                        "label": "Play",
                        "method": "animate",
                        "args": [
                            None,
                            {
                                "frame": {"duration": step, "redraw": True},
                                "transition": {"duration": 0},
                                "fromcurrent": True,
                            },
                        ],
                    },
                    {"label": "Pause", "method": "animate", "args": [[None], still]},
                ],
            }
        ],
        sliders=[
            {
                "x": 0.24,
                "len": 0.74,
                "y": 0.0,
                "pad": {"t": 20},
                "currentvalue": {"prefix": "time ", "suffix": " s", "font": {"size": 16}},
                "font": {"color": "rgba(0,0,0,0)"},  # 40 step labels would overlap
                "ticklen": 0,
                "steps": [
                    {"label": f"{t:.2f}", "method": "animate", "args": [[f"{t:.2f}"], still]}
                    for t in times
                ],
            }
        ],
    )
    return scene


def cameras_scene(
    cameras: Camera,
    joints: Tensor,
    skeleton: Skeleton,
    labels: Sequence[str] | None = None,
    size: tuple[float, float] | None = None,
    depth: float = 0.8,
    title: str = "",
) -> go.Figure:
    """A person and the cameras around, each a pyramid that opens where it looks.

    Args:
        cameras: C of them, batch shape (C,).
        joints: metres, world frame (y up), (J, 3).
        skeleton: names the bones and their colours.
        labels: one a camera; "camera 0", ... if None.
        size: width and height of the pictures in the cameras' units; twice the principal point
            if None, (1, 1) fits crops.
        depth: length of the pyramids, metres.
        title: what the scene shows.

    Returns:
        The scene; display it with `show3d`.

    Raises:
        ValueError: if the cameras are not a batch (C,) or the labels do not fit.
    """
    if len(cameras.shape) != 1:
        raise ValueError(f"cameras have batch shape {tuple(cameras.shape)}, expected (C,)")
    labels = [f"camera {i}" for i in range(len(cameras))] if labels is None else list(labels)
    if len(labels) != len(cameras):
        raise ValueError(f"{len(labels)} labels for {len(cameras)} cameras")
    far = cameras.center.new_tensor([(0, 0), (1, 0), (1, 1), (0, 1)])  # (4, 2)
    extent = 2 * cameras.center if size is None else cameras.center.new_tensor(size)
    corners = far * extent.unsqueeze(-2)  # (C, 4, 2)
    rims = _upright(cameras.unproject(corners, corners.new_full(corners.shape[:-1], depth)))
    eyes = _upright(cameras.position)  # (C, 3)
    person = _upright(joints)  # (J, 3)
    everything = np.concatenate([person, eyes, rims.reshape(-1, 3)])
    low, high = everything.min(0), everything.max(0)
    low[2] = person[:, 2].min()  # the ground lies under the feet
    traces = [_person(person, skeleton), _ground(low, high)]
    gap = np.full(3, np.nan, np.float32)
    for i, (eye, rim, label) in enumerate(zip(eyes, rims, labels, strict=True)):
        color = CATEGORIES[i % len(CATEGORIES)].color
        # round the rim, then from the eye to each corner; a thick line marks the upper edge
        path = [*rim, rim[0], gap, *(p for corner in rim for p in (eye, corner, gap))]
        traces.append(_line(np.array(path), color, 4))
        traces.append(_line(rim[:2], color, 12))
        name_at = np.array([*(rim.mean(0) + eye)[:2] / 2, max(eye[2], rim[:, 2].max())])
        traces.append(
            go.Scatter3d(
                **_places(name_at[None]),
                mode="text",
                text=[label],
                textposition="top center",
                textfont={"size": 15, "color": INK},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    return go.Figure(data=traces, layout=_layout(title, low, high))


def hypotheses_scene(
    hypotheses: Tensor,
    skeleton: Skeleton,
    chosen: int | Tensor | None = None,
    truth: Tensor | None = None,
    title: str = "",
) -> go.Figure:
    """Several answers to one picture, to be turned: colours as in `poses3d.draw_hypotheses`.

    One first sees them from between the camera and its right, a little from above.

    Args:
        hypotheses: metres, a camera's frame (x right, y down, z forward), (H, J, 3).
        skeleton: names the bones.
        chosen: number of a hypothesis, or a pose made of them, (J, 3).
        truth: metres, camera frame, (J, 3).
        title: what the scene shows.

    Returns:
        The scene; display it with `show3d`.

    Raises:
        ValueError: if a shape does not fit the skeleton, or there is no hypothesis `chosen`.
    """
    picked = pick(hypotheses, chosen)
    known = {"chosen": picked, "truth": truth}
    named = {name: pose for name, pose in known.items() if pose is not None}
    shapes = {tuple(pose.shape) for pose in (*hypotheses[:1], *named.values())}
    if not len(hypotheses) or shapes != {(len(skeleton), 3)}:
        raise ValueError(
            f"found hypotheses {tuple(hypotheses.shape)} and poses {sorted(shapes)}: expected "
            f"(H > 0, {len(skeleton)}, 3) and ({len(skeleton)}, 3) of {skeleton.name}"
        )
    everything = torch.stack([*hypotheses, *named.values()])
    upright = _upright(everything * everything.new_tensor([1.0, -1.0, -1.0]))
    low, high = upright.min((0, 1)), upright.max((0, 1))
    traces = []
    for number, pose in enumerate(upright[: len(hypotheses)]):
        color, style = hypothesis_look(number)
        traces.append(_line(_bones(pose, skeleton), color, 3, DASHES[style]))
        traces[-1].update(name="hypotheses", legendgroup="hypotheses", showlegend=number == 0)
    looks = {"chosen": (CHOSEN, 10, "solid"), "truth": (TRUTH, 5, "dash")}
    for name, pose in zip(named, upright[len(hypotheses) :], strict=True):
        traces.append(_line(_bones(pose, skeleton), *looks[name]))
        traces[-1].update(name=name, showlegend=True)
    return go.Figure(
        data=[traces[0], _ground(low, high), *traces[1:]], layout=_layout(title, low, high)
    )


def show3d(scene: go.Figure, alt: str, name: str | None = None) -> None:
    """Display a scene: to be turned in JupyterLab, as a picture with alt text everywhere else.

    Args:
        scene: a plotly figure of lines, markers and texts, with frames or without.
        alt: what it shows, in a sentence or two, for those who cannot see it.
        name: such as "start/walk": the static picture is saved, too, as by `figures.show`.

    Raises:
        ValueError: if alt is empty or name leads out of the figures folder.
    """
    picture = Picture(png(static_picture(scene)), alt)
    if name is not None:
        save(picture.data, name)
    interactive = json.loads(scene.to_json())
    interactive["config"] = {"displaylogo": False, "responsive": True}
    bundle = {
        MIMETYPE: interactive,
        "text/html": picture.html(),
        "text/plain": repr(picture),
    }
    display(bundle, raw=True)


def static_picture(scene: go.Figure) -> Figure:
    """The scene as a flat figure: one panel, or five frames of a clip from first to last.

    Args:
        scene: made by `clip_player`, `cameras_scene` or `hypotheses_scene`.
    """
    fixed = list(scene.data)
    stills: list[tuple[str, list[Any]]] = [("", fixed)]
    if scene.frames:
        count = len(scene.frames)
        chosen = np.unique(np.linspace(0, count - 1, min(STILLS, count)).round().astype(int))
        stills = [
            (f"{scene.frames[i].name} s", [_moved(fixed[0], scene.frames[i].data[0]), *fixed[1:]])
            for i in chosen
        ]
    painted = [[_project(trace) for trace in traces] for _, traces in stills]  # (P, 3) each
    # the ground, always trace 1, may leave the picture: it only says where the floor is
    inside = np.concatenate([p for panel in painted for i, p in enumerate(panel) if i != 1])
    low, high = np.nanmin(inside, 0) - MARGIN, np.nanmax(inside, 0) + MARGIN
    wide, tall = (high - low)[:2]
    height = min(4.2, 11.0 / len(stills) * tall / wide)
    names = sum(1 for trace in fixed if trace.showlegend)
    width = max(height * wide / tall * len(stills), 2.0 * names)
    figure = new_figure(width, height + (1.2 if names else 0.8))
    with styled():
        for axes, (label, traces), panel in zip(
            figure.subplots(1, len(stills), squeeze=False).flat, stills, painted, strict=True
        ):
            for order, (trace, points) in enumerate(zip(traces, panel, strict=True)):
                _paint(axes, trace, points, 1 if order == 1 else 3)
            axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
            axes.set_axis_off()
            axes.set_title(label, loc="center", fontweight="normal")
        if names:
            figure.legend(
                *figure.axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=names
            )
        if scene.layout.title.text:
            figure.suptitle(scene.layout.title.text, x=0.01, ha="left")
    return figure


def _upright(points: Tensor) -> Array:
    """World points (..., 3), y up, as (x, -z, y), z up, to the millimetre."""
    x, y, z = points.detach().float().cpu().unbind(-1)
    return np.stack([x.numpy(), -z.numpy(), y.numpy()], -1).round(3) + np.float32(0)


def _places(points: Array) -> dict[str, Array]:
    """(P, 3) as the x, y and z of a trace, float32: plotly stores 4 bytes a number."""
    return dict(zip("xyz", np.ascontiguousarray(points.astype(np.float32).T), strict=True))


def _bones(pose: Array, skeleton: Skeleton) -> Array:
    """Both ends of every bone and a gap, (3 bones, 3): one line of many pieces."""
    gap = np.full(3, np.nan, np.float32)
    return np.array([p for a, b in skeleton.bones for p in (pose[a], pose[b], gap)])


def _lines(pose: Array, skeleton: Skeleton) -> go.Scatter3d:
    return go.Scatter3d(**_places(_bones(pose, skeleton)))


def _person(pose: Array, skeleton: Skeleton) -> go.Scatter3d:
    colors = [to_hex(color) for color in skeleton.colors for _ in range(3)]
    names = [skeleton.joints[j] for a, b in skeleton.bones for j in (a, b, b)]
    return go.Scatter3d(
        **_places(_bones(pose, skeleton)),
        mode="lines+markers",
        line={"width": 12, "color": colors},
        marker={"size": 4, "color": INK},
        text=names,
        hoverinfo="text",
        showlegend=False,
    )


def _line(points: Array, color: str, width: float, dash: str = "solid") -> go.Scatter3d:
    return go.Scatter3d(
        **_places(points),
        mode="lines",
        line={"width": width, "color": color, "dash": dash},
        hoverinfo="skip",
        showlegend=False,
    )


def _ground(low: Array, high: Array) -> go.Scatter3d:
    """A grid of half metres under the lowest point, one square wider than the box."""
    start = np.floor(low[:2] / SQUARE - 0.5) * SQUARE
    stop = np.ceil(high[:2] / SQUARE + 0.5) * SQUARE
    gap = [np.nan] * 3
    points: list[list[float]] = []
    for x in np.arange(start[0], stop[0] + SQUARE / 2, SQUARE):
        points += [[x, start[1], low[2]], [x, stop[1], low[2]], gap]
    for y in np.arange(start[1], stop[1] + SQUARE / 2, SQUARE):
        points += [[start[0], y, low[2]], [stop[0], y, low[2]], gap]
    return _line(np.array(points, np.float32), "#BBBBBB", 1.5)


def _layout(title: str, low: Array, high: Array) -> go.Layout:
    """Equal scale on all axes, no axes but the ground grid."""
    margin = np.array([SQUARE, SQUARE, 0.1])
    box = np.stack([low - margin, high + margin], -1).astype(float).round(3).tolist()  # (3, 2)
    hidden = {"visible": False, "autorange": False}
    return go.Layout(
        template="none",
        title={"text": title, "font": {"size": 20, "color": INK}, "x": 0.01},
        font={"size": 14, "color": INK},
        height=520,
        margin={"l": 0, "r": 0, "t": 50, "b": 0},
        scene={
            "aspectmode": "data",
            "camera": {"eye": dict(zip("xyz", EYE, strict=True))},
            **{f"{axis}axis": {**hidden, "range": box[i]} for i, axis in enumerate("xyz")},
        },
    )


def _moved(trace: go.Scatter3d, place: go.Scatter3d) -> go.Scatter3d:
    return go.Scatter3d(trace).update(x=place.x, y=place.y, z=place.z)


def _project(trace: go.Scatter3d) -> Array:
    """A trace's points seen from `EYE` without perspective: right, up, towards the eye, (P, 3)."""
    axes = view_axes(EYE, np.cross((0, 0, 1), EYE))
    return (np.stack([trace.x, trace.y, trace.z], -1) @ axes.T).astype(np.float32)


def _paint(axes: Axes, trace: go.Scatter3d, points: Array, order: int) -> None:
    """One plotly trace into flat axes, its projected pieces from far to near."""
    if "lines" in trace.mode:
        pieces = np.stack([points[:-1], points[1:]], 1)  # (P - 1, 2, 3)
        whole = np.isfinite(pieces).all((1, 2))
        color = trace.line.color
        colors = np.array([color] * len(points) if isinstance(color, str) else color)
        style = next(flat for flat, dash in DASHES.items() if dash == (trace.line.dash or "solid"))
        paint(
            axes, pieces[whole], colors[:-1][whole], trace.line.width / 2, order, style=style,
            label=trace.name if trace.showlegend else None,
        )  # fmt: skip
    if "markers" in trace.mode:
        right, up, _ = points.T
        axes.scatter(
            right,
            up,
            s=3 * trace.marker.size,
            c=trace.marker.color,
            linewidths=0,
            zorder=order + 1,
        )
    if "text" in trace.mode:
        for place, text in zip(points, trace.text, strict=True):
            axes.annotate(
                text,
                place[:2],
                (0, 14),
                textcoords="offset points",
                color=trace.textfont.color,
                ha="center",
                fontweight="bold",
                path_effects=[withStroke(linewidth=3, foreground="white")],
                zorder=order + 2,
            )
