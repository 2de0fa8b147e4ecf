"""The chapter's experiments, run small; and their cards."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from posenb import reconstruction
from posenb.course.teach import cards
from posenb.experiments.reconstruction import tables
from posenb.reconstruction.networks import Detection, KeypointDetector
from posenb.world.skeletons import BODY17

pytestmark = pytest.mark.slow

METRICS = {"PCK", "limbs", "depth (mm)", *tables.GROUPS}
SHIPPED = pytest.mark.skipif(
    "synthetic" not in reconstruction.detectors(), reason="the detector is not trained yet"
)


class Knowing(KeypointDetector):
    """Answers with the labels of a scene, moved by some share of the picture."""

    def __init__(self, scene: tables.Scene, shift: float) -> None:
        super().__init__(widths=(8, 8, 8, 8))
        depth = scene.depth / scene.scale[:, None]
        answer = Detection(scene.keypoints + shift, torch.ones_like(depth), depth)
        self.answers = list(zip(*(part.split(100) for part in answer), strict=True))

    def forward(self, images: torch.Tensor) -> Detection:
        return Detection(*self.answers.pop(0))


def test_groups_hold_every_joint_once() -> None:
    joints = [joint for group in tables.GROUPS.values() for joint in group]
    assert sorted(joints) == sorted(BODY17.joints)


@pytest.mark.parametrize("scene", ["lab", tables.CLIP])
def test_scores_of_one_who_knows(scene: str) -> None:
    pictures = tables.recorded(64) if scene == tables.CLIP else tables.rendered(scene, 0, 64, 20)
    right = tables.score(Knowing(pictures, 0.03), pictures)
    wrong = tables.score(Knowing(pictures, 0.04), pictures)  # 0.057 away
    assert set(right) == METRICS
    assert all(right[name] == 100 and wrong[name] == 0 for name in METRICS - {"depth (mm)"})
    assert right["depth (mm)"] == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("domain", tables.MEANS.values())
def test_a_constant_answer_is_the_mean_of_training_crops(domain: str) -> None:
    crops = tables.render(domain, 12, 3, 48, split="train")
    found = tables.constant(domain, 3, answers=5, count=12)
    torch.testing.assert_close(found.keypoints[4], crops.keypoints.mean(0))
    assert (found.keypoints == found.keypoints[:1]).all() and found.depth.shape == (5, 17)
    scene = tables.rendered(domain, 0, 32, 5)
    right = tables.judge(found._replace(keypoints=scene.keypoints), scene)
    assert right["PCK"] == 100 > tables.judge(found, scene)["PCK"]


def test_who_never_looks_is_scored_as_the_detector_is() -> None:
    blind, looking = cards.load("reconstruction.mean_pose"), cards.load("reconstruction.detector")
    assert blind["seeds"] == looking["seeds"]
    for key in ("pictures", "threshold", "clip_stride"):
        assert blind["configuration"][key] == looking["configuration"][key]
    found = {
        (row["detector"], row["pictures"]): row["metrics"]["PCK"]["mean"]
        for card in (blind, looking)
        for row in card["rows"]
    }
    for name, domain in tables.LEARNED_FROM.items():  # at home, looking helps
        assert found[f"mean pose of {domain}", domain] < found[name, domain] - 10
    scene = tables.recorded(64)
    again = tables.judge(tables.constant("synthetic", 0, len(scene.images)), scene)
    row = next(r for r in blind["rows"] if r["pictures"] == tables.CLIP)
    for name, value in again.items():
        assert row["metrics"][name]["values"][0] == pytest.approx(value, abs=0.5), name


def test_the_real_man_has_a_human_size() -> None:
    scene = tables.recorded(64)
    assert len(scene.images) == 200 and scene.counted.float().mean() > 0.9
    assert 0.2 < scene.scale.min() <= scene.scale.max() < 0.35
    assert scene.depth.abs()[scene.counted].max() < 1.2


def test_only_the_look_changes_along_the_gap() -> None:
    weak, strong = (tables.rendered("lab", 0, 64, 6, strength) for strength in (0.0, 1.0))
    limbs = [BODY17.index(joint) for joint in tables.GROUPS["wrists"]]
    torch.testing.assert_close(weak.keypoints[:, limbs], strong.keypoints[:, limbs])
    assert (weak.images - strong.images).abs().mean() > 0.05


def test_rows_are_measured_with_the_training_of_their_seed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, int]] = []

    def network(recipe: reconstruction.training.DetectorRecipe, folder: Path) -> KeypointDetector:
        asked.append((recipe.domain, recipe.seed))
        return KeypointDetector(widths=(8, 8, 8, 8)).eval()

    monkeypatch.setattr(tables, "trained", network)
    row = tables.detector_row(tables.ORACLE, "outdoor", 2, tmp_path, count=8)
    assert asked == [("lab", 2)]
    assert set(row) == METRICS and all(math.isfinite(value) for value in row.values())


@SHIPPED
def test_the_card_is_that_of_the_shipped_detector() -> None:
    card = cards.load("reconstruction.detector")
    network = reconstruction.load_detector("synthetic")
    scene = tables.rendered("synthetic", 0, network.size)
    row = next(
        r for r in card["rows"] if (r["detector"], r["pictures"]) == ("source only", "synthetic")
    )
    measured = tables.score(network, scene)
    for name, value in measured.items():
        assert row["metrics"][name]["values"][0] == pytest.approx(value, abs=0.5), name


@SHIPPED
def test_the_gap_is_wide_enough_to_be_worth_closing() -> None:
    card = cards.load("reconstruction.detector")
    pck = {(r["detector"], r["pictures"]): r["metrics"]["PCK"]["mean"] for r in card["rows"]}
    assert pck["source only", "synthetic"] - pck["source only", "lab"] > 15
    assert pck["oracle", "lab"] - pck["source only", "lab"] > 15
    steps = [r["metrics"]["PCK"]["mean"] for r in cards.load("reconstruction.gap")["rows"]]
    assert steps[0] - steps[-1] > 12 and sorted(steps, reverse=True) == steps
