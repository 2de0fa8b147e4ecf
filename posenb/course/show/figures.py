"""Flat figures and tables: images, poses, clouds, curves, bars (used from notebook 00 on).

A function either draws into axes that it is given, or makes a figure of its own and returns it.
Nothing appears until `show(figure, alt)` displays it, always with a description in words.
"""

from __future__ import annotations

import base64
import html
import io
import itertools
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from IPython.display import display
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from posenb.course.show.style import FAINT, INK, look, new_figure, styled

if TYPE_CHECKING:
    from posenb.world.skeletons import Skeleton

__all__ = [
    "Picture",
    "Table",
    "bars",
    "draw_pose",
    "image_grid",
    "keypoint_cloud",
    "loss_curve",
    "name_points",
    "plot_skeletons",
    "png",
    "pose_map",
    "save",
    "show",
    "table",
]

DPI = 144  # stored pixels an inch; pages show 96 an inch, so projectors get sharp lines
PALETTE_ERROR = 1.5  # mean error in 1/255 below which 256 colours are enough,
PALETTE_WRONG, PALETTE_SHARE = 48, 0.001  # unless so many pixels are off by so many 1/255
# how a cell of numbers begins, or says that there is none; "01: focal length" is words
NUMBER = re.compile(r"\**[-+−±]?\d[\d.,]*(?![\d.,:])|\**–\**$")
Array = NDArray[Any]


class Picture:
    """A PNG with its description, as one `<img alt>`.

    Not as image/png with alt in the metadata: nbconvert's pages and slides drop that text.
    JupyterLab, nbconvert, nbviewer and GitHub all keep the `<img>`.
    """

    def __init__(self, data: bytes, alt: str) -> None:
        """Keep the bytes of a PNG and its description.

        Raises:
            ValueError: if the description is empty.
        """
        if not alt.strip():
            raise ValueError("alt is empty: say in a sentence what the picture shows")
        self.data = data
        self.alt = " ".join(alt.split())

    def __repr__(self) -> str:
        """What a terminal shows."""
        return f"[picture: {self.alt}]"

    def _repr_html_(self) -> str:
        return self.html()

    def html(self) -> str:
        """The `<img>` element, with the picture inside."""
        width = round(Image.open(io.BytesIO(self.data)).width * 96 / DPI)
        source = base64.b64encode(self.data).decode()
        return (
            f'<img alt="{html.escape(self.alt)}" width="{width}" '
            f'style="max-width:100%;height:auto" src="data:image/png;base64,{source}">'
        )


