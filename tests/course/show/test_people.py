"""Pictures of people with their labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection

from posenb.course.show import people, style
from posenb.world.clouds import PARTS
from posenb.world.rendering import Rendered
from posenb.world.skeletons import BODY17


def somebody() -> Rendered:
    """One picture with labels, made of random numbers."""
    random = torch.Generator().manual_seed(0)
    return Rendered(
        images=torch.rand(3, 16, 16, generator=random),
        keypoints=torch.rand(17, 2, generator=random),
        depth=torch.randn(17, generator=random),
        joints3d=torch.randn(17, 3, generator=random),
        visible=torch.arange(17) % 2 == 0,
        parts=torch.arange(256).remainder(len(PARTS)).view(16, 16),
    )


def test_an_image_fills_axes_from_0_to_1() -> None:
    axes = style.new_figure(3, 3).subplots()
    image = somebody().images
    people.show_image(axes, image, "a title")
    shown = axes.images[0]
    assert tuple(shown.get_extent()) == (0, 1, 1, 0)
    np.testing.assert_allclose(shown.get_array(), image.permute(1, 2, 0))
    assert axes.get_xlim() == (0, 1) and axes.get_ylim() == (1, 0)
    assert axes.get_title(loc="center") == "a title"


@pytest.mark.parametrize(("height", "width"), [(16, 16), (10, 40), (48, 24)])
def test_an_image_keeps_its_proportions(height: int, width: int) -> None:
    figure = style.new_figure(4, 3)
    axes = figure.subplots()
    people.show_image(axes, torch.rand(3, height, width))
    axes.apply_aspect()
    box = axes.get_window_extent()
    assert box.width / box.height == pytest.approx(width / height, rel=0.01)
    assert axes.get_xlim() == (0, 1) and axes.get_ylim() == (1, 0)


def test_a_faded_image_is_grey_and_pale() -> None:
    axes = style.new_figure(3, 3).subplots()
    people.show_image(axes, somebody().images, faded=0.6)
    pixels = np.asarray(axes.images[0].get_array())
    assert np.ptp(pixels, -1).max() < 1e-6 and pixels.min() >= 0.6 - 1e-6


def test_visible_joints_are_dots_and_hidden_ones_rings() -> None:
    axes = style.new_figure(3, 3).subplots()
    person = somebody()
    people.show_joints(axes, person.keypoints, person.visible)
    dots, rings = (c for c in axes.collections if isinstance(c, PathCollection))
    np.testing.assert_allclose(dots.get_offsets(), person.keypoints[person.visible])
    np.testing.assert_allclose(rings.get_offsets(), person.keypoints[~person.visible])
    assert dots.get_facecolor()[0, :3].max() < 0.2 and rings.get_facecolor()[0].min() == 1


def test_labels_fill_three_panels() -> None:
    figure = style.new_figure(9, 3)
    row = figure.subplots(1, 3)
    people.show_labels(row, somebody())
    assert len(figure.axes) == 3  # the scale lies inside the panel of depth
    assert [len(axes.images) for axes in row] == [1, 1, 1]
    parts = np.asarray(row[2].images[0].get_array())
    np.testing.assert_allclose(parts.reshape(-1, 3)[: len(PARTS)], people.part_colors())


def test_a_part_has_the_colour_of_its_bone() -> None:
    colors = dict(zip(PARTS, people.part_colors(), strict=True))
    bones = dict(zip((BODY17.joints[b] for _, b in BODY17.bones), BODY17.colors, strict=True))
    np.testing.assert_allclose(colors["left_thigh"], bones["left_knee"])
    np.testing.assert_allclose(colors["right_upper_arm"], bones["right_elbow"])
    assert (colors["left_hand"] < colors["left_forearm"]).any()
    assert len({tuple(color.round(3)) for color in colors.values()}) == len(PARTS)


def test_a_film_puts_keypoints_into_their_pictures() -> None:
    axes = style.new_figure(6, 4).subplots()
    images, keypoints = torch.rand(2, 3, 3, 8, 8), torch.rand(2, 3, 17, 2)
    people.show_film(axes, images, keypoints, torch.ones(2, 3, 17, dtype=torch.bool), "abc", "xy")
    sheet = np.asarray(axes.images[0].get_array())  # (16, 24, 3)
    np.testing.assert_allclose(sheet[8:, 16:], images[1, 2].permute(1, 2, 0))
    dots = [c for c in axes.collections if isinstance(c, PathCollection)]
    np.testing.assert_allclose(
        dots[2 * 5].get_offsets(), keypoints[1, 2] + torch.tensor([2.0, 1.0]), rtol=1e-5
    )
    assert [text.get_text() for text in axes.get_yticklabels()] == ["x", "y"]


@pytest.mark.parametrize(("columns", "rows"), [("ab", "xy"), ("abc", "x")])
def test_a_film_wants_a_title_for_each_column(columns: str, rows: str) -> None:
    axes = style.new_figure(6, 4).subplots()
    joints, seen = torch.rand(2, 3, 17, 2), torch.ones(2, 3, 17, dtype=torch.bool)
    with pytest.raises(ValueError, match="2 x 3 pictures"):
        people.show_film(axes, torch.rand(2, 3, 3, 8, 8), joints, seen, columns, rows)
