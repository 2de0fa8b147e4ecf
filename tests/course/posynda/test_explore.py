"""The explorer of notebook 06 works at every corner of its controls, quickly, and follows them."""

from __future__ import annotations

import math
import time

import pytest
import torch

from posenb.course.posynda import explore
from posenb.course.show import explorer, figures
from posenb.course.show.style import new_figure
from posenb.experiments.posynda import shipping, tables
from posenb.experiments.posynda.bench import Lifter, Scale
from posenb.experiments.posynda.shipping import Plan
from posenb.posynda import Recipe, weights, windows
from posenb.world.skeletons import BODY17

HOME = explorer.home(explore.CONTROLS)
TINY = Scale(
    frames=3,
    source=24,
    target=12,
    test=6,
    mixste=Lifter("MixSTE", 16, Recipe(steps=2, batch=8)),
    steps=2,
    batch=4,
    hypotheses=2,
    sampling_steps=2,
)


@pytest.fixture(autouse=True, scope="module")
def tiny_lifters(tmp_path_factory):
    """Lifters that have hardly learned, shipped to a folder of their own."""
    runs, home = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("home")
    for target in (None, "stage"):
        made = shipping.train_lifter(Plan("MixSTE", target, 0, TINY), runs, progress=False)
        shipping.ship_lifter(made, home)
    networks = {
        label: weights.load_lifter(name, folder=home) for label, name in explore.LIFTERS.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explore, "_network", networks.__getitem__)
        yield


@pytest.mark.slow
def test_every_corner_of_the_controls():
    """Those that depend on no other change together: 320 corners instead of 2,560."""
    states = {}
    linked = {"lifter": "source only", "person": 0, "orbit": -180, "distance": 3.0}
    for parameters in explorer.corners(explore.CONTROLS):
        if len({parameters[name] == value for name, value in linked.items()}) > 1:
            continue
        state = explore.compute(parameters)
        count = parameters["hypotheses"]
        assert state.pixels.shape == (17, 2) and state.hypotheses.shape == (count, 17, 3)
        assert state.errors.shape == state.reprojection.shape == (count,)
        everything = (state.pixels, state.hypotheses, state.chosen, state.errors)
        assert all(part.isfinite().all() for part in (*everything, state.reprojection))
        assert math.isfinite(state.depth_error) and math.isfinite(state.chosen_reprojection)
        states[state.choose, state.lifter, count] = state
    assert len(states) == 5 * 2 * 2
    for state in list(states.values())[::3]:
        explore.draw(state, new_figure(*explore.SIZE))


def test_the_camera_looks_at_the_pelvis_from_where_it_should():
    low, high = (explore.compute(HOME | {"pitch": pitch}) for pitch in (0, 45))
    for state in (low, high):
        torch.testing.assert_close(state.pixels[0], torch.full((2,), 500.0), atol=0.05, rtol=0)
    lengths = [
        [(pose[a] - pose[b]).norm() for a, b in BODY17.bones] for pose in (low.truth, high.truth)
    ]
    torch.testing.assert_close(torch.tensor(lengths[0]), torch.tensor(lengths[1]))
    # the same body, once the frames of both cameras are level
    torch.testing.assert_close(high.truth @ explore._level(45).T, low.truth, atol=1e-4, rtol=0)
    assert not torch.allclose(high.truth, low.truth, atol=0.05)


def test_focal_length_and_distance_say_how_large_somebody_is():
    def height(**change):
        pixels = explore.compute(HOME | change).pixels[:, 1]
        return float(pixels.max() - pixels.min())

    assert height(focal=1800) / height(focal=900) == pytest.approx(2, rel=1e-4)
    assert height(focal=1200, distance=6.0) == pytest.approx(
        height(focal=600, distance=3.0), rel=0.1
    )