class Table:
    """A small HTML table that prints as text in a terminal."""

    def __init__(
        self,
        head: Sequence[str],
        cells: Sequence[Sequence[str]],
        caption: str,
        folded: bool = False,
    ) -> None:
        """Keep what the table shows.

        Args:
            head: a name a column.
            cells: rows of HTML-free text; `**` around it means bold.
            caption: what the table says.
            folded: on a page, only the caption shows until a reader clicks on it.
        """
        self.head, self.cells, self.caption = list(head), [list(row) for row in cells], caption
        self.folded = folded

    def __repr__(self) -> str:
        """What a terminal shows: columns padded with spaces."""
        lines = [self.head, *self.cells]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.head))]
        text = ("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines)
        return "\n".join([self.caption, *(line.rstrip() for line in text)])

    def _repr_html_(self) -> str:
        columns = ([row[i] for row in self.cells] for i in range(len(self.head)))
        sides = [_side(i, column) for i, column in enumerate(columns)]
        head = "".join(
            f'<th scope="col" style="text-align:{side}">{html.escape(cell)}</th>'
            for side, cell in zip(sides, self.head, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(_cell(side, cell) for side, cell in zip(sides, row, strict=True))
            + "</tr>"
            for row in self.cells
        )
        caption = html.escape(self.caption)
        above = f'<caption style="text-align:left;font-weight:bold">{caption}</caption>'
        table = (
            f'<table style="font-size:110%">{"" if self.folded else above}'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )
        if not self.folded:
            return table
        return f"<details><summary><b>{caption}</b></summary>{table}</details>"


def png(figure: Figure, stored: bool = True, photo: bool = False) -> bytes:
    """A figure as PNG bytes at 144 dots an inch, with 256 colours where that loses nothing visible.

    Args:
        figure: a matplotlib figure.
        stored: spend time on a small file; a slider's next picture wants to be fast instead.
        photo: keep all colours: 256 leave bands on smooth walls.
    """
    buffer = io.BytesIO()
    packed = {"compress_level": 6 if stored else 1}
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", pil_kwargs=packed)
    if photo or not stored:
        return buffer.getvalue()
    full = Image.open(buffer).convert("RGB")
    few = full.quantize(256, dither=Image.Dither.NONE)
    error = np.abs(np.asarray(full, np.int16) - np.asarray(few.convert("RGB"), np.int16))
    wrong = (error.max(-1) > PALETTE_WRONG).mean()
    enough = bool(error.mean() < PALETTE_ERROR and wrong < PALETTE_SHARE)
    out = io.BytesIO()
    (few if enough else full).save(out, format="PNG", optimize=enough)  # slow, for photographs
    return out.getvalue()


def show(
    figure: Figure,
    alt: str,
    name: str | None = None,
    vector: bool = False,
    photo: bool = False,
) -> None:
    """Display a figure with a description in words, and close it.

    Args:
        figure: a matplotlib figure, of pyplot or not.
        alt: what the figure shows, in a sentence or two, for those who cannot see it.
        name: such as "prior/samples": also saved as prior/samples.png, where `save` is asked to.
        vector: save <name>.svg (line art) instead of the PNG; still displayed as PNG.
        photo: of photographs or rendered pictures: keep all colours, see `png`.

    Raises:
        ValueError: if alt is empty or name leads out of the figures folder.
    """
    picture = Picture(png(figure, photo=photo), alt)
    if name is not None and vector:
        buffer = io.BytesIO()
        with styled():
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Title": picture.alt})
        save(buffer.getvalue(), name, ".svg")
    elif name is not None:
        save(picture.data, name)
    pyplot.close(figure)
    display(picture)


def save(data: bytes, name: str, suffix: str = ".png") -> Path | None:
    """Write a picture to <name><suffix> in the folder that POSENB_FIGURES names.

    Without that environment variable nothing is written: whoever runs a notebook finds the files
    of the repository as they were. `tests/notebooks/execute.py` sets it to the folder `figures`.

    Args:
        data: the whole file.
        name: such as "prior/samples": the chapter and the figure.
        suffix: of the file, with its dot.

    Returns:
        The path written, or None where POSENB_FIGURES is not set.

    Raises:
        ValueError: if name leads out of the figures folder.
    """
    place = Path(name)
    if place.is_absolute() or ".." in place.parts or place.suffix or not place.name:
        raise ValueError(f"name is {name!r}, expected a place such as 'prior/samples', no suffix")
    folder = os.environ.get("POSENB_FIGURES")
    if not folder:
        return None
    path = (Path(folder) / place).with_suffix(suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def image_grid(
    images: Tensor,
    columns: int | None = None,
    titles: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    axes: Axes | None = None,
    scale: float = 1.0,
) -> Figure:
    """Images in rows, filled from the left.

    Args:
        images: (N, 3, S, S) in [0, 1]; values outside are clipped.
        columns: images a row; all in one row if None.
        titles: over the first row (one a column), or over every image (one an image).
        row_labels: left of the rows, one a row.
        axes: where to draw; a figure of its own if None.
        scale: inches an image, for a figure of its own.

    Returns:
        The figure drawn into.

    Raises:
        ValueError: if the shape or the number of titles or labels does not fit.
    """
    if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
        raise ValueError(f"images have shape {tuple(images.shape)}, expected (N, 3, S, S), N > 0")
    columns = columns or len(images)
    rows = math.ceil(len(images) / columns)
    if titles is not None and len(titles) not in (columns, len(images)):
        raise ValueError(f"{len(titles)} titles: give {columns} (columns) or {len(images)}")
    if row_labels is not None and len(row_labels) != rows:
        raise ValueError(f"{len(row_labels)} row labels for {rows} rows")
    titled = titles is not None and len(titles) > columns
    height, width = images.shape[2:]
    gap = max(1, width // 24)
    # room over a row that has titles of its own: about 18 points of text
    lead = gap + (round(0.25 * height / scale) if titled else 0)
    sheet = np.ones((rows * (height + lead), columns * (width + gap) - gap, 3))
    corners = []
    for i, image in enumerate(_numpy(images).transpose(0, 2, 3, 1)):  # (S, S, 3)
        top, left = (i // columns) * (height + lead) + lead, (i % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image.clip(0, 1)
        corners.append((top, left))
    if axes is None:
        tall = scale * sheet.shape[0] / height + (0.4 if titles is not None and not titled else 0.0)
        wide = scale * sheet.shape[1] / width + (1.4 if row_labels is not None else 0.0)
        axes = new_figure(wide, tall).subplots()
    with styled():
        axes.imshow(sheet, extent=(0, sheet.shape[1], sheet.shape[0], 0), interpolation="nearest")
        axes.set_axis_off()
        for (top, left), title in zip(corners, titles or (), strict=False):
            axes.text(left + width / 2, top - gap / 2, title, ha="center", va="bottom")
        for row, label in enumerate(row_labels or ()):
            top = corners[row * columns][0]
            axes.text(-gap, top + height / 2, label, ha="right", va="center")
    return _figure_of(axes)


def draw_pose(
    axes: Axes,
    keypoints: Tensor,
    skeleton: Skeleton,
    width: float = 4.0,
    color: str | None = None,
    alpha: float = 1.0,
    label: str | None = None,
    joints: bool = True,
) -> None:
    """Draw one pose in the bones' own colours, outlined so that light bones stand out on white.

    Args:
        axes: where; y must point down for image coordinates (`plot_skeletons` sees to it).
        keypoints: (J, 2); bones with a NaN end are left out.
        skeleton: names the bones.
        width: of a bone, points.
        color: one colour for all bones instead of their own, to compare two poses.
        alpha: opacity.
        label: name in the legend.
        joints: draw a dot at every joint.

    Raises:
        ValueError: if the number of joints differs from the skeleton's.
    """
    points = _numpy(keypoints)
    if points.shape != (len(skeleton), 2):
        raise ValueError(
            f"keypoints have shape {points.shape}, but {skeleton.name} needs ({len(skeleton)}, 2)"
        )
    known = [i for i, ends in enumerate(skeleton.bones) if np.isfinite(points[list(ends)]).all()]
    segments = [points[list(skeleton.bones[i])] for i in known]
    colors = [color or skeleton.colors[i] for i in known]
    # a second, wider collection below is the outline: path effects would outline bone by bone
    # and leave dark lines across the joints
    for shade, thickness in ((INK, width + 1.6), (colors, width)):
        axes.add_collection(
            LineCollection(
                segments,
                colors=shade,
                linewidths=thickness,
                alpha=alpha,
                capstyle="round",
                label=label if shade is colors else None,
                zorder=3,
            )
        )
    if joints:
        x, y = points.T
        axes.scatter(x, y, s=(width * 1.1) ** 2, c=INK, alpha=alpha, zorder=4, linewidths=0)


def plot_skeletons(
    poses: Tensor,
    skeleton: Skeleton,
    columns: int = 6,
    titles: Sequence[str] | None = None,
    scale: float = 1.6,
    other: Tensor | None = None,
    names: tuple[str, str] = ("truth", "prediction"),
) -> Figure:
    """Poses side by side, each in its unit square.

    Args:
        poses: (N, J, 2) in [0, 1] of the crop, y down.
        skeleton: names the bones.
        columns: poses a row.
        titles: one a pose.
        scale: inches a pose.
        other: (N, J, 2), drawn over each pose for comparison; then both sets take the colours of
            their roles instead of the bones' own.
        names: the roles of `poses` and `other`, see `style.ROLES`.

    Raises:
        ValueError: if there are no poses or the titles do not fit.
    """
    if poses.ndim != 3 or len(poses) == 0:
        raise ValueError(f"poses have shape {tuple(poses.shape)}, expected (N, J, 2), N > 0")
    if titles is not None and len(titles) != len(poses):
        raise ValueError(f"{len(titles)} titles for {len(poses)} poses")
    columns = min(columns, len(poses))
    rows = math.ceil(len(poses) / columns)
    room = 0.35 if titles is not None else 0.0
    figure = new_figure(scale * columns, (scale + room) * rows + (0.4 if other is not None else 0))
    with styled():
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid:
            axes.set(xlim=(0, 1), ylim=(1, 0), aspect="equal", xticks=(), yticks=())
        for axes in grid[len(poses) :]:
            axes.set_axis_off()
        for i, axes in enumerate(grid[: len(poses)]):
            thick = 2.2 * scale
            if other is None:
                draw_pose(axes, poses[i], skeleton, thick)
            else:
                for pose, name, width in ((poses[i], names[0], 1.6), (other[i], names[1], 0.9)):
                    draw_pose(
                        axes, pose, skeleton, thick * width / 1.6, look(name).color, label=name
                    )
            axes.spines[:].set_visible(True)
            axes.spines[:].set_color("#CCCCCC")
            if titles is not None:
                axes.set_title(titles[i], loc="center", fontsize=13, fontweight="normal")
        if other is not None:
            handles, labels = grid[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper left", ncols=2)
    return figure


def keypoint_cloud(
    axes: Axes,
    sets: Mapping[str, Tensor],
    skeleton: Skeleton | None = None,
    limit: int = 300,
) -> None:
    """Where the keypoints of sets of poses fall in the crop, one colour and marker a set.

    Args:
        axes: where to draw.
        sets: name to keypoints (N, J, 2) in [0, 1], y down; a role or domain name fixes the look.
        skeleton: also draws each set's mean pose.
        limit: poses a set, evenly spaced, so that the cloud stays a cloud.
    """
    for position, (name, poses) in enumerate(sets.items()):
        own, points = look(name, position), _numpy(poses)
        x, y = points[:: max(1, math.ceil(len(points) / limit))].reshape(-1, 2).T
        axes.scatter(x, y, s=14, c=own.color, marker=own.marker, alpha=0.15, linewidths=0)
        if skeleton is not None:
            mean = np.nanmean(points, 0)  # (J, 2)
            segments = [mean[list(bone)] for bone in skeleton.bones]
            for shade, width in (("white", 7.0), (own.color, 4.0)):
                axes.add_collection(
                    LineCollection(segments, colors=shade, linewidths=width, capstyle="round")
                )
            x, y = mean.T
            axes.scatter(x, y, s=60, c=own.color, marker=own.marker, edgecolors="white", zorder=5)
        axes.scatter([], [], s=70, c=own.color, marker=own.marker, label=name)
    axes.set(xlim=(0, 1), ylim=(1, 0), aspect="equal")
    axes.set(xlabel="x, share of the crop", ylabel="y, share of the crop")
    _legend_inside(axes)


def pose_map(
    axes: Axes, sets: Mapping[str, Tensor], reference: Tensor | None = None, limit: int = 1000
) -> None:
    """Every pose as one point: the two directions in which the reference poses vary most (PCA).

    Args:
        axes: where to draw.
        sets: name to keypoints (N, J, 2) without NaN; a role or domain name fixes the look.
        reference: poses (N, J, 2) whose principal directions are the axes; the first set if None.
        limit: poses a set, evenly spaced.

    Raises:
        ValueError: if there are no sets.
    """
    if not sets:
        raise ValueError("no sets to draw")
    basis = _numpy(next(iter(sets.values())) if reference is None else reference)
    basis = basis.reshape(len(basis), -1)  # (N, 2 J)
    middle = basis.mean(0)
    directions = np.linalg.svd(basis - middle, full_matrices=False)[2][:2]  # (2, 2 J)
    # SVD leaves the signs open: make the largest entry positive, so that pictures are repeatable
    largest = np.abs(directions).argmax(1)
    directions *= np.sign(directions[[0, 1], largest])[:, None]
    for position, (name, poses) in enumerate(sets.items()):
        own, points = look(name, position), _numpy(poses)
        flat = points[:: max(1, math.ceil(len(points) / limit))].reshape(-1, basis.shape[1])
        x, y = directions @ (flat - middle).T  # (N,) each
        axes.scatter(x, y, s=22, c=own.color, marker=own.marker, alpha=0.35, linewidths=0)
        axes.scatter([], [], s=70, c=own.color, marker=own.marker, label=name)
    axes.set(xlabel="first principal direction", ylabel="second principal direction")
    _legend_inside(axes)


def loss_curve(
    axes: Axes,
    history: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    smooth: int = 1,
    xlabel: str = "step",
    ylabel: str = "loss",
) -> None:
    """Losses over training, each named at the end of its line.

    Args:
        axes: where to draw.
        history: name to steps and values, as `posenb.train.loop.History.series` gives them.
        smooth: width of a moving mean; the raw values stay behind it, faintly.
        xlabel: what a step is.
        ylabel: what is shown, with its unit.
    """
    ends: list[tuple[str, str, tuple[float, float]]] = []
    for position, (name, (steps, values)) in enumerate(history.items()):
        own, x, y = look(name, position), np.asarray(steps, float), np.asarray(values, float)
        if smooth > 1 and len(y) > smooth:
            axes.plot(x, y, color=own.color, alpha=0.25, linewidth=1, marker="")
            y = np.convolve(y, np.full(smooth, 1 / smooth), "valid")
            x = x[smooth - 1 :]
        axes.plot(x, y, color=own.color, marker=own.marker, markevery=max(1, len(y) // 6))
        if len(y):
            ends.append((name, own.color, (x[-1], y[-1])))
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.get_ylim()  # fits the limits to the lines, which the next lines build on
    inches = [axes.transData.transform(end)[1] / _figure_of(axes).dpi for *_, end in ends]
    for (name, color, end), lift in zip(ends, _apart(inches, 0.22), strict=True):
        axes.annotate(
            name,
            end,
            (7, 72 * lift),
            textcoords="offset points",
            color=color,
            va="center",
            fontweight="bold",
        )


def bars(
    axes: Axes,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float] | Sequence[tuple[float, float, float]]],
    xlabel: str = "",
    reference: Mapping[str, float] | None = None,
    colors: Mapping[str, str] | None = None,
) -> None:
    """Horizontal bars with intervals, one group a label, first label on top.

    Args:
        axes: where to draw.
        labels: one a group, such as layers or methods.
        series: name to one entry a label: a value, or (mean, low, high).
        xlabel: what is shown, with its unit.
        reference: name to a value, drawn as a dashed line: a floor, or chance level.
        colors: colour of a series, by name, where its role is not in its name.

    Raises:
        ValueError: if a series is not as long as the labels.
    """
    thick = 0.8 / len(series)
    for position, (name, entries) in enumerate(series.items()):
        if len(entries) != len(labels):
            raise ValueError(f"series {name!r} has {len(entries)} entries for {len(labels)} labels")
        rows = np.array([e if isinstance(e, tuple) else (e, e, e) for e in entries], float)
        own = look(name, position)
        color = (colors or {}).get(name, own.color)
        at = np.arange(len(labels)) + (position - (len(series) - 1) / 2) * thick
        axes.barh(at, rows[:, 0], 0.9 * thick, color=color, alpha=0.75, label=name)
        spread = np.abs(rows[:, 1:] - rows[:, :1]).T  # (2, labels)
        axes.errorbar(
            rows[:, 0], at, xerr=spread, fmt=own.marker, color=INK, markersize=6, capsize=4, lw=1.8
        )
    for name, value in (reference or {}).items():
        axes.axvline(value, color=FAINT, linestyle="--")
        axes.annotate(
            f" {name}", (value, 1.0), xycoords=("data", "axes fraction"), color=INK, va="top"
        )
    axes.set_yticks(range(len(labels)), labels)
    # explicit, as two panels may share this axis; the strip on top is for the references' names
    axes.set_ylim(len(labels) - 0.45, -0.55 - (0.12 * len(labels) if reference else 0.0))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(xlabel)
    if len(series) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def name_points(axes: Axes, points: Mapping[str, tuple[float, float]], size: float = 11.0) -> None:
    """Write names beside points, moved up where they would cover each other.

    Call it last: names stay where they are when the limits of the axes change.

    Args:
        axes: where the points are drawn already.
        points: name to its place in the data.
        size: of the letters, points.
    """
    figure = _figure_of(axes)
    figure.draw_without_rendering()  # now the axes have their limits, and points their places
    pixel = figure.dpi / 72
    taken: list[tuple[float, float, float]] = []  # left end, length and height of each name, pixels
    for name, point in sorted(points.items(), key=lambda item: item[1][1]):
        x, y = axes.transData.transform(point) + pixel * np.array([9.0, 2.0])
        length = 0.55 * size * pixel * len(name)
        while any(
            x < left + far and left < x + length and abs(y - high) < 1.25 * size * pixel
            for left, far, high in taken
        ):
            y += 2 * pixel
        taken.append((x, length, y))
        left, high = axes.transData.inverted().transform((x, y))
        axes.text(left, high, name, fontsize=size)


def table(
    rows: Sequence[Mapping[str, object]],
    caption: str,
    formats: Mapping[str, str] | None = None,
    best: Mapping[str, str] | None = None,
) -> Table:
    """A table for the end of a cell.

    Args:
        rows: column name to value, a row each; a missing column is shown as a dash.
        caption: what the table says.
        formats: column to format specification for its numbers, such as ".2f".
        best: column to "low" or "high": the best number of that column is printed bold.

    Raises:
        ValueError: if there are no rows, or `best` is neither "low" nor "high".
    """
    if not rows:
        raise ValueError("a table needs at least one row")
    head = list(dict.fromkeys(column for row in rows for column in row))
    formats = formats or {}
    cells = [[_text(row.get(c), formats.get(c, "")) for c in head] for row in rows]
    for column, sense in (best or {}).items():
        if sense not in ("low", "high"):
            raise ValueError(f"best[{column!r}] is {sense!r}, expected 'low' or 'high'")
        numbers = {i: v for i, r in enumerate(rows) if isinstance(v := r.get(column), int | float)}
        if numbers:
            goal = (min if sense == "low" else max)(numbers.values())
            at = head.index(column)
            for i in (i for i, number in numbers.items() if number == goal):
                cells[i][at] = f"**{cells[i][at]}**"
    return Table(head, cells, caption)


def _legend_inside(axes: Axes) -> None:
    """A legend in the corner, on a veil: above the axes it would cover their title."""
    axes.legend(loc="upper left", frameon=True, framealpha=0.85, edgecolor="none", fancybox=False)


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """By how much to raise each of these heights so that no two are closer than `least`."""
    raised = list(heights)
    for below, above in itertools.pairwise(sorted(range(len(heights)), key=raised.__getitem__)):
        raised[above] = max(raised[above], raised[below] + least)
    return [new - old for new, old in zip(raised, heights, strict=True)]


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes belong to no figure")
    return figure


def _numpy(values: Tensor | Array) -> Array:
    """A tensor of any device as a NumPy array of floats."""
    return values.detach().float().cpu().numpy() if isinstance(values, Tensor) else values


def _text(value: object, specification: str) -> str:
    if value is None:
        return "–"
    return f"{value:{specification}}" if isinstance(value, int | float) else str(value)


def _side(place: int, column: Sequence[str]) -> str:
    """Numbers stand right, words and the first column left."""
    return "right" if place and all(NUMBER.match(text) for text in column) else "left"


def _cell(side: str, text: str) -> str:
    bold = text.startswith("**") and text.endswith("**") and len(text) > 4
    inside = html.escape(text.strip("*") if bold else text)
    return f'<td style="text-align:{side}">{f"<b>{inside}</b>" if bold else inside}</td>'
