"""Result cards: where they are, what they hold, and reading them (`experiments.sweep` writes)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import posenb
from posenb import assets


def card_path(name: str, folder: Path | None = None) -> Path:
    """Path of the card "<chapter>.<table>" below `folder`, by default that of the repository.

    Raises:
        ValueError: if the name is malformed, or this is not a checkout of the repository.
    """
    parts = name.split(".")
    if len(parts) != 2 or not all(part.isidentifier() for part in parts):
        raise ValueError(f"table {name!r}: expected <chapter>.<table>, such as flexpose.table1")
    chapter, table = parts
    root = repository() / "figures" / "results" if folder is None else folder
    return root / chapter / f"{table}.json"


def read_card(name: str, folder: Path | None = None) -> dict[str, Any]:
    """The card that `experiments.sweep.run_table` wrote.

    Args:
        name: "<chapter>.<table>", for example "prior.quality".
        folder: root of the cards; `<repository>/figures/results` by default.

    Raises:
        ValueError: if there is none, or it is no card; says which command makes it.
    """
    path = card_path(name, folder)
    make = f"make it with: python -m posenb table {name}"
    if not path.is_file():
        raise ValueError(f"there is no result card {name} at {path}; {make}")
    card = assets.parse_json(path.read_bytes(), path, make)
    if wrong := _wrong(card):
        raise ValueError(f"{path} is no result card ({wrong}); {make}")
    return dict(card)


def repository() -> Path:
    """Root of the checkout: that of the imported package, else the one around the working folder.

    Raises:
        ValueError: if there is neither.
    """
    here = Path.cwd()
    for root in (Path(posenb.__path__[0]).resolve().parent, here, *here.parents):
        if (root / "pyproject.toml").is_file() and (root / "posenb" / "assets").is_dir():
            return root
    raise ValueError(
        f"found no checkout of posenb around {here}, and the package is installed elsewhere; "
        "change into the cloned repository, or pass a folder"
    )


def is_number(value: Any) -> bool:
    """Whether something is a finite number, of a size that a float holds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _wrong(card: Any) -> str | None:
    """What keeps something from being a card, or None."""
    kinds = {"rows": list, "seeds": list, "configuration": dict, "versions": dict}
    kinds |= {"name": str, "device": str}
    if not isinstance(card, dict):
        return f"a {type(card).__name__}"
    for key, kind in kinds.items():
        if not isinstance(card.get(key), kind):
            return f"{key} is no {kind.__name__}"
    if not is_number(card.get("wall_seconds")) or card["wall_seconds"] < 0:
        return "wall_seconds is no number"
    if not card["seeds"] or not all(type(seed) is int for seed in card["seeds"]):
        return "seeds are not whole numbers"
    if not card["rows"]:
        return "no rows"
    for number, row in enumerate(card["rows"], 1):
        metrics = row.get("metrics") if isinstance(row, dict) else None
        if not isinstance(metrics, dict) or not metrics:
            return f"row {number} has no metrics"
        for name, metric in metrics.items():
            if not _is_metric(metric, len(card["seeds"])):
                return f"metric {name[:40]!r} of row {number} is not mean, low, high and values"
    return None


def _is_metric(metric: Any, seeds: int) -> bool:
    if not isinstance(metric, dict) or not {"mean", "low", "high", "values"} <= metric.keys():
        return False
    values, ends = metric["values"], [metric["low"], metric["high"]]
    return (
        isinstance(values, list)
        and len(values) == seeds
        and all(map(is_number, [metric["mean"], *values]))
        and (ends == [None, None] or all(map(is_number, ends)))
    )
