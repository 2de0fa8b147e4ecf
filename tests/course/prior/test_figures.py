"""The figures of notebook 01 draw the numbers that they are given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from posenb.course.prior import figures
from posenb.course.show.style import new_figure, styled
from posenb.prior.networks import Generator, KeypointRegressor


@pytest.fixture(autouse=True)
def course_style() -> Iterator[None]:
    """The notebook's look, which puts titles on the left."""
    with styled():
        yield


def test_the_idea_shows_every_step_of_one_sample() -> None:
    figure = figures.the_idea(Generator(16, width=0.25), KeypointRegressor().eval())
    titles = [axes.get_title(loc="center") for axes in figure.axes[::2]]
    assert titles == [
        "latent $z$",
        "$w$",
        "5 style codes",
        "picture",
        "keypoints",
        "re-rendered",
    ]
    figure.draw_without_rendering()


def test_maps_share_a_range_and_mark_their_points() -> None:
    places = new_figure().subplots(1, 2)
    fields = torch.tensor([[[1.0, -3.0]], [[0.0, 9.0]]])
    shown = figures.maps(places, list(fields), ["a", "b"], 2.0, [torch.tensor([0.25, 0.5])] * 2)
    assert shown.get_clim() == (-2.0, 2.0)
    np.testing.assert_array_equal(shown.get_array(), fields[1])
    np.testing.assert_allclose(places[1].collections[0].get_offsets(), [[0.25, 0.5]])
    assert places[1].get_title(loc="center") == "b"


def test_rows_of_maps_have_names_on_the_left_and_titles_on_top() -> None:
    figure = figures.map_rows(
        {"read": torch.rand(3, 2, 2), "scaled": torch.rand(3, 2, 2)}, "abc", 1
    )
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["read", "", "", "scaled", "", ""]
    assert [axes.get_title(loc="center") for axes in figure.axes] == ["a", "b", "c", "", "", ""]


def test_the_noise_map_is_the_deviation_of_the_images() -> None:
    images = torch.rand(4, 3, 8, 8)
    right = figures.noise([0.1, 0.2], images).axes[2]
    np.testing.assert_allclose(right.images[0].get_array(), images.std(0).mean(0), rtol=1e-5)


def test_curves_leave_room_for_the_names_at_their_ends() -> None:
    lines = {"one": ([0.0, 1.0], [0.0, 2.0]), "two": ([0.0, 1.0], [0.0, 2.0])}
    figure = figures.curves({"A": ("a", lines), "B": ("b", lines)}, "x", (9, 3), room=0.5)
    tight = figures.curves({"A": ("a", lines)}, "x", (9, 3), room=0.0)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["A", "B"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["a", "b"]
    assert figure.axes[0].get_xlim()[1] > tight.axes[0].get_xlim()[1] + 0.5
    assert {text.get_text() for text in figure.axes[0].texts} == {"one", "two"}


def test_card_bars_are_the_card_in_its_own_units() -> None:
    rows = [
        {"layer": n, "metrics": {"shift": {"mean": n / 10, "low": n / 20, "high": n / 5}}}
        for n in (1, 2)
    ]
    card = {"name": "made.up", "seeds": [0, 1], "rows": rows}
    figure = figures.card_bars(card, ["1", "2"], {"shift": ("Shift", "%", 100.0)}, (6, 3))
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([10.0, 20.0])
    assert (axes.get_title(loc="left"), axes.get_xlabel()) == ("Shift", "%")


def test_a_bar_chart_has_its_title_and_bars() -> None:
    (axes,) = figures.bar_chart("Errors", ["a", "b"], {"clean": [1, 2]}, "%", (5, 3)).axes
    assert [bar.get_width() for bar in axes.patches] == [1, 2]
    assert axes.get_title(loc="left") == "Errors"


def test_the_landscape_has_hills_above_and_pictures_below() -> None:
    hills = {"gentle": lambda x: 5 * x - 2, "steep": lambda x: torch.tanh(40 * (x - 0.5))}
    figure = figures.landscape(hills, {"generated": (0.1, 0.2), "real": (0.8, 0.9)})
    (axes,) = figure.axes
    x, y = axes.lines[0].get_data()
    np.testing.assert_allclose(y, 5 * np.asarray(x) - 2, atol=1e-5)
    marked = [np.asarray(points.get_offsets())[:, 0].tolist() for points in axes.collections]
    assert marked == [pytest.approx([0.1, 0.2]), pytest.approx([0.8, 0.9])]
