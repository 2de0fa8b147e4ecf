"""Figures of notebook 06: what they draw is what they were given."""

from __future__ import annotations

import torch

from posenb.course.posynda import figures
from posenb.course.show.style import look, new_figure
from posenb.world.skeletons import BODY17

LOOKS = look("source"), look("adapted")


def pose(seed: int) -> torch.Tensor:
    return torch.randn(len(BODY17), 3, generator=torch.Generator().manual_seed(seed))


def test_marks_stand_at_the_means_and_reach_to_the_ends() -> None:
    series = {"F": [(-2.0, -5.0, 1.0), (3.0, 2.0, 4.0)], "lifted F": [(0.5, 0.0, 1.0)] * 2}
    drawn = figures.mark_panels(("far", "near"), {"here": series}, LOOKS, "mm", (8, 3), 7.0)
    (axes,) = drawn.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["far", "near"]
    assert "here" in (axes.get_title(), axes.get_title(loc="left"))
    first, second = axes.containers
    assert list(first.lines[0].get_xdata()) == [-2.0, 3.0]
    assert list(second.lines[0].get_xdata()) == [0.5, 0.5]
    ends = [piece[:, 0].tolist() for piece in first.lines[2][0].get_segments()]
    assert ends == [[-5.0, 1.0], [2.0, 4.0]]
    assert 7.0 in [line.get_xdata()[0] for line in axes.lines]  # the reference
    low, high = axes.get_ylim()
    assert low > high  # first label on top


def test_bars_have_one_legend_on_the_right_and_a_rule_at_the_first() -> None:
    bar = [(4.0, 3.0, 5.0), (2.0, 1.0, 3.0)]
    panels = [("a, mm", {"one": bar, "two": bar}), ("b, mm", {"one": bar, "two": bar})]
    left, right = figures.bar_panels(("x", "y"), panels, (9, 3), rule=True, titles=("a", "b")).axes
    assert left.get_legend() is None
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["one", "two"]
    assert [line.get_xdata()[0] for line in left.lines if line.get_linestyle() == "--"] == [4.0]
    alone = figures.bar_panels(("x", "y"), [("a, mm", {"one": [4.0, 2.0]})], (9, 3), rule=True)
    assert alone.axes[0].get_legend() is None
    assert not [line for line in alone.axes[0].lines if line.get_linestyle() == "--"]


def test_the_paper_stands_beside_the_card() -> None:
    metric = {"MPJPE": {"mean": 120.0, "low": 110.0, "high": 130.0}}
    card = {
        "name": "t",
        "rows": [{"target": "stage", "method": m, "metrics": metric} for m in "ab"],
    }
    drawn = figures.beside_paper({"a": "A", "b": "B"}, {"a": 62.5}, card, ("stage",), (9, 3))
    paper, here = drawn.axes
    widths = [[bar.get_width() for bar in axes.patches] for axes in (paper, here)]
    assert widths[0][0] == 62.5 and widths[0][1] != widths[0][1]  # nothing printed: no bar
    assert widths[1] == [120.0, 120.0]
    assert [label.get_text() for label in paper.get_yticklabels()] == ["A", "B"]


def test_poses_stand_in_their_rows() -> None:
    rows = {"noisy": [pose(0), pose(1), pose(2)], "clean": [pose(3), pose(4), pose(5)]}
    drawn = figures.pose_grid(rows, ("a", "b", "c"), 5, 1.2, notes=("1", "2", "3"))
    assert len(drawn.axes) == 6 and all(axes.collections for axes in drawn.axes)
    assert [axes.get_title() for axes in drawn.axes] == ["a", "b", "c", "", "", ""]
    assert [drawn.axes[i].get_ylabel() for i in (0, 3)] == ["noisy", "clean"]
    assert [axes.get_xlabel() for axes in drawn.axes[3:]] == ["1", "2", "3"]


def test_curves_over_time_reach_to_their_ends() -> None:
    drawn = figures.time_curves({"K = 1": ([1.0, 10.0], [(0.0, 0.0, 0.0), (2.0, -1.0, 4.0)])})
    (curve,) = drawn.axes[0].containers
    assert list(curve.lines[0].get_ydata()) == [0.0, 2.0]
    assert curve.lines[2][0].get_segments()[1][:, 1].tolist() == [-1.0, 4.0]


def test_one_of_several_answers_is_drawn_thickest() -> None:
    axes = new_figure(4, 4).subplots()
    several = torch.stack([pose(0), pose(1)])
    figures.side_view(axes, several, 1, pose(2), "title", 1.0)
    widths = {c.get_label(): c.get_linewidths()[0] for c in axes.collections}
    assert widths["chosen"] == max(widths[name] for name in ("chosen", "2 hypotheses", "truth"))
    assert axes.get_title() == "title"
