"""Explorers: sliders around a pure function. The thin layer between a chapter and ipywidgets.

A chapter writes `compute(parameters) -> state` and `draw(state, figure)`, which know nothing of
widgets, and describes its controls. `explore` binds the three. The picture is one image widget
that is replaced as a whole, so nothing flickers, and an error is shown in words in its place.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from posenb.course.show.figures import png, show
from posenb.course.show.style import new_figure, styled

Compute = Callable[[Mapping[str, Any]], Any]
Draw = Callable[[Any, Figure], None]
_TALL = 6  # controls in one column


@dataclass(frozen=True)
class Slider:
    """A number between two ends.

    Attributes:
        label: what the reader sees, with the unit.
        low: left end.
        high: right end.
        home: where it starts.
        step: whole numbers if all four are whole.
    """

    label: str
    low: float
    high: float
    home: float
    step: float

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that a test tries."""
        return (self.low, self.high)

    def widget(self) -> ipywidgets.Widget:
        """The slider."""
        whole = all(isinstance(v, int) for v in (self.low, self.high, self.home, self.step))
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        return kind(
            self.home,
            min=self.low,
            max=self.high,
            step=self.step,
            continuous_update=False,
            **_described(self.label),
        )


@dataclass(frozen=True)
class Choice:
    """One of a few values.

    Attributes:
        label: what the reader sees.
        options: the values, or (text, value) pairs.
        home: the value it starts with.
    """

    label: str
    options: tuple[Any, ...]
    home: Any

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that a test tries: all of them."""
        return tuple(o[1] if isinstance(o, tuple) else o for o in self.options)

    def widget(self) -> ipywidgets.Widget:
        """The drop-down list."""
        return ipywidgets.Dropdown(
            options=list(self.options), value=self.home, **_described(self.label)
        )


Controls = Mapping[str, Slider | Choice]


def home(controls: Controls) -> dict[str, Any]:
    """The parameters that an explorer starts with."""
    return {name: control.home for name, control in controls.items()}


def corners(controls: Controls) -> Iterator[dict[str, Any]]:
    """Every combination of the controls' ends, for tests."""
    for values in itertools.product(*(control.ends for control in controls.values())):
        yield dict(zip(controls, values, strict=True))


def checked(controls: Controls, parameters: Mapping[str, object]) -> dict[str, float]:
    """The numbers among the parameters of an explorer, checked against their sliders.

    Raises:
        ValueError: if a control is missing, unknown or beyond its range.
    """
    if set(parameters) != set(controls):
        raise ValueError(f"expected the controls {list(controls)}, found {list(parameters)}")
    values = {}
    for name, control in controls.items():
        value = parameters[name]
        if isinstance(control, Choice):
            if value not in control.ends:
                raise ValueError(f"{name} is {value!r}: expected one of {control.ends}")
            continue
        if not isinstance(value, int | float) or not control.low <= value <= control.high:
            raise ValueError(f"{name} is {value!r}: expected {control.low:g} to {control.high:g}")
        values[name] = float(value)
    return values


def explore(
    compute: Compute,
    draw: Draw,
    controls: Controls,
    alt: str,
    size: tuple[float, float] = (10.0, 4.5),
) -> ipywidgets.Widget:
    """Sliders, a picture that follows them, and a button that takes them home.

    Args:
        compute: parameters to state; pure.
        draw: draws a state into an empty figure.
        controls: name of a parameter -> its control.
        alt: what the picture shows, in words.
        size: of the figure, in inches.

    Returns:
        The widget: the last expression of a cell, or an argument of `display`.
    """
    widgets = {name: control.widget() for name, control in controls.items()}
    picture = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%"))
    message = ipywidgets.HTML()
    button = ipywidgets.Button(description="Reset", icon="undo")

    def update(_: object = None) -> None:
        parameters = {name: widget.value for name, widget in widgets.items()}
        try:
            picture.value = png(_figure(compute(parameters), draw, size), stored=False)
            message.value = ""
        except Exception as error:
            text = html.escape(f"{type(error).__name__}: {error}")
            message.value = f"<b style='color:#a00000'>This setting failed. {text}</b>"
            raise  # tests and the log see it too

    def reset(_: object) -> None:
        for name, control in controls.items():
            widgets[name].value = control.home

    for widget in widgets.values():
        widget.observe(update, names="value")
    button.on_click(reset)
    update()
    caption = ipywidgets.HTML(f"<small>{html.escape(alt)}</small>")
    # two columns where there is room: what one turns and what it changes fit on one screen
    flow = ipywidgets.Layout(flex_flow="row wrap" if len(widgets) > _TALL else "column")
    panel = ipywidgets.Box([*widgets.values(), button], layout=flow)
    return ipywidgets.VBox([panel, message, picture, caption])


def static_frame(
    compute: Compute,
    draw: Draw,
    parameters: Mapping[str, Any],
    alt: str,
    size: tuple[float, float] = (10.0, 4.5),
    name: str | None = None,
) -> None:
    """One setting of an explorer as a picture, for readers without a kernel.

    Args:
        compute: as in `explore`.
        draw: as in `explore`.
        parameters: the setting.
        alt: what the picture shows, in words.
        size: of the figure, in inches.
        name: as in `figures.show`.
    """
    show(_figure(compute(parameters), draw, size), alt, name)


def _figure(state: Any, draw: Draw, size: tuple[float, float]) -> Figure:
    figure = new_figure(*size)
    with styled():
        draw(state, figure)
    return figure


def _described(label: str) -> dict[str, Any]:
    return {
        "description": label,
        "style": {"description_width": "16em"},
        "layout": ipywidgets.Layout(width="35em"),
    }
