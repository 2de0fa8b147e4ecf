"""The explorer "film somebody" of notebook 00."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from posenb.course.show import explorer, style
from posenb.course.start_here import explore, explore_clip, explore_people
from posenb.world.body import load_body
from posenb.world.skeletons import BODY17

HOME = explorer.home(explore_people.CONTROLS)
CORNERS = list(explorer.corners(explore_people.CONTROLS))
SMALL = 32  # pixels: thousands of corners want small pictures


@pytest.mark.slow
@pytest.mark.parametrize("look", explore_people.CONTROLS["look"].ends)
@pytest.mark.parametrize("recording", explore_people.CONTROLS["recording"].ends)
def test_every_corner_of_the_controls(recording: str, look: str) -> None:
    corners = [c for c in CORNERS if c["recording"] == recording and c["look"] == look]
    assert len(corners) == 2**8
    for parameters in corners:
        person = explore_people.film(parameters, SMALL)
        assert person.images.shape == (3, SMALL, SMALL)
        assert person.images.isfinite().all() and person.images.std() > 0.02
        assert person.images.min() >= 0 and person.images.max() <= 1
        assert person.keypoints.shape == (17, 2) and person.keypoints.isfinite().all()
        assert (person.parts > 0).float().mean() > 0.005  # not all is behind a hedge
        inside = ((person.keypoints > 0) & (person.keypoints < 1)).all(-1)
        assert inside.sum() >= 12


def test_home_is_a_picture_of_the_stated_size() -> None:
    person, found = explore_people.compute(HOME)
    assert found.shape == (17, 2) and found.isfinite().all()
    assert person.images.shape == (3, explore_people.SIZE, explore_people.SIZE)
    assert (person.parts > 0).float().mean() > 0.05
    assert person.visible.sum() >= 10


def test_the_same_setting_gives_the_same_picture() -> None:
    first, second = (explore_people.film(HOME, SMALL) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.keypoints, second.keypoints)


def test_strength_leaves_person_and_camera_alone() -> None:
    plain, full = (explore_people.film(HOME | {"strength": s}, SMALL) for s in (0.0, 1.0))
    knee, wrist = BODY17.index("left_knee"), BODY17.index("right_wrist")
    assert torch.equal(plain.keypoints[[knee, wrist]], full.keypoints[[knee, wrist]])
    assert (plain.images - full.images).abs().mean() > 0.05


def test_distance_changes_the_perspective_and_not_the_size() -> None:
    near, far = (explore_people.shot(HOME | {"distance": d}) for d in (2.5, 6.5))
    heights = []
    for taken in (near, far):
        pixels = taken.camera.project(torch.tensor([[[0.0, 0.0, 0.0], [0.0, 1.8, 0.0]]]))
        heights.append((pixels[0, 0] - pixels[0, 1]).norm())
    assert torch.isclose(*heights, rtol=0.05)
    assert near.camera.position[0].norm() < far.camera.position[0].norm()


def test_height_and_weight_do_what_they_say() -> None:
    def build(**setting: float) -> tuple[float, float]:
        """Height and girth (mean distance of the trunk's skin from its axis), metres."""
        body = load_body()
        skin = body.skin.rest(explore_people.shot(HOME | setting).shape[0])
        trunk = skin[body.region == body.regions.index("torso")]
        away = trunk[:, [0, 2]] - trunk[:, [0, 2]].mean(0)
        return float(skin[:, 1].max() - skin[:, 1].min()), float(away.norm(dim=-1).mean())

    small, tall = build(height=-2.0), build(height=2.0)
    light, heavy = build(weight=-2.0), build(weight=2.0)
    assert tall[0] > small[0] + 0.25
    assert abs(heavy[0] - light[0]) < 0.02
    assert heavy[1] > light[1] + 0.005


@pytest.mark.parametrize(
    "parameters",
    [{}, HOME | {"zoom": 1.0}, HOME | {"pitch": 90}, HOME | {"strength": math.nan},
     HOME | {"look": "wild"}, HOME | {"recording": "humanoid3d_swim"}],
    ids=["missing", "unknown", "beyond its range", "NaN", "another look", "no recording"],
)  # fmt: skip
def test_bad_settings_are_named(parameters: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        explore_people.compute(parameters)


@pytest.mark.slow
def test_the_detector_finds_a_synthetic_person_better_than_one_of_the_full_look() -> None:
    far = []
    for strength in (0.0, 1.0):
        setting = HOME | {"strength": strength}
        states = [explore_people.compute(setting | {"moment": m}) for m in range(0, 100, 10)]
        off = [(s.found - s.person.keypoints).norm(dim=-1).mean() for s in states]
        far.append(float(torch.stack(off).mean()))
    assert far[0] < 0.1 and far[1] > 1.2 * far[0]


def test_it_draws_five_panels() -> None:
    figure = style.new_figure(12, 3.5)
    explore_people.draw(explore_people.compute(HOME), figure)
    titles = [axes.get_title(loc="center") for axes in figure.axes]
    assert titles[:2] == ["what a model is given", "what it finds"]
    assert len(titles) == 5  # the scale of depth lies inside its panel


def test_the_notebook_shows_this_explorer() -> None:
    root = Path(__file__).resolve().parents[3]
    text = (root / "notebooks" / "00_start_here.ipynb").read_text(encoding="utf-8")
    assert "explore_people.compute" in text and "explore_people.CONTROLS" in text


def test_labels_of_sliders_are_not_cut_off() -> None:
    """A browser shows 30 letters and then dots."""
    for module in (explore, explore_clip, explore_people):
        assert all(len(control.label) <= 30 for control in module.CONTROLS.values())
