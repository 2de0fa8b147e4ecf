from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posenb.course.show.figures import Table
from posenb.course.teach import cards
from posenb.experiments import sweep

ROWS = [{"method": "ours", "layer": 3}, {"method": "ours", "layer": 1}]


def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
    return {"FD": row["layer"] / 10 + seed / 100, "recall": 0.5}


@pytest.fixture
def card(tmp_path: Path) -> dict[str, Any]:
    return sweep.run_table(
        "flexpose.table1", ROWS, [0, 1, 2], measure, folder=tmp_path, progress=False
    )


def test_load_reads_what_run_table_wrote(card: dict[str, Any], tmp_path: Path) -> None:
    assert cards.load("flexpose.table1", tmp_path) == card


def test_a_missing_card_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no result card.*python -m posenb table prior\.quality"):
        cards.load("prior.quality", tmp_path)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "3", '{"rows": 3}', '{"rows": [{"layer": 1}]}', '{"rows": [3]}', "\0"],
)
def test_a_broken_card_says_where_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "prior" / "quality.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(
        ValueError, match=r"quality\.json is (no result card|not valid JSON) .*make it with"
    ):
        cards.load("prior.quality", tmp_path)


def test_a_malformed_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected <chapter>.<table>"):
        cards.load("../secret", tmp_path)


def test_row_and_value(card: dict[str, Any]) -> None:
    assert cards.row(card, layer=3)["metrics"]["recall"]["mean"] == 0.5
    assert cards.value(card, "FD", layer=1) == pytest.approx(0.11)
    assert cards.value(card, "FD", method="ours", layer=3) == pytest.approx(0.31)


@pytest.mark.parametrize(("labels", "count"), [({"layer": 2}, 0), ({"method": "ours"}, 2)])
def test_labels_must_single_out_a_row(
    card: dict[str, Any], labels: dict[str, Any], count: int
) -> None:
    with pytest.raises(ValueError, match=rf"{count} rows .*there are: ours, 3; ours, 1"):
        cards.row(card, **labels)


def test_an_unknown_metric_names_the_known(card: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no 'MMD'; it has: FD, recall"):
        cards.value(card, "MMD", layer=3)


def test_table_with_interval(card: dict[str, Any]) -> None:
    shown = cards.table(card)
    assert isinstance(shown, Table)
    assert shown.head == ["method", "layer", "FD", "recall"]
    low, high = (card["rows"][0]["metrics"]["FD"][end] for end in ("low", "high"))
    assert shown.cells[0] == ["ours", "3", f"0.31 ± {(high - low) / 2:.1g}", "0.5 ± 0"]
    assert shown.caption == cards.provenance(card)


def test_table_with_headings_scale_and_digits(card: dict[str, Any]) -> None:
    shown = cards.table(card, {"FD": "FD × 1000"}, {"FD": 1000}, digits=2, caption="Mine")
    assert shown.head == ["method", "layer", "FD × 1000"]
    low, high = (card["rows"][1]["metrics"]["FD"][end] for end in ("low", "high"))
    assert shown.cells[1][2] == f"110 ± {round(500 * (high - low), -1):g}"
    assert shown.caption == "Mine"
    assert cards.table(card, ["recall"]).head == ["method", "layer", "recall"]


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    card = sweep.run_table("a.b", ROWS, [0], measure, folder=tmp_path, progress=False)
    assert cards.table(card).cells[0][2] == "0.3"
    assert "one seed" in cards.provenance(card)


def test_provenance(card: dict[str, Any]) -> None:
    told = cards.provenance(json.loads(json.dumps(card)) | {"device": "CPU", "wall_seconds": 61.4})
    assert told == "Card flexpose.table1: mean ± 95 % interval of 3 seeds; CPU, 61 s."


def test_intervals_are_what_bars_draw(card: dict[str, Any], tmp_path: Path) -> None:
    mean, low, high = cards.intervals(card, "FD", scale=100, layer=1)[0]
    assert mean == pytest.approx(11) and high - mean == pytest.approx(mean - low, rel=1e-3)
    assert low == pytest.approx(100 * cards.row(card, layer=1)["metrics"]["FD"]["low"])
    both = cards.intervals(card, "FD", method="ours")
    assert [round(entry[0], 3) for entry in both] == [0.31, 0.11]
    single = sweep.run_table("flexpose.one", ROWS, [4], measure, folder=tmp_path, progress=False)
    assert cards.intervals(single, "FD", layer=1) == [(pytest.approx(0.14),) * 3]


@pytest.mark.parametrize(("metric", "labels"), [("FD", {"layer": 2}), ("MMD2", {})])
def test_intervals_want_rows_that_have_the_metric(
    card: dict[str, Any], metric: str, labels: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"flexpose\.table1 has no rows of"):
        cards.intervals(card, metric, **labels)


def test_differences_are_taken_seed_by_seed(tmp_path: Path) -> None:
    def noisy(row: dict[str, Any], seed: int) -> dict[str, float]:
        return {"FD": (0, 3, 1)[seed] + row["layer"] / 10 + 0.01 * seed * row["layer"]}

    card = sweep.run_table("flexpose.x", ROWS, [0, 1, 2], noisy, folder=tmp_path, progress=False)
    base, other = cards.differences(card, "FD", layer=3)
    assert base == (0, 0, 0)
    mean, low, high = other
    changes = [-0.2, -0.22, -0.24]  # whatever the seeds have in common is gone
    assert mean == pytest.approx(-0.22)
    assert (low, high) == pytest.approx(sweep.t_interval(changes))
    assert cards.differences(card, "FD", scale=10, layer=3)[1][0] == pytest.approx(-2.2)
    steps = ({"layer": 3}, {"layer": 1})
    assert cards.paired(card, "FD", *steps) == other
    assert cards.verdict(card, "FD", *steps, unit="mm") == "-0.22 mm [-0.27, -0.17]"
    assert cards.verdict(card, "FD", *steps[::-1], 10) == "+2.2 [1.7, 2.7]"
    with pytest.raises(ValueError, match="0 rows of flexpose"):
        cards.differences(card, "FD", layer=7)
    with pytest.raises(ValueError, match="has no 'recall'"):
        cards.differences(card, "recall", layer=3)
    seeds = [3, 4, 5]
    loose = sweep.run_table(
        "flexpose.z",
        ROWS,
        seeds,
        lambda row, seed: {"FD": (seed == 4) * row["layer"]},
        folder=tmp_path,
        progress=False,
    )
    assert cards.verdict(loose, "FD", *steps).endswith(", not told apart")
    card = sweep.run_table("flexpose.y", ROWS, [1], noisy, folder=tmp_path, progress=False)
    with pytest.raises(ValueError, match="one seed"):
        cards.differences(card, "FD", layer=3)
