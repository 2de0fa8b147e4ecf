from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import ipywidgets
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from posenb.course.show import explorer, figures
from posenb.course.show.explorer import Choice, Slider

CONTROLS: dict[str, Slider | Choice] = {
    "count": Slider("dots", 1, 9, 3, 1),
    "size": Slider("size, cm", 0.5, 2.0, 1.0, 0.5),
    "kind": Choice("kind", (("Round", "o"), ("Square", "s")), "o"),
}
ALT = "Dots <in a row>."


class Chapter:
    """A compute and a draw that remember what they were given."""

    def __init__(self) -> None:
        self.computed: list[dict[str, Any]] = []

    def compute(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self.computed.append(dict(parameters))
        if parameters["count"] == 7:
            raise ValueError("seven <is> too many")
        return dict(parameters)

    def draw(self, state: Mapping[str, Any], figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(range(state["count"]), [state["size"]] * state["count"], state["kind"])


def walk(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    return [widget, *(w for child in getattr(widget, "children", ()) for w in walk(child))]


def find(root: ipywidgets.Widget, kind: type, label: str = "") -> Any:
    (found,) = (w for w in walk(root) if isinstance(w, kind) and label in (w.description or ""))
    return found


@pytest.fixture
def chapter() -> Chapter:
    return Chapter()


@pytest.fixture
def panel(chapter: Chapter) -> ipywidgets.Widget:
    return explorer.explore(chapter.compute, chapter.draw, CONTROLS, ALT, size=(3, 2))


def picture(panel: ipywidgets.Widget) -> bytes:
    (image,) = (w for w in walk(panel) if isinstance(w, ipywidgets.Image))
    return bytes(image.value)


def html(panel: ipywidgets.Widget) -> str:
    return "".join(w.value for w in walk(panel) if type(w) is ipywidgets.HTML)


def test_it_starts_at_home_with_a_picture_and_its_description(
    chapter: Chapter, panel: ipywidgets.Widget
) -> None:
    assert chapter.computed == [explorer.home(CONTROLS)] == [{"count": 3, "size": 1.0, "kind": "o"}]
    assert Image.open(io.BytesIO(picture(panel))).size == (432, 288)
    assert "Dots &lt;in a row&gt;." in html(panel)


def test_whole_numbers_stay_whole(panel: ipywidgets.Widget) -> None:
    assert isinstance(find(panel, ipywidgets.IntSlider, "dots").value, int)
    assert isinstance(find(panel, ipywidgets.FloatSlider, "size").value, float)


def test_the_picture_follows_what_the_browser_sends(
    chapter: Chapter, panel: ipywidgets.Widget
) -> None:
    before = picture(panel)
    find(panel, ipywidgets.IntSlider).set_state({"value": 5})
    assert chapter.computed[-1] == {"count": 5, "size": 1.0, "kind": "o"}
    middle = picture(panel)
    assert middle != before
    find(panel, ipywidgets.Dropdown).set_state({"index": 1})
    assert chapter.computed[-1]["kind"] == "s"
    assert picture(panel) not in (before, middle)


def test_values_beyond_the_ends_are_clamped(chapter: Chapter, panel: ipywidgets.Widget) -> None:
    find(panel, ipywidgets.IntSlider).set_state({"value": 100})
    assert chapter.computed[-1]["count"] == 9


def test_reset_goes_home(chapter: Chapter, panel: ipywidgets.Widget) -> None:
    before = picture(panel)
    find(panel, ipywidgets.IntSlider).set_state({"value": 5})
    find(panel, ipywidgets.FloatSlider).set_state({"value": 2.0})
    find(panel, ipywidgets.Dropdown).set_state({"index": 1})
    find(panel, ipywidgets.Button, "Reset").click()
    assert chapter.computed[-1] == explorer.home(CONTROLS)
    assert picture(panel) == before


def test_an_error_is_shown_and_raised_and_goes_away(panel: ipywidgets.Widget) -> None:
    before = picture(panel)
    slider = find(panel, ipywidgets.IntSlider)
    with pytest.raises(ValueError, match="seven"):
        slider.set_state({"value": 7})
    assert "color:#a00000" in html(panel)
    assert "ValueError: seven &lt;is&gt; too many" in html(panel)
    assert picture(panel) == before
    slider.set_state({"value": 5})
    assert "too many" not in html(panel)


def test_an_error_at_home_is_raised_at_once(chapter: Chapter) -> None:
    with pytest.raises(ValueError, match="seven"):
        explorer.explore(
            chapter.compute, chapter.draw, {**CONTROLS, "count": Slider("n", 1, 9, 7, 1)}, ALT
        )


def test_corners_are_all_combinations_of_ends() -> None:
    found = list(explorer.corners(CONTROLS))
    assert len(found) == 2 * 2 * 2
    assert {"count": 9, "size": 0.5, "kind": "s"} in found
    assert {"count": 3, "size": 0.5, "kind": "s"} not in found
    assert len(list(explorer.corners({**CONTROLS, "more": Choice("more", (1, 2, 3), 1)}))) == 24
    assert Choice("more", (1, 2, 3), 1).ends == (1, 2, 3)


def test_static_frame_is_the_explorers_picture(
    chapter: Chapter, panel: ipywidgets.Widget, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[figures.Picture] = []
    monkeypatch.setattr(figures, "display", shown.append)
    explorer.static_frame(chapter.compute, chapter.draw, explorer.home(CONTROLS), ALT, size=(3, 2))
    still, live = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16)
        for data in (shown[0].data, picture(panel))
    )
    assert np.abs(still - live).mean() < figures.PALETTE_ERROR  # but for the stored one's palette
    assert shown[0].alt == ALT
