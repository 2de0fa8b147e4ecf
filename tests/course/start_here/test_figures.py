from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from posenb.course.show import style
from posenb.course.start_here import explore, figures
from posenb.measure.keypoints import joint_angles, joint_triplets
from posenb.world import domains, motion
from posenb.world.skeletons import BODY17


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() or axes.get_title("left") for axes in figure.axes]


def test_a_heat_map_writes_its_numbers_readably() -> None:
    axes = style.new_figure().subplots()
    values = torch.tensor([[0.0, 1.0], [0.26, -0.0004]])
    figures.heat_map(axes, values, ["a", "b"], ["c", "d"], digits=2)
    shown = {(t.get_position(), t.get_text(), t.get_color()) for t in axes.texts}
    assert ((1, 0), "1.00", "black") in shown  # black on the bright end
    assert ((0, 1), "0.26", "white") in shown
    assert ((1, 1), "0.00", "white") in shown  # never -0.00
    assert [t.get_fontweight() for t in axes.texts] == ["bold", "normal", "normal", "bold"]


def test_a_heat_map_may_write_only_small_numbers() -> None:
    axes = style.new_figure().subplots()
    values = torch.tensor([[89.0, 90.0, 12.4]])
    figures.heat_map(axes, values, ["a"], ["c", "d", "e"], limit=100, below=90, bold=True)
    assert [t.get_text() for t in axes.texts] == ["89", "12"]
    assert axes.images[0].get_clim() == (0, 100)


def test_the_diagonal_is_called_the_noise_floor() -> None:
    figure = figures.distance_maps({"FD": torch.eye(2), "MMD²": torch.eye(2)}, ["wild", "lab"])
    assert titles(figure) == [f"{d} between domains (bold: noise floor)" for d in ("FD", "MMD²")]


def test_circles_count_what_they_catch() -> None:
    truth = torch.full((17, 2), 0.5)
    predicted = truth + torch.tensor([[0.03, 0.0]])
    predicted[:4] += 0.5
    figure = figures.circles(truth, predicted, (0.02, 0.05))
    assert titles(figure) == ["PCK@0.02 = 0.00", "PCK@0.05 = 0.76"]
    inside, outside = (
        len(np.asarray(marks.get_offsets())) for marks in figure.axes[1].collections[-2:]
    )
    assert (inside, outside) == (13, 4)


def test_errors_in_space_stand_in_the_titles() -> None:
    body = motion.load_motion().clips[0].joints()[0]
    body = body - body[0]
    figure = figures.space_errors(body, {"far": body + 1.0, "small": 0.9 * body})
    size = 1000 * 0.1 * body.norm(dim=-1).mean()
    assert titles(figure) == ["far\nMPJPE 0 mm · PA 0 mm", f"small\nMPJPE {size:.0f} mm · PA 0 mm"]


def test_angles_are_those_of_elbows_and_knees() -> None:
    pose = domains.get("wild").sample(1, seed=25).keypoints[0]
    triplets = joint_triplets(BODY17.parents)
    degrees = torch.rad2deg(joint_angles(pose, triplets))
    wanted = {
        f"{degrees[i]:.0f}°"
        for i, (_, middle, _) in enumerate(triplets)
        if BODY17.joints[middle].split("_")[-1] in ("elbow", "knee")
    }
    shown = texts(figures.angles_at_joints(pose, triplets))
    assert len(shown) == 4 and set(shown) == wanted


def test_takes_leave_a_gap_around_the_test() -> None:
    recordings = motion.load_motion()
    figure = figures.takes(recordings, "run")
    bars = [bar for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    assert len(bars) == 3 * len(recordings)
    (low, high), spare = domains.TEST_TAKE, domains.TAKE_GAP
    length = len(recordings.clips[0]) / recordings.clips[0].fps
    edges = [(bar.get_x() / length, (bar.get_x() + bar.get_width()) / length) for bar in bars[:3]]
    expected = [(0, low - spare), (low, high), (high + spare, 1)]
    np.testing.assert_allclose(edges, expected, atol=1e-6)
    assert texts(figure) == ["train", "test", "train"]


def test_bars_carry_their_values() -> None:
    figure = figures.bar_chart("Scores", ["a", "b"], {"score": [0.5, 0.25]}, (4, 3), digits=2)
    assert texts(figure) == ["0.50", "0.25"] and titles(figure) == ["Scores"]
    assert figure.axes[0].get_xlabel() == "score"


def test_knobs_are_drawn_at_both_ends_with_one_legend() -> None:
    floors = {"FD": 0.1, "MMD²": 0.2}
    ends = {
        (name, end): {"FD": 1.0, "MMD²": 2.0}
        for name, control in explore.CONTROLS.items()
        for end in control.ends
    }
    figure = figures.knob_bars(ends, explore.CONTROLS, floors)
    assert [axes.get_legend() is not None for axes in figure.axes] == [False, True]
    assert all(len(axes.patches) == 2 * len(explore.CONTROLS) for axes in figure.axes)
    assert texts(figure) == [" noise floor", " noise floor"]


def test_recipes_are_words_and_true() -> None:
    table = figures.recipes(["wild", "lab"])
    rows = {row[0]: row[1:] for row in table.cells}
    assert rows["people face"] == ["the camera ± 60°", "any way"]
    assert rows["they look from"] == ["8° below to 15° above", "12° to 18° above"]
    assert rows["the crop holds"] == ["joints and 25 % more", "2.6 m around the pelvis"]
    assert rows["bones"][1] == "thighs 6 % longer, shins 5 % longer, head 10 % shorter"
    assert rows["actions"] == ["16, 6 of them rare", "15"]
    wild = domains.get("wild")
    assert rows["people"][0] == str(wild.subjects)


def test_a_kick_is_seen_from_the_side() -> None:
    joints = torch.zeros(17, 3)
    joints[3] = torch.tensor([0.25, -0.5, 9.0])  # the third axis is the line of sight
    figure = figures.seen_from_the_side({"one": joints}, (3, 3), (-1, 1), (1, -1), marked=3)
    (dot,) = np.asarray(figure.axes[0].collections[-1].get_offsets())
    np.testing.assert_allclose(dot, [0.25, 0.5])
