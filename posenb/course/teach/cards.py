"""Result cards in a notebook: read them, show them as a table, quote a number from them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from posenb.course.show.figures import Table
from posenb.course.show.figures import table as html_table
from posenb.measure.intervals import t_interval
from posenb.train.cards import read_card as load

__all__ = [
    "differences",
    "intervals",
    "load",
    "paired",
    "provenance",
    "row",
    "table",
    "value",
    "verdict",
]

Card = Mapping[str, Any]


def row(card: Card, **labels: Any) -> dict[str, Any]:
    """The row with these labels, for example `row(card, layer=3)`.

    Raises:
        ValueError: if no row, or more than one, has them.
    """
    found = [r for r in card["rows"] if all(r.get(key) == value for key, value in labels.items())]
    if len(found) != 1:
        there = "; ".join(", ".join(map(str, _labels(r).values())) for r in card["rows"])
        raise ValueError(f"{len(found)} rows of {card['name']} are {labels}; there are: {there}")
    return dict(found[0])


def value(card: Card, metric: str, **labels: Any) -> float:
    """Mean of a metric in the row with these labels, to be quoted in the text.

    Raises:
        ValueError: if there is no such row or metric.
    """
    metrics = row(card, **labels)["metrics"]
    if metric not in metrics:
        raise ValueError(f"{card['name']} has no {metric!r}; it has: {', '.join(metrics)}")
    return float(metrics[metric]["mean"])


def intervals(
    card: Card, metric: str, scale: float = 1.0, **labels: Any
) -> list[tuple[float, float, float]]:
    """Mean and both ends of the 95 % interval of a metric, as `figures.bars` draws them.

    Args:
        card: from `load` or `run_table`.
        metric: one that all these rows have.
        scale: factor on all numbers.
        labels: of the rows that are wanted, in the card's order; all rows without any.

    Returns:
        (mean, low, high) a row; of a single seed, which has no interval, three times its value.

    Raises:
        ValueError: if no row has these labels, or one of them has no such metric.
    """
    rows = [r for r in card["rows"] if all(r.get(key) == item for key, item in labels.items())]
    if not rows or any(metric not in r["metrics"] for r in rows):
        raise ValueError(f"{card['name']} has no rows of {labels} that all have {metric!r}")
    found = []
    for metrics in (r["metrics"][metric] for r in rows):
        ends = (metrics[key] for key in ("mean", "low", "high"))
        mean, low, high = (metrics["mean"] if end is None else end for end in ends)
        found.append((scale * mean, scale * low, scale * high))
    return found


def paired(
    card: Card, metric: str, base: Card, other: Card, scale: float = 1.0
) -> tuple[float, float, float]:
    """What a row's metric adds to that of a base row, seed by seed: mean and 95 % interval.

    Rows of one seed share shots and latents, so their differences vary less than they do. This is
    the one rule of the course: a difference counts where its interval leaves out 0. Of twenty
    comparisons without any difference, one is expected to count.

    Args:
        card: from `load` or `run_table`, of at least two seeds.
        metric: one that both rows have.
        base: labels of the row that is subtracted.
        other: labels of the row that it is subtracted from.
        scale: factor on all numbers.

    Raises:
        ValueError: if there is no such row or metric, or one seed only.
    """
    if len(card["seeds"]) < 2:
        raise ValueError(f"{card['name']} has one seed: differences need at least two")
    values = []
    for labels in (base, other):
        value(card, metric, **labels)  # there is one such row, and it has the metric
        values.append(row(card, **labels)["metrics"][metric]["values"])
    changes = [scale * (b - a) for a, b in zip(*values, strict=True)]
    return (statistics.fmean(changes), *t_interval(changes))


def differences(
    card: Card, metric: str, scale: float = 1.0, **base: Any
) -> list[tuple[float, float, float]]:
    """`paired` of every row against a base row, in the card's order, as `figures.bars` draws them.

    Raises:
        ValueError: as `paired`.
    """
    value(card, metric, **base)
    return [paired(card, metric, base, _labels(r), scale) for r in card["rows"]]


def verdict(
    card: Card,
    metric: str,
    base: Card,
    other: Card,
    scale: float = 1.0,
    digits: int = 2,
    unit: str = "",
) -> str:
    """`paired` in words: "-9.7 mm [-11, -8.2]", or with ", not told apart" behind it.

    Raises:
        ValueError: as `paired`.
    """
    mean, low, high = paired(card, metric, base, other, scale)
    ends = f"[{_significant(low, digits)}, {_significant(high, digits)}]"
    words = f"{'+' if mean > 0 else ''}{_significant(mean, digits)}{unit and ' ' + unit} {ends}"
    return words if low > 0 or high < 0 else f"{words}, not told apart"


def table(
    card: Card,
    columns: Mapping[str, str] | Sequence[str] | None = None,
    scale: Mapping[str, float] | None = None,
    digits: int = 3,
    caption: str | None = None,
) -> Table:
    """A card as a table: mean, and half the width of the 95 % interval behind it.

    Args:
        card: from `load` or `run_table`.
        columns: metrics to show, or a mapping from metric to heading. None: all that the first
            row has. A row without a metric shows a dash.
        scale: factors on metrics, for example {"FD": 1000}; say so in the heading.
        digits: significant digits of the means.
        caption: None: name of the card, number of seeds, device.
    """
    first = card["rows"][0]
    names = list(columns or first["metrics"])
    headings = dict(columns) if isinstance(columns, Mapping) else {n: n for n in names}
    factor = scale or {}
    rows = [
        {
            **_labels(r),
            **{headings[n]: _cell(r["metrics"].get(n), factor.get(n, 1.0), digits) for n in names},
        }
        for r in card["rows"]
    ]
    return html_table(rows, caption or provenance(card))


def provenance(card: Card) -> str:
    """Where a card's numbers come from, in one line."""
    seeds = len(card["seeds"])
    spread = f"mean ± 95 % interval of {seeds} seeds" if seeds > 1 else "one seed"
    return f"Card {card['name']}: {spread}; {card['device']}, {card['wall_seconds']:.0f} s."


def _labels(labelled: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in labelled.items() if key != "metrics"}


def _cell(metric: Mapping[str, Any] | None, factor: float, digits: int) -> str | None:
    if metric is None:
        return None
    mean = _significant(factor * metric["mean"], digits)
    if metric["low"] is None:
        return mean
    half = factor * (metric["high"] - metric["low"]) / 2
    return f"{mean} ± {_significant(half, 1)}"


def _significant(number: float, digits: int) -> str:
    return f"{float(f'{number:.{digits}g}'):g}"  # 110, where .2g alone writes 1.1e+02