def test_errors_are_what_they_say():
    state = explore.compute(HOME | {"choose": "pose"})
    best = int(state.reprojection.argmin())
    torch.testing.assert_close(state.chosen, state.hypotheses[best])
    assert state.chosen_error == pytest.approx(float(state.errors[best]), rel=1e-5)
    assert state.chosen_reprojection == pytest.approx(float(state.reprojection[best]), rel=1e-4)
    mean = explore.compute(HOME | {"choose": "mean"})
    torch.testing.assert_close(mean.chosen, state.hypotheses.mean(0))
    parts = (mean.depth_error, mean.across_error)
    assert math.hypot(*parts) <= mean.chosen_error <= sum(parts)
    assert mean.chosen_error == pytest.approx(state.mean_error, rel=1e-5)


def test_rays_meet_the_image(monkeypatch):
    """With the shipped lifter: the guesses of one that has hardly learned fit no place at all."""
    shipped = weights.load_lifter(explore.LIFTERS["source only"])
    monkeypatch.setattr(explore, "_network", lambda label: shipped)
    mean, rays = (explore.compute(HOME | {"choose": way}) for way in ("mean", "rays"))
    assert mean.chosen_reprojection > 0.5  # pixels
    assert rays.chosen_reprojection < 0.05 * mean.chosen_reprojection


def test_the_lifters_differ_and_everything_else_follows_from_the_controls():
    before, after = (
        explore.compute(HOME | {"lifter": lifter}) for lifter in ("source only", "adapted to stage")
    )
    assert torch.equal(before.truth, after.truth) and torch.equal(before.pixels, after.pixels)
    assert not torch.allclose(before.hypotheses, after.hypotheses)
    again = explore.compute(HOME)
    assert torch.equal(again.hypotheses, before.hypotheses)


@pytest.mark.parametrize("change", [{}, {"hypotheses": 1}, {"hypotheses": 20, "choose": "rays"}])
def test_draw_says_the_numbers(change):
    state, figure = explore.compute(HOME | change), new_figure(*explore.SIZE)
    explore.draw(state, figure)
    picture, side, orbit, chart = figure.axes
    title = figure.get_suptitle()
    assert f"{state.chosen_error:.0f} mm" in title and "in depth" in title
    assert side.get_xlim() == orbit.get_xlim() == (-explore.REACH, explore.REACH)
    assert picture.get_ylim() == (1000, 0)
    assert "mm" in chart.get_ylabel() and "px" in chart.get_xlabel()
    assert len(chart.collections) == len(state.errors) + 1
    figure.draw_without_rendering()


def test_one_setting_is_quick():
    explore.compute(HOME)
    start = time.process_time()
    explore.draw(explore.compute(HOME), new_figure(*explore.SIZE))
    assert time.process_time() - start < 0.3 * torch.get_num_threads() + 0.3


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"pitch": 60}, "pitch"),
        ({"focal": 100}, "focal"),
        ({"hypotheses": 0}, "hypotheses"),
        ({"choose": "luck"}, "choose"),
        ({"lifter": "magic"}, "lifter"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_bad_parameters_are_named(change, word):
    with pytest.raises(ValueError, match=word):
        explore.compute(HOME | change)


def test_people_are_those_of_the_tables_test_split():
    joints, headings = explore._people(3)
    place, fps = windows.domain("stage"), tables.TEACHING.fps
    some = windows.sample(place, explore.PEOPLE, 0, 3, "test", fps=fps)
    assert joints.shape == (explore.PEOPLE, 3, 17, 3)
    inside = some.camera.to_camera(joints[:, 1])
    root_free = inside - inside[:, :1]
    torch.testing.assert_close(root_free, some.joints3d[:, 1], atol=1e-4, rtol=0)
    torch.testing.assert_close(headings.norm(dim=-1), torch.ones(explore.PEOPLE))
    assert not headings[:, 1].any()


def test_a_static_frame_is_a_picture(monkeypatch):
    displayed = []
    monkeypatch.setattr(figures, "display", displayed.append)
    explorer.static_frame(explore.compute, explore.draw, HOME, "Somebody.", explore.SIZE)
    assert displayed[0].alt == "Somebody."
