"""A lifted film for the eye (`python -m posenb lift FILE`)."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure

from posenb import assets
from posenb.course.show.figures import draw_pose, png
from posenb.course.show.poses3d import draw_pose3d, set_view
from posenb.course.show.scenes3d import clip_player
from posenb.course.show.style import new_figure, styled
from posenb.posynda.film import Film3D
from posenb.posynda.film import write as numbers
from posenb.world.skeletons import BODY17

SHEET = 8  # moments on the contact sheet
SHOWN = 450  # frames of the scene: 30 s at the lifters' rate, 3 MB


def write(film: Film3D, folder: str | Path) -> tuple[Path, ...]:
    """What `posynda.film.write` writes, and the film for the eye.

    - `lifted.html`: the person, to be played and turned in any browser, without a network.
    - `lifted.png`: some moments as the camera saw them, lifted, and from the camera's right.

    Args:
        film: from `lift_film`.
        folder: made if it is not there; files of these names in it are replaced.

    Returns:
        The files written.
    """
    files = {"lifted.html": _html(film), "lifted.png": png(sheet(film), stored=False)}
    return numbers(film, folder) + assets.write_all(folder, files)


def sheet(film: Film3D) -> Figure:
    """Moments of a film, evenly spread over the frames that show somebody."""
    there = film.valid.nonzero().flatten()
    chosen = there[torch.linspace(0, len(there) - 1, min(SHEET, len(there))).round().long()]
    figure = new_figure(1.9 * max(len(chosen), 3), 7.2)
    rows = ("as the camera saw it", "lifted", "from its right")
    with styled():
        panels = figure.subplots(len(rows), len(chosen), squeeze=False)
        for column, frame in enumerate(chosen.tolist()):
            points, seen = film.keypoints[frame], film.visible[frame]
            drawn = points.where(seen[:, None], torch.nan)
            draw_pose(panels[0, column], drawn, BODY17, 3.0)
            low, high = points[seen].amin(0), points[seen].amax(0)
            middle, reach = (low + high) / 2, float((high - low).max()) * 0.6
            panels[0, column].set(
                xlim=(float(middle[0]) - reach, float(middle[0]) + reach),
                ylim=(float(middle[1]) + reach, float(middle[1]) - reach),
                aspect="equal",
                xticks=(),
                yticks=(),
            )
            panels[0, column].spines[:].set_visible(False)
            panels[0, column].set_title(f"{frame / film.fps:.2f} s", fontweight="normal")
            for row, azimuth in enumerate((0.0, 90.0), 1):
                pose = film.joints3d[frame]
                draw_pose3d(panels[row, column], pose, BODY17, azimuth, width=3.0)
                set_view(panels[row, column], pose, azimuth, reach=1.15, scale=0.5)
        for axes, name in zip(panels[:, 0], rows, strict=True):
            axes.set_ylabel(name)
    return figure


def _html(film: Film3D) -> bytes:
    """A page with the scene and all that shows it."""
    upright = film.joints3d * torch.tensor([1.0, -1.0, -1.0])  # y up
    upright = upright.where(film.valid[:, None, None], torch.nan)
    note = f"{Path(film.source).name}: {int(film.valid.sum())} of {len(film)} frames lifted"
    scene = clip_player(upright, BODY17, film.fps, note, most=SHOWN)
    return str(scene.to_html(include_plotlyjs=True, config={"displaylogo": False})).encode()
