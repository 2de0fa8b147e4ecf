from __future__ import annotations

import base64
import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from posenb.course.show import figures
from posenb.course.show.style import ROLES, new_figure
from posenb.world.skeletons import BODY17

ALT = "A line from the lower left to the upper right."


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    displayed: list[Any] = []
    monkeypatch.setattr(figures, "display", displayed.append)
    return displayed


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("POSENB_FIGURES", str(tmp_path))
    return tmp_path


@pytest.fixture
def axes() -> Axes:
    return new_figure(4, 3).subplots()


def poses(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 17, 2, generator=torch.Generator().manual_seed(seed))


def line() -> Figure:
    figure = new_figure(3, 2)
    figure.subplots().plot([0, 1], [0, 1])
    return figure


def decode(html: str) -> Image.Image:
    found = re.search(r'src="data:image/png;base64,([^"]+)"', html)
    assert found
    return Image.open(io.BytesIO(base64.b64decode(found[1])))


def drawn(figure: Figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(figures.png(figure))).convert("RGB"))


# Picture, png, show, save


def test_png_has_144_dots_an_inch_and_a_palette_for_line_art() -> None:
    image = Image.open(io.BytesIO(figures.png(line())))
    assert image.format == "PNG" and image.size == (432, 288)
    assert image.mode == "P"


def test_png_keeps_all_colors_where_256_are_too_few() -> None:
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert Image.open(io.BytesIO(figures.png(figures.image_grid(noise)))).mode == "RGB"


def test_png_keeps_all_colors_of_small_things_that_256_would_change() -> None:
    """A photograph fills the palette with its browns; a colour scale beside it must not fade."""
    random = torch.Generator().manual_seed(0)
    browns = (
        torch.rand(1, 1, 64, 64, generator=random) * torch.tensor([0.9, 0.6, 0.4])[:, None, None]
    )
    browns = browns + 0.02 * torch.rand(1, 3, 64, 64, generator=random)
    hues = torch.rand(3, 40, generator=random)
    browns[0, :, 5, 5:45] = hues
    image = Image.open(io.BytesIO(figures.png(figures.image_grid(browns))))
    assert image.mode == "RGB"


def test_png_of_a_photo_keeps_all_colors() -> None:
    wall = torch.linspace(0.4, 0.8, 64).expand(1, 3, 64, 64)
    assert Image.open(io.BytesIO(figures.png(figures.image_grid(wall)))).mode == "P"
    assert Image.open(io.BytesIO(figures.png(figures.image_grid(wall), photo=True))).mode != "P"


def test_png_for_a_slider_is_as_large() -> None:
    image = Image.open(io.BytesIO(figures.png(line(), stored=False)))
    assert image.format == "PNG" and image.size == (432, 288)


def test_show_displays_one_img_with_alt_and_picture(shown: list[Any]) -> None:
    figures.show(line(), 'Says "a < b"\n  & more.')
    (picture,) = shown
    html = picture._repr_html_()
    assert html.count("<img") == 1
    assert 'alt="Says &quot;a &lt; b&quot; &amp; more."' in html
    assert decode(html).size == (432, 288)
    assert 'width="288"' in html  # 96 an inch: sharp on a dense screen
    assert repr(picture) == '[picture: Says "a < b" & more.]'
    assert not hasattr(picture, "_repr_png_")  # Jupyter would prefer it, without its alt


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_picture_needs_its_description(shown: list[Any], folder: Path, alt: str) -> None:
    with pytest.raises(ValueError, match="alt is empty"):
        figures.show(line(), alt, name="prior/line")
    assert not shown and not list(folder.iterdir())


def test_show_closes_figures_of_pyplot(shown: list[Any]) -> None:
    figure = pyplot.figure()
    figures.show(figure, ALT)
    assert pyplot.get_fignums() == []


def test_show_saves_where_it_is_asked_to(shown: list[Any], folder: Path) -> None:
    figures.show(line(), ALT, name="prior/line")
    assert (folder / "prior/line.png").read_bytes() == shown[0].data
    assert not (folder / "prior/line.svg").exists()


