"""The explorer of notebook 01 works at every corner of its controls, quickly, and follows them."""

from __future__ import annotations

import time

import pytest
import torch

from posenb.course.prior import explore
from posenb.course.show import explorer
from posenb.course.show.style import new_figure

HOME = explorer.home(explore.CONTROLS)


def test_every_corner_of_the_controls() -> None:
    for parameters in explorer.corners(explore.CONTROLS):
        state = explore.compute(parameters)
        assert state.images.shape == (3, 3, 64, 64)
        assert state.clean.shape == (3, 64, 64)
        assert state.keypoints.shape == (17, 2)
        assert state.images.isfinite().all() and state.keypoints.isfinite().all()
        if not state.layers:
            assert state.shift < 1e-3 or parameters["noise"] == "on"


@pytest.mark.parametrize("last", [0, 1, 9])
def test_draw_makes_five_pictures(last: int) -> None:
    figure = new_figure(12, 3.4)
    explore.draw(explore.compute(HOME | {"to_layer": last}), figure)
    assert len(figure.axes) == 5
    figure.draw_without_rendering()


def test_the_mixture_lies_between_its_latents() -> None:
    nothing = explore.compute(HOME | {"to_layer": 0})
    everything = explore.compute(HOME | {"from_layer": 1, "to_layer": 9})
    assert nothing.shift < 1e-3 < everything.shift  # a batch may round differently
    torch.testing.assert_close(nothing.images[2], nothing.images[0])
    torch.testing.assert_close(everything.images[2], everything.images[1])


def test_one_setting_is_quick() -> None:
    explore.compute(HOME)  # loads the networks
    start = time.process_time()
    explore.compute(HOME)
    assert time.process_time() - start < 0.3 * torch.get_num_threads() + 0.3


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"truncation": 3.0}, "truncation"),
        ({"noise": "loud"}, "noise"),
        ({"to_layer": 10}, "to_layer"),
        ({"first_seed": "three"}, "first_seed"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_bad_parameters_are_named(change: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        explore.compute(HOME | change)
