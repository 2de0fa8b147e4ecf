"""One look for every figure of the course: colours, markers and sizes (explained in notebook 00).

The colours are those of Okabe and Ito ("Color Universal Design", 2008), which stay apart for
colour-blind eyes; whatever a colour says, a marker says again. The bones' own colours belong to
`posenb.world.skeletons`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType  # matplotlib 3.10

__all__ = [
    "CATEGORIES",
    "DOMAINS",
    "PALETTE",
    "ROLES",
    "Look",
    "look",
    "new_figure",
    "styled",
    "use_style",
]

PALETTE = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
}
INK = "#222222"  # text and outlines
FAINT = "#8A8A8A"  # grids, reference lines


@dataclass(frozen=True)
class Look:
    """How one thing is drawn wherever it appears: a colour and a marker that repeats it."""

    color: str
    marker: str


ROLES = {
    "source": Look(PALETTE["blue"], "o"),
    "target": Look(PALETTE["vermillion"], "^"),
    "adapted": Look(PALETTE["green"], "s"),
    "truth": Look(PALETTE["black"], "D"),
    "prediction": Look(PALETTE["purple"], "X"),
}
DOMAINS = {
    "wild": Look(PALETTE["blue"], "o"),
    "lab": Look(PALETTE["vermillion"], "^"),
    "lab_simple": Look(PALETTE["orange"], "v"),
    "stage": Look(PALETTE["green"], "s"),
    "synthetic": Look(PALETTE["purple"], "X"),
    "outdoor": Look(PALETTE["sky"], "P"),
}
CATEGORIES = (  # for things without a fixed look, in this order
    Look(PALETTE["blue"], "o"),
    Look(PALETTE["vermillion"], "^"),
    Look(PALETTE["green"], "s"),
    Look(PALETTE["orange"], "v"),
    Look(PALETTE["purple"], "X"),
    Look(PALETTE["sky"], "P"),
    Look(PALETTE["black"], "D"),
)

_SETTINGS: dict[RcKeyType, Any] = {
    "font.size": 13.0,
    "axes.titlesize": 15.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 13.0,
    "xtick.labelsize": 12.0,
    "ytick.labelsize": 12.0,
    "legend.fontsize": 12.0,
    "figure.titlesize": 16.0,
    "figure.titleweight": "bold",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.5,
    "lines.markersize": 8.0,
    "legend.frameon": False,
    "image.cmap": "cividis",
    "image.interpolation": "nearest",
    "figure.figsize": (9.0, 4.5),
    "figure.dpi": 96.0,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.dpi": 144.0,
    "savefig.facecolor": "white",
    "svg.hashsalt": "posenb",  # without it every run writes other ids into an SVG
    "svg.fonttype": "path",
    "axes.prop_cycle": cycler(
        color=[look.color for look in CATEGORIES], marker=[look.marker for look in CATEGORIES]
    ),
}


def use_style() -> None:
    """Give every later matplotlib figure of this process the look of the course."""
    mpl.rcParams.update(_SETTINGS)


@contextmanager
def styled() -> Iterator[None]:
    """The look of the course inside a `with` block only."""
    with mpl.rc_context(_SETTINGS):
        yield


def new_figure(width: float = 9.0, height: float = 4.5) -> Figure:
    """An empty figure in the look of the course, unknown to pyplot, so nothing needs closing.

    Args:
        width: inches.
        height: inches.
    """
    with styled():
        return Figure(figsize=(width, height), layout="constrained")


def look(name: str, position: int = 0) -> Look:
    """The look of a role or a domain; other names get a category by their position.

    Args:
        name: such as "source", "prediction" or "lab".
        position: place of the thing in its figure, used for names that have no fixed look.
    """
    fixed = ROLES.get(name) or DOMAINS.get(name)
    return fixed or CATEGORIES[position % len(CATEGORIES)]