def test_vectors_are_saved_repeatably_with_their_description(
    shown: list[Any], folder: Path
) -> None:
    path = folder / "prior/line.svg"
    figures.show(line(), ALT, name="prior/line", vector=True)
    first = path.read_bytes()
    figures.show(line(), ALT, name="prior/line", vector=True)
    assert path.read_bytes() == first
    assert ALT.encode() in first and b"<dc:date>" not in first
    assert decode(shown[0]._repr_html_()).format == "PNG"
    assert not path.with_suffix(".png").exists()


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_is_saved_unless_asked(
    shown: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    if value is None:
        monkeypatch.delenv("POSENB_FIGURES", raising=False)
    else:
        monkeypatch.setenv("POSENB_FIGURES", value)
    assert figures.save(b"data", "prior/line") is None
    figures.show(line(), ALT, name="prior/line")
    assert len(shown) == 1 and not list(tmp_path.iterdir())


def test_save_returns_the_path(folder: Path) -> None:
    assert figures.save(b"1", "prior/deep/a") == folder / "prior/deep/a.png"
    assert figures.save(b"2", "prior/a", ".gif") == folder / "prior/a.gif"


@pytest.mark.parametrize("name", ["../line", "prior/../../line", "/tmp/line", "", "prior/a.png"])
def test_save_stays_in_its_folder(folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match="expected a place"):
        figures.save(b"data", name)
    assert not list(folder.iterdir())


# image_grid


def test_image_grid_places_images_row_by_row(axes: Axes) -> None:
    colors = torch.eye(3)
    images = colors[:, :, None, None].expand(3, 3, 24, 24)
    assert figures.image_grid(images, columns=2, axes=axes) is axes.figure
    sheet = np.asarray(axes.images[0].get_array())
    assert sheet.shape == (2 * 25, 24 + 25, 3)
    for color, (row, column) in zip(colors.numpy(), ((13, 12), (13, 37), (38, 12)), strict=True):
        np.testing.assert_array_equal(sheet[row, column], color)
    np.testing.assert_array_equal(sheet[38, 37], 1)  # the empty place is white


def test_image_grid_clips_and_writes_titles_and_labels() -> None:
    figure = figures.image_grid(
        torch.full((4, 3, 8, 8), 7.0), 2, titles=["a", "b"], row_labels=["one", "two"]
    )
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["a", "b", "one", "two"]
    assert np.asarray(axes.images[0].get_array()).max() == 1
    titles = figures.image_grid(torch.zeros(4, 3, 8, 8), 2, titles=list("abcd")).axes[0].texts
    assert titles[2].get_position()[1] > titles[0].get_position()[1]


@pytest.mark.parametrize(
    ("shape", "call", "message"),
    [
        ((3, 8, 8), {}, r"shape \(3, 8, 8\)"),
        ((0, 3, 8, 8), {}, "N > 0"),
        ((4, 1, 8, 8), {}, "expected"),
        ((4, 3, 8, 8), {"titles": ["a"]}, "1 titles"),
        ((4, 3, 8, 8), {"columns": 2, "row_labels": ["a"]}, "1 row labels for 2 rows"),
    ],
)
def test_image_grid_says_what_does_not_fit(
    shape: tuple[int, ...], call: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        figures.image_grid(torch.zeros(shape), **call)


# Poses


def test_draw_pose_draws_the_bones_in_their_colors(axes: Axes) -> None:
    figures.draw_pose(axes, poses(1)[0], BODY17)
    outline, bones = axes.collections[:2]
    assert len(bones.get_segments()) == len(BODY17.bones)  # type: ignore[attr-defined]
    np.testing.assert_allclose(bones.get_colors()[:, :3], BODY17.colors)  # type: ignore
    assert outline.get_linewidths()[0] > bones.get_linewidths()[0]
    assert len(axes.collections) == 3  # the joints
    with mpl.rc_context():
        figures.draw_pose(axes, poses(1)[0], BODY17, color="#0072B2", joints=False)
    assert len(axes.collections) == 5


def test_draw_pose_leaves_out_what_is_unknown(axes: Axes) -> None:
    pose = poses(1)[0]
    pose[BODY17.index("right_knee")] = torch.nan  # ends two bones
    figures.draw_pose(axes, pose, BODY17)
    segments = axes.collections[1].get_segments()  # type: ignore[attr-defined]
    assert len(segments) == len(BODY17.bones) - 2


def test_draw_pose_wants_the_skeletons_joints(axes: Axes) -> None:
    with pytest.raises(ValueError, match=r"\(16, 2\)"):
        figures.draw_pose(axes, poses(1)[0, :16], BODY17)


def test_plot_skeletons_fills_rows_and_hides_the_rest() -> None:
    figure = figures.plot_skeletons(poses(5), BODY17, columns=3, titles=list("abcde"))
    assert len(figure.axes) == 6
    assert [axes.get_title(loc="center") for axes in figure.axes] == [*"abcde", ""]
    assert not figure.axes[5].axison
    assert figure.axes[0].get_ylim() == (1, 0)  # y points down
    drawn(figure)


def test_plot_skeletons_compares_two_sets_in_their_roles_colors() -> None:
    figure = figures.plot_skeletons(poses(2), BODY17, other=poses(2, 1))
    colors = {
        mpl.colors.to_hex(c).upper()
        for a in figure.axes
        for s in a.collections
        for c in np.atleast_2d(s.get_edgecolor())
    }
    assert {ROLES["truth"].color, ROLES["prediction"].color} <= colors
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["truth", "prediction"]


def test_plot_skeletons_says_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="N > 0"):
        figures.plot_skeletons(poses(0), BODY17)
    with pytest.raises(ValueError, match="1 titles for 2 poses"):
        figures.plot_skeletons(poses(2), BODY17, titles=["a"])


def legend_texts(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend
    return [text.get_text() for text in legend.get_texts()]


def test_keypoint_cloud_thins_the_sets_and_names_them(axes: Axes) -> None:
    figures.keypoint_cloud(axes, {"wild": poses(50), "lab": poses(7)}, BODY17, limit=10)
    assert legend_texts(axes) == ["wild", "lab"]
    assert len(axes.collections[0].get_offsets()) == 10 * 17
    assert axes.get_ylim() == (1, 0)
    drawn(axes.figure)  # type: ignore[arg-type]


def test_pose_map_uses_the_references_principal_directions(axes: Axes) -> None:
    # the reference varies along one direction only: all of its variance must be on the first axis
    direction = poses(1)[0]
    steps = torch.linspace(-1, 1, 9)
    reference = steps[:, None, None] * direction
    figures.pose_map(axes, {"source": reference})
    spots = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(np.abs(spots[:, 0]), direction.norm() * steps.abs(), atol=1e-5)
    np.testing.assert_allclose(spots[:, 1], 0, atol=1e-5)
    assert spots[0, 0] < spots[-1, 0]  # the sign is fixed: the largest entry is positive
    assert legend_texts(axes) == ["source"]


def test_pose_map_needs_a_set(axes: Axes) -> None:
    with pytest.raises(ValueError, match="no sets"):
        figures.pose_map(axes, {})


# Curves and bars


def test_loss_curve_smooths_and_names_the_lines(axes: Axes) -> None:
    steps = list(range(10))
    history = {"source": (steps, [float(s) for s in steps]), "empty": ([], [])}
    figures.loss_curve(axes, history, smooth=3, xlabel="images", ylabel="FD")
    raw, smooth, _ = axes.lines
    assert list(raw.get_ydata()) == steps
    np.testing.assert_allclose(smooth.get_xdata(), steps[2:])
    np.testing.assert_allclose(smooth.get_ydata(), steps[1:-1])  # mean of s - 2, s - 1 and s
    assert [text.get_text().strip() for text in axes.texts] == ["source"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("images", "FD")


def test_names_of_lines_that_end_together_do_not_overlap(axes: Axes) -> None:
    names = ["first", "second", "third"]
    figures.loss_curve(axes, {name: ([0, 1], [1.0, 0.5]) for name in names})
    figure = axes.get_figure(root=True)
    assert figure
    figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 for low, high in zip(boxes, boxes[1:], strict=False))


def test_bars_hold_means_and_intervals_with_the_first_label_on_top(axes: Axes) -> None:
    series = {"source": [(0.3, 0.2, 0.4), (0.5, 0.5, 0.5)], "target": [0.1, 0.2]}
    figures.bars(axes, ["one", "two"], series, "FD", reference={"chance": 0.45})
    widths = [bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]
    assert widths == [0.3, 0.5, 0.1, 0.2]
    bottom, top = axes.get_ylim()
    assert bottom > 1 and top < 0
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
    texts = {text.get_text().strip() for text in axes.texts} | set(legend_texts(axes))
    assert {"source", "target", "chance"} <= texts
    assert axes.get_xlabel() == "FD"
    drawn(axes.figure)  # type: ignore[arg-type]


def test_one_series_names_its_reference(axes: Axes) -> None:
    figures.bars(axes, ["one"], {"FD": [0.3]}, reference={"floor": 0.1}, colors={"FD": "#009E73"})
    legend = [] if axes.get_legend() is None else legend_texts(axes)
    assert "floor" in [*legend, *(text.get_text().strip() for text in axes.texts)]
    assert mpl.colors.to_hex(axes.patches[0].get_facecolor()).upper() == "#009E73"


def test_bars_keep_their_order_on_a_shared_axis() -> None:
    left, right = new_figure(6, 3).subplots(1, 2, sharey=True)
    for axes in (left, right):
        figures.bars(axes, ["one", "two"], {"FD": [1, 2]})
    assert left.get_ylim()[0] > left.get_ylim()[1]


def test_bars_want_an_entry_a_label(axes: Axes) -> None:
    with pytest.raises(ValueError, match="'FD' has 1 entries for 2 labels"):
        figures.bars(axes, ["one", "two"], {"FD": [0.3]})


# Tables


def test_names_of_points_do_not_cover_each_other(axes: Axes) -> None:
    points = {
        "one": (0.5, 0.5),
        "another": (0.5, 0.501),
        "far away": (0.1, 0.9),
        "third": (0.51, 0.5),
    }
    axes.scatter(*zip(*points.values(), strict=True))
    figures.name_points(axes, points)
    figure = axes.figure
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert sorted(text.get_text() for text in axes.texts) == sorted(points)
    for a, b in itertools.combinations(boxes, 2):
        assert not a.overlaps(b)
    lowest = next(text for text in axes.texts if text.get_text() == "far away")
    assert abs(lowest.get_position()[1] - 0.9) < 0.03  # nobody is in its way


def test_table_as_text_and_as_html() -> None:
    rows = [{"method": "ours", "FD": 0.123, "n": 3}, {"method": "<theirs>", "FD": 0.2}]
    shown = figures.table(rows, "Ours & theirs", {"FD": ".2f"}, {"FD": "low"})
    assert repr(shown).splitlines() == [
        "Ours & theirs",
        "method    FD        n",
        "ours      **0.12**  3",
        "<theirs>  0.20      –",
    ]
    html = shown._repr_html_()
    assert "Ours &amp; theirs</caption>" in html and "&lt;theirs&gt;" in html
    assert html.count("<b>") == 1 and "<b>0.12</b>" in html and "**" not in html
    assert html.count('<th scope="col"') == 3 and html.count("<tr>") == 3


def test_a_folded_table_shows_its_caption_once() -> None:
    html = figures.Table(["a"], [["b"]], "All & more", folded=True)._repr_html_()
    assert html.startswith("<details><summary><b>All &amp; more</b></summary><table")
    assert html.endswith("</table></details>") and html.count("All") == 1


def test_words_stand_left_and_numbers_right() -> None:
    rows = [{"layer": 1, "FD": 0.2, "MMD²": None, "seen": "means", "in": "01: all"}]
    rows += [{"layer": 3, "FD": 0.1, "MMD²": -0.3, "seen": "2 kinds of poses", "in": "–"}]
    html = figures.table(rows, "x", best={"FD": "low"})._repr_html_()
    sides = re.findall(r'<th scope="col" style="text-align:(\w+)">', html)
    assert sides == ["left", "right", "right", "left", "left"]
    assert re.findall(r'<td style="text-align:(\w+)">', html) == 2 * sides


@pytest.mark.parametrize(("sense", "best"), [("low", ["1"]), ("high", ["3", "3"])])
def test_table_marks_the_best_and_all_that_equal_it(sense: str, best: list[str]) -> None:
    rows = [{"x": 3}, {"x": 1}, {"x": 3}, {"x": "none"}]
    html = figures.table(rows, "x", best={"x": sense})._repr_html_()
    assert re.findall("<b>(.*?)</b>", html) == best


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.table([], "empty"), "at least one row"),
        (lambda: figures.table([{"x": 1}], "x", best={"x": "small"}), "'low' or 'high'"),
    ],
)
def test_table_says_what_is_wrong(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
