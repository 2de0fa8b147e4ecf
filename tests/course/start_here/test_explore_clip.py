"""The explorer "the real man" of notebook 00."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from posenb.course.show import explorer, style
from posenb.course.start_here import explore_clip
from posenb.world.clips import load_real_clip
from posenb.world.skeletons import BODY17

HOME = explorer.home(explore_clip.CONTROLS)
SIZE = explore_clip.SIZE


@pytest.mark.parametrize("parameters", list(explorer.corners(explore_clip.CONTROLS)), ids=str)
def test_every_corner_of_the_controls(parameters: dict[str, float]) -> None:
    moment = explore_clip.compute(parameters)
    assert moment.images.shape == (4, 3, SIZE, SIZE) and moment.images.isfinite().all()
    assert moment.keypoints.shape == (4, 17, 2) and moment.valid.shape == (4, 17)
    assert moment.keypoints[moment.valid].isfinite().all()
    assert moment.skeleton.shape == (17, 2) and moment.skeleton.isfinite().all()
    right, up = moment.skeleton.unbind(-1)
    assert right.abs().max() < 1.05 and up.min() > -0.12 and up.max() < 1.98  # inside the panel
    assert moment.second == parameters["frame"] / 60


def test_the_last_frame_is_the_last_of_the_clip() -> None:
    assert explore_clip.CONTROLS["frame"].ends == (0, len(load_real_clip(size=SIZE)) - 1)


def test_the_frame_is_that_of_the_clip() -> None:
    clip = load_real_clip(size=SIZE)
    moment = explore_clip.compute(HOME | {"frame": 42})
    assert torch.equal(moment.images, clip.images[:, 42])
    seen = clip.confidence[:, 42] > 0
    assert torch.equal(moment.keypoints[seen], clip.keypoints[:, 42][seen] / SIZE)
    assert torch.equal(moment.valid, clip.valid[:, 42])


def test_walking_round_turns_the_skeleton() -> None:
    before, behind = (explore_clip.compute(HOME | {"turn": turn}).skeleton for turn in (0, 180))
    torch.testing.assert_close(behind[:, 0], -before[:, 0], atol=1e-4, rtol=0.0)
    assert torch.equal(behind[:, 1], before[:, 1])
    bone = [BODY17.index("left_hip"), BODY17.index("left_knee")]
    joints = load_real_clip(size=SIZE).joints3d[HOME["frame"]]
    seen = before[bone[0]] - before[bone[1]]
    assert seen.norm() <= (joints[bone[0]] - joints[bone[1]]).norm() + 1e-5


def test_what_was_not_found_is_nan() -> None:
    clip = load_real_clip(size=SIZE)
    missing = explore_clip.found(clip).isnan().any(-1)
    assert torch.equal(missing, clip.confidence == 0) and missing.any()


@pytest.mark.parametrize(
    "parameters",
    [{}, HOME | {"view": 1}, HOME | {"frame": 100}, HOME | {"turn": math.nan}],
    ids=["missing", "unknown", "beyond the clip", "NaN"],
)
def test_bad_settings_are_named(parameters: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        explore_clip.compute(parameters)


def test_moving_the_time_moves_the_picture() -> None:
    widget = explorer.explore(
        explore_clip.compute, explore_clip.draw, explore_clip.CONTROLS, "a man", (8, 2)
    )
    time = widget.children[0].children[0]
    picture = next(child for child in widget.children if hasattr(child, "format"))
    before = picture.value
    time.set_state({"value": 80})
    assert picture.value != before


def test_it_draws_the_film_and_the_skeleton() -> None:
    figure = style.new_figure(13, 3.1)
    explore_clip.draw(explore_clip.compute(HOME), figure)
    views, space = figure.axes
    assert [text.get_text() for text in views.get_xticklabels()] == [
        f"camera {number}" for number in range(4)
    ]
    assert space.get_title(loc="center") == "in space, 0.50 s"


def test_the_notebook_shows_this_explorer() -> None:
    root = Path(__file__).resolve().parents[3]
    text = (root / "notebooks" / "00_start_here.ipynb").read_text(encoding="utf-8")
    assert "explore_clip.compute" in text and "explore_clip.CONTROLS" in text
