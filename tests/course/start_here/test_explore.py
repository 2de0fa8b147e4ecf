"""The explorer "make a gap" of notebook 00."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from posenb.course.show import explorer, style
from posenb.course.start_here import explore
from posenb.measure import distributions
from posenb.world import domains

HOME = explorer.home(explore.CONTROLS)


@pytest.mark.parametrize("parameters", list(explorer.corners(explore.CONTROLS)), ids=str)
def test_every_corner_of_the_controls(parameters: dict[str, float]) -> None:
    gap = explore.compute(parameters)
    assert gap.keypoints.shape == gap.reference.shape == (explore.COUNT, 17, 2)
    assert gap.keypoints.isfinite().all()
    assert gap.distances.keys() == gap.floors.keys() == {"FD", "MMD²"}
    assert all(math.isfinite(value) for value in gap.distances.values())
    for name, value in gap.distances.items():
        assert value > gap.floors[name]  # at every corner there is a gap


def test_nobody_stands_behind_the_nearest_camera() -> None:
    for elevation in explore.CONTROLS["elevation"].ends:
        near = HOME | {"focal": explore.CONTROLS["focal"].low, "elevation": elevation}
        near |= {"thighs": explore.CONTROLS["thighs"].high, "arms": explore.CONTROLS["arms"].high}
        poses = explore.dialled(near).sample(explore.COUNT, explore.DIALLED_SEED)
        assert poses.camera is not None and poses.joints3d is not None
        assert poses.camera.to_camera(poses.joints3d)[..., 2].min() > 0.2


def test_home_is_lab_itself() -> None:
    assert (
        explore.dialled(HOME)
        .sample(5, 3)
        .keypoints.equal(domains.get("lab").sample(5, 3).keypoints)
    )
    gap = explore.compute(HOME)
    assert gap.distances == gap.floors
    assert gap.distances["FD"] == distributions.frechet_distance(gap.keypoints, gap.reference)


def test_the_same_setting_gives_the_same_state() -> None:
    setting = HOME | {"roll": 20.0}
    first, second = explore.compute(setting), explore.compute(setting)
    assert first.distances == second.distances
    assert torch.equal(first.keypoints, second.keypoints)


def test_focal_length_alone_leaves_a_standing_person_as_large() -> None:
    heights = []
    for focal in (1100.0, 3300.0):
        keypoints = explore.compute(HOME | {"focal": focal}).keypoints
        heights.append(keypoints[..., 1].std(1).mean())
    assert torch.isclose(*heights, rtol=0.03)


@pytest.mark.parametrize(
    "parameters",
    [{}, HOME | {"height": 1.0}, HOME | {"roll": 90.0}, HOME | {"noise": math.nan}],
    ids=["missing", "unknown", "beyond its range", "NaN"],
)
def test_bad_settings_are_named(parameters: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        explore.compute(parameters)


def test_it_draws_three_panels() -> None:
    figure = style.new_figure(12, 4.4)
    explore.draw(explore.compute(HOME | {"elevation": 60.0}), figure)
    assert len(figure.axes) == 3


def test_moving_a_slider_moves_the_picture() -> None:
    widget = explorer.explore(explore.compute, explore.draw, explore.CONTROLS, "a gap", (6, 2))
    sliders = {w.description: w for w in widget.children[0].children[:-1]}
    picture = next(child for child in widget.children if hasattr(child, "format"))
    before = picture.value
    assert before
    sliders[explore.CONTROLS["roll"].label].set_state({"value": 30.0})
    assert picture.value != before


def test_the_notebook_shows_this_explorer() -> None:
    root = Path(__file__).resolve().parents[3]
    text = (root / "notebooks" / "00_start_here.ipynb").read_text(encoding="utf-8")
    assert "explorer.explore(" in text and "explore.CONTROLS" in text
