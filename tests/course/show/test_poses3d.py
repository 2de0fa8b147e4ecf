"""3D poses on flat axes: what lies where from which side, who hides whom, and what stands out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from torch import Tensor

from posenb.course.show import poses3d
from posenb.course.show.style import new_figure
from posenb.world import motion
from posenb.world.skeletons import BODY17


@pytest.fixture
def axes() -> Axes:
    return new_figure(4, 4).subplots()


@pytest.fixture(scope="module")
def pose() -> Tensor:
    joints = motion.load_motion().clips[0].joints()[10]
    return (joints - joints[0]) * torch.tensor([1.0, -1.0, -1.0])  # as a camera sees it


def lines(axes: Axes) -> list[LineCollection]:
    return [c for c in axes.collections if isinstance(c, LineCollection)]


def names(axes: Axes) -> list[str]:
    return [str(label) for label in axes.get_legend_handles_labels()[1]]


@pytest.mark.parametrize(
    ("azimuth", "elevation", "wanted"),  # right, up, towards the eye
    [
        (0, 0, (1, -2, -3)),
        (90, 0, (3, -2, 1)),
        (180, 0, (-1, -2, 3)),
        (-90, 0, (-3, -2, -1)),
        (0, 90, (1, 3, -2)),
        (90, 90, (3, -1, -2)),
        (0, -90, (1, -3, 2)),
    ],
)
def test_sides_show_what_they_should(
    azimuth: float, elevation: float, wanted: tuple[float, ...]
) -> None:
    point = torch.tensor([1.0, 2.0, 3.0])  # right, down, forward
    found = poses3d.turned(point, azimuth, elevation)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_turning_changes_no_length_and_mirrors_nothing() -> None:
    for azimuth, elevation in ((33, 20), (250, -45)):
        turn = poses3d.turned(torch.eye(3), azimuth, elevation)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
        # down became up, and away became towards: two reversals, so still right-handed
        assert np.linalg.det(turn) == pytest.approx(1)


def test_a_bone_has_its_own_colour_and_the_far_ones_come_first(axes: Axes, pose: Tensor) -> None:
    poses3d.draw_pose3d(axes, pose, BODY17, 30, 10, width=4)
    (drawn,) = lines(axes)
    bones, widths = len(BODY17.bones), np.asarray(drawn.get_linewidths())
    assert len(drawn.get_segments()) == 3 * bones  # rims of all, then rim and bone in turn
    own = np.flatnonzero(widths == 4)
    assert own.tolist() == list(range(bones + 1, 3 * bones, 2)) and widths.max() > 4
    depth = poses3d.turned(pose, 30, 10)[np.array(BODY17.bones)]  # (bones, 2, 3)
    sequence = depth[:, :, 2].mean(1).argsort()
    colors = np.asarray(drawn.get_colors())[own]
    np.testing.assert_allclose(colors[:, :3], np.array(BODY17.colors)[sequence])
    for place, bone in zip(own, sequence, strict=True):
        np.testing.assert_allclose(drawn.get_segments()[place], depth[bone][:, :2], atol=1e-6)


def test_one_colour_for_all_bones_and_missing_joints(axes: Axes, pose: Tensor) -> None:
    missing = pose.clone()
    missing[BODY17.index("left_wrist")] = math.nan
    poses3d.draw_pose3d(axes, missing, BODY17, color="#123456", label="somebody")
    (drawn,) = lines(axes)
    assert len(drawn.get_segments()) == len(BODY17.bones) - 1
    np.testing.assert_allclose(np.asarray(drawn.get_colors())[0, :3], to_rgb("#123456"))
    assert names(axes) == ["somebody"]


def test_twenty_hypotheses_all_look_different() -> None:
    looks = [poses3d.hypothesis_look(number) for number in range(20)]
    assert len(set(looks)) == 20 and poses3d.CHOSEN not in {color for color, _ in looks}
    assert poses3d.hypothesis_look(20) == looks[0]


def test_the_chosen_one_is_thick_and_red_below_the_truth(axes: Axes, pose: Tensor) -> None:
    noise = torch.randn(5, 17, 3, generator=torch.Generator().manual_seed(0))
    hypotheses = pose + 0.05 * noise
    poses3d.draw_hypotheses(axes, hypotheses, BODY17, 3, pose, azimuth=90)
    drawn = lines(axes)
    assert len(drawn) == 7 and names(axes) == ["5 hypotheses", "chosen", "truth"]
    chosen, truth = drawn[5:]
    assert chosen.get_linewidths()[0] > 2 * drawn[0].get_linewidths()[0]
    np.testing.assert_allclose(np.asarray(chosen.get_colors())[0, :3], to_rgb(poses3d.CHOSEN))
    assert drawn[0].zorder < chosen.zorder < truth.zorder
    same = np.sort(np.concatenate(drawn[3].get_segments()), 0)
    np.testing.assert_allclose(np.sort(np.concatenate(chosen.get_segments()), 0), same)
    assert truth.get_linestyles()[0][1] is not None  # dashed
    flat = np.concatenate(truth.get_segments())
    assert flat[:, 0].max() == pytest.approx(pose[:, 2].max().item(), abs=1e-5)


def test_what_is_chosen_may_be_made_of_several(axes: Axes, pose: Tensor) -> None:
    hypotheses = torch.stack([pose, 1.1 * pose])
    poses3d.draw_hypotheses(axes, hypotheses, BODY17, hypotheses.mean(0))
    assert names(axes) == ["2 hypotheses", "chosen"]
    for wrong in (2, -1):
        with pytest.raises(ValueError, match="there are 2 hypotheses"):
            poses3d.draw_hypotheses(axes, hypotheses, BODY17, wrong)


@pytest.mark.parametrize("shape", [(16, 3), (17, 2), (1, 17, 3)])
def test_poses_of_another_shape_are_refused(axes: Axes, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"BODY17 needs \(17, 3\)|body17 needs"):
        poses3d.draw_pose3d(axes, torch.zeros(shape), BODY17)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (90, 15), (200, 90)])
def test_the_frame_holds_all_and_the_bar_has_its_length(
    axes: Axes, pose: Tensor, azimuth: float, elevation: float
) -> None:
    poses3d.set_view(axes, pose[None], azimuth, elevation)
    flat = poses3d.turned(pose, azimuth, elevation)[:, :2]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert left < flat[:, 0].min() and flat[:, 0].max() < right
    assert low < flat[:, 1].min() and flat[:, 1].max() < high
    (bar,) = axes.lines
    ends = np.asarray(bar.get_xdata(), float)
    assert ends[1] - ends[0] == pytest.approx(0.5) and axes.texts[0].get_text() == "50 cm"
    assert np.asarray(bar.get_ydata(), float).max() < flat[:, 1].min()
    floor = axes.patches[0].get_path().vertices
    assert np.ptp(floor[:, 0]) == pytest.approx(1.0, abs=0.01)
    wide = math.sin(math.radians(elevation))
    assert np.ptp(floor[:, 1]) == pytest.approx(wide, abs=0.01)
    assert axes.get_aspect() == 1 and not len(axes.get_xticks())


def test_the_floor_is_under_the_feet_and_panels_share_a_reach(axes: Axes, pose: Tensor) -> None:
    poses3d.set_view(axes, pose, reach=1.2)
    assert axes.get_xlim() == axes.get_ylim() == (-1.2, 1.2)
    floor = axes.patches[0].get_path().vertices[:, 1]
    np.testing.assert_allclose(floor, -pose[:, 1].max().item(), atol=1e-6)
    bare = new_figure(3, 3).subplots()
    poses3d.set_view(bare, pose, floor=False, scale=0)
    assert not bare.patches and not bare.lines and not bare.texts
