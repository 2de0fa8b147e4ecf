from __future__ import annotations

import itertools
from collections.abc import Iterable

import matplotlib as mpl
import pytest
from matplotlib.colors import to_rgb

from posenb.course.show import style
from posenb.world import domains


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast_with_white(color: str) -> float:
    return 1.05 / (luminance(color) + 0.05)


def distance(first: str, second: str) -> float:
    return max(abs(a - b) for a, b in zip(to_rgb(first), to_rgb(second), strict=True))


def test_contrast_of_known_colors() -> None:
    assert contrast_with_white("#000000") == pytest.approx(21)
    assert contrast_with_white("#FFFFFF") == pytest.approx(1)
    assert contrast_with_white("#777777") == pytest.approx(4.48, abs=0.01)  # WCAG's example


def test_the_palette_is_that_of_okabe_and_ito() -> None:
    assert len({color.upper() for color in style.PALETTE.values()}) == len(style.PALETTE) == 8
    for first, second in itertools.combinations(style.PALETTE.values(), 2):
        assert distance(first, second) > 0.2


@pytest.mark.parametrize(
    "looks", [style.ROLES.values(), style.DOMAINS.values(), style.CATEGORIES], ids=str
)
def test_colors_and_markers_of_a_group_are_unique(looks: Iterable[style.Look]) -> None:
    looks = list(looks)
    assert len({look.color for look in looks}) == len(looks)
    assert len({look.marker for look in looks}) == len(looks)
    assert {look.color for look in looks} <= set(style.PALETTE.values())


def test_a_color_always_has_the_same_marker() -> None:
    everything = [*style.ROLES.values(), *style.DOMAINS.values(), *style.CATEGORIES]
    assert len(set(everything)) == len({look.color for look in everything})


def test_roles_stand_out_on_white_and_text_is_easy_to_read() -> None:
    for role in style.ROLES.values():
        assert contrast_with_white(role.color) >= 3  # WCAG's minimum for graphics
    assert contrast_with_white(style.INK) >= 7
    assert contrast_with_white(style.FAINT) >= 3


def test_every_domain_has_its_look() -> None:
    assert set(style.DOMAINS) == set(domains.names())


def test_look_by_name_and_by_position() -> None:
    assert style.look("source") == style.ROLES["source"]
    assert style.look("lab", 5) == style.DOMAINS["lab"]
    assert style.look("my method", 1) == style.CATEGORIES[1]
    assert style.look("my method", 1 + len(style.CATEGORIES)) == style.CATEGORIES[1]


def test_styled_ends_with_its_block_and_use_style_stays() -> None:
    with mpl.rc_context():
        mpl.rcdefaults()
        before = mpl.rcParams["font.size"]
        with style.styled():
            assert mpl.rcParams["font.size"] > before
            assert not mpl.rcParams["axes.spines.top"]
        assert mpl.rcParams["font.size"] == before
        style.use_style()
        assert mpl.rcParams["font.size"] > before


def test_new_figure_is_not_kept_by_pyplot() -> None:
    from matplotlib import pyplot

    figure = style.new_figure(3, 2)
    assert figure.get_size_inches().tolist() == [3, 2]
    assert pyplot.get_fignums() == []
