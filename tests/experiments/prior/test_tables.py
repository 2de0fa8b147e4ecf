"""The chapter's experiments, run small."""

from __future__ import annotations

import math

import pytest
import torch

from posenb import prior
from posenb.course.teach import cards
from posenb.experiments.prior import tables
from posenb.experiments.prior.bench import Bench
from posenb.train import checkpoints
from posenb.world import domains
from posenb.world.skeletons import BODY17

KEYS = {"FD", "MMD2", "recall", "precision", "spread", "bone violations", "joint violations"}


@pytest.mark.slow
def test_yardsticks_come_in_the_expected_order() -> None:
    bench = Bench(count=1500)
    rows = {name: tables.quality(bench, label) for name, label in tables.ROWS.items()}
    assert all(set(row) == KEYS for row in rows.values())
    assert all(math.isfinite(value) for row in rows.values() for value in row.values())
    assert rows["floor"]["FD"] < rows["training"]["FD"]
    assert rows["floor"]["MMD2"] < rows["gaussian"]["MMD2"]
    assert rows["floor"]["recall"] > 0.4 > rows["gaussian"]["recall"]
    assert rows["floor"]["joint violations"] < 0.05 < rows["gaussian"]["joint violations"]
    assert rows["floor"]["spread"] == pytest.approx(1, abs=0.1)


def test_a_row_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no row 'the generator, coco'"):
        tables.quality(Bench(count=600), "the generator, coco")


def test_pose_changes_are_measured_in_their_units() -> None:
    """A turn by ten degrees about the image centre turns the trunk and bends no joint."""
    poses = domains.get("wild").sample(200, 0).keypoints
    angle = torch.tensor(math.radians(10))
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
    change = tables.pose_change(poses, (poses - 0.5) @ turn.T + 0.5)
    assert change["pivot orientation"] == pytest.approx(10, abs=1e-2)
    assert change["joint rotation"] == pytest.approx(0, abs=1e-1)
    assert change["bone ratio"] == pytest.approx(0, abs=1e-2)
    shifted = tables.pose_change(poses, poses + torch.tensor([0.03, 0.04]))
    assert shifted["joint shift"] == pytest.approx(5, abs=1e-3)
    assert shifted["pivot orientation"] == pytest.approx(0, abs=1e-2)


def test_bone_ratios_notice_a_longer_bone() -> None:
    poses = domains.get("wild").sample(200, 0).keypoints
    longer = poses.clone()
    ankle, knee = BODY17.index("left_ankle"), BODY17.index("left_knee")
    longer[:, ankle] += 0.5 * (poses[:, ankle] - poses[:, knee])
    assert tables.pose_change(poses, longer)["bone ratio"] > 2


def test_one_layer_alone_changes_something_and_none_nothing() -> None:
    generator, regressor = prior.load_generator(), prior.load_regressor()
    effects = [tables.layer_effect(generator, regressor, layer, 0, 30) for layer in (3, 9)]
    assert effects[0]["joint rotation"] > effects[1]["joint rotation"]
    unchanged = tables.layer_effect(generator, regressor, generator.layers + 1, 0, 30)
    assert max(unchanged.values()) == 0


def test_shape_is_measured_in_percent_of_the_crop() -> None:
    """Hips a tenth of the crop apart; one person upright and facing, one lying on the back."""
    poses = domains.get("wild").sample(2, 0).keypoints
    joints = {name: number for number, name in enumerate(BODY17.joints)}
    for joint, place in {
        "left_hip": (0.55, 0.5), "right_hip": (0.45, 0.5), "pelvis": (0.5, 0.5),
        "neck": (0.5, 0.2), "left_shoulder": (0.6, 0.25), "right_shoulder": (0.4, 0.25),
    }.items():  # fmt: skip
        poses[0, joints[joint]] = torch.tensor(place)
        poses[1, joints[joint]] = torch.tensor(place[::-1])
    both, first = tables.shape(poses), tables.shape(poses[:1])
    assert both["hips"] == pytest.approx(10, abs=1e-3)
    assert both["trunk"] == pytest.approx(30, abs=1e-3)
    assert (first["upright"], first["facing"]) == (1, 1) and both["upright"] == 0.5


def test_stand_ins_need_real_people() -> None:
    with pytest.raises(ValueError, match="--target coco:PATH"):
        tables.TABLES["stand_ins"]()


def test_the_stand_ins_differ_from_real_people_as_notebook_00_says() -> None:
    """Real people's hips are clicked farther apart than `wild` has them; most else is near."""
    card = cards.load("prior.stand_ins")
    wild, real = (cards.row(card, people=p)["metrics"] for p in ("wild", tables.REAL))
    assert wild["hips"]["high"] < real["hips"]["low"]
    with torch.no_grad():
        live = tables.shape(domains.get("lab").sample(2000, 7).keypoints)
    assert live["hips"] > wild["hips"]["mean"]  # markers on the outside: the other way round


@pytest.mark.parametrize("name", ["quality", "layers"])
def test_cards_are_there_and_whole(name: str) -> None:
    card = cards.load(f"prior.{name}")
    measured = card["configuration"]["weights"]
    assert measured == checkpoints.digests(*measured)  # the weights that are shipped
    assert len(card["seeds"]) >= 3
    for row in card["rows"]:
        for metric in row["metrics"].values():
            assert len(metric["values"]) == len(card["seeds"])
            assert metric["low"] <= metric["mean"] <= metric["high"]
