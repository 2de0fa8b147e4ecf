"""The chapter's experiments, run small; and their cards."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from posenb import reconstruction
from posenb.course.teach import cards
from posenb.experiments import sweep
from posenb.experiments.reconstruction import adapting, bench, tables
from posenb.experiments.reconstruction.adapting import AdaptBench
from posenb.experiments.reconstruction.bench import Bench, Scene
from posenb.reconstruction.adapt import Adaptation, AdaptTask, FramePairs
from posenb.reconstruction.generation import Reconstructor
from posenb.reconstruction.kinematics import source_ranges
from posenb.reconstruction.networks import Detection, KeypointDetector
from posenb.reconstruction.training import DetectorRecipe
from posenb.world.rendering import render
from posenb.world.skeletons import BODY17

pytestmark = pytest.mark.slow

METRICS = {"PCK", "limbs", "depth (mm)", *bench.GROUPS}
SHIPPED = pytest.mark.skipif(
    "synthetic" not in reconstruction.detectors(), reason="the detector is not trained yet"
)


class Knowing(KeypointDetector):
    """Answers with the labels of a scene, moved by some share of the picture."""

    def __init__(self, scene: Scene, shift: float) -> None:
        super().__init__(widths=(8, 8, 8, 8))
        depth = scene.depth / scene.scale[:, None]
        answer = Detection(scene.keypoints + shift, torch.ones_like(depth), depth)
        self.answers = list(zip(*(part.split(100) for part in answer), strict=True))

    def forward(self, images: torch.Tensor) -> Detection:
        return Detection(*self.answers.pop(0))


def test_groups_hold_every_joint_once() -> None:
    joints = [joint for group in bench.GROUPS.values() for joint in group]
    assert sorted(joints) == sorted(BODY17.joints)


@pytest.mark.parametrize("scene", ["lab", tables.CLIP])
def test_scores_of_one_who_knows(scene: str) -> None:
    pictures = Bench(pictures=20).scene(scene, 64)
    right = bench.score(Knowing(pictures, 0.03), pictures)
    wrong = bench.score(Knowing(pictures, 0.04), pictures)  # 0.057 away
    assert set(right) == METRICS
    assert all(right[name] == 100 and wrong[name] == 0 for name in METRICS - {"depth (mm)"})
    assert right["depth (mm)"] == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("domain", tables.MEANS.values())
def test_a_constant_answer_is_the_mean_of_training_crops(domain: str) -> None:
    crops = render(domain, 12, 3, 48, split="train")
    found = Bench(3, pictures=12).constant(domain, answers=5)
    torch.testing.assert_close(found.keypoints[4], crops.keypoints.mean(0))
    assert (found.keypoints == found.keypoints[:1]).all() and found.depth.shape == (5, 17)
    scene = Bench(pictures=5).scene(domain, 32)
    right = bench.judge(found._replace(keypoints=scene.keypoints), scene)
    assert right["PCK"] == 100 > bench.judge(found, scene)["PCK"]


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
    scene = Bench().scene(tables.CLIP, 64)
    again = bench.judge(Bench().constant("synthetic", len(scene.images)), scene)
    row = next(r for r in blind["rows"] if r["pictures"] == tables.CLIP)
    for name, value in again.items():
        assert row["metrics"][name]["values"][0] == pytest.approx(value, abs=0.5), name


def test_the_real_man_has_a_human_size() -> None:
    scene = Bench().scene(tables.CLIP, 64)
    assert len(scene.images) == 200 and scene.counted.float().mean() > 0.9
    assert 0.2 < scene.scale.min() <= scene.scale.max() < 0.35
    assert scene.depth.abs()[scene.counted].max() < 1.2


def test_only_the_look_changes_along_the_gap() -> None:
    weak, strong = (Bench(pictures=6).scene("lab", 64, strength) for strength in (0.0, 1.0))
    limbs = [BODY17.index(joint) for joint in bench.GROUPS["wrists"]]
    torch.testing.assert_close(weak.keypoints[:, limbs], strong.keypoints[:, limbs])
    assert (weak.images - strong.images).abs().mean() > 0.05


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reconstruction")


@pytest.mark.parametrize("name", sorted(tables.TABLES.keys() - {"adaptation"}))
def test_tables_run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the training of their seed, which is kept where `train detector` keeps it."""
    real = sweep.run_table
    monkeypatch.setattr(
        sweep, "run_table", lambda *given, **more: real(*given, **more, folder=folder)
    )
    monkeypatch.setattr(bench, "CLIP_STRIDE", 20)
    tiny = DetectorRecipe(images=32, batch=32, size=32, views=1)
    card = tables.TABLES[name](seeds=(2,), folder=folder / "runs", pictures=4, training=tiny)
    assert card["name"] == f"reconstruction.{name}" and card["configuration"]["pictures"] == 4
    wide = {"PCK@0.1"} if name == "mean_pose" else set()
    for row in card["rows"]:
        assert set(row["metrics"]) == METRICS | wide
        assert all(math.isfinite(value["mean"]) for value in row["metrics"].values())
    found = [[value["mean"] for value in row["metrics"].values()] for row in card["rows"]]
    assert len({str(row) for row in found}) == len(found)  # rows differ in what they do
    if name == "detector":
        kept = sorted(file.name for file in (folder / "runs").glob("*.pt"))
        assert kept == ["lab-2.pt", "synthetic-2.pt"]


@SHIPPED
def test_the_card_is_that_of_the_shipped_detector() -> None:
    card = cards.load("reconstruction.detector")
    network = reconstruction.load_detector("synthetic")
    scene = Bench().scene("synthetic", network.size)
    row = next(
        r for r in card["rows"] if (r["detector"], r["pictures"]) == ("source only", "synthetic")
    )
    measured = bench.score(network, scene)
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


SMALL = AdaptBench(pairs=6, held_out=4, strides=(5, 6), recipe=Adaptation(steps=2, batch=2))


@pytest.fixture
def small_reconstructor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapting, "load_reconstructor", lambda name: Reconstructor(BODY17, 32))


@SHIPPED
@pytest.mark.usefixtures("small_reconstructor")
@pytest.mark.parametrize("method", adapting.METHODS)
def test_every_method_of_adaptation_can_be_measured(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[KeypointDetector] = []
    real = AdaptBench.adapted
    monkeypatch.setattr(
        AdaptBench, "adapted", lambda *given: found.append(real(*given)) or found[0]
    )
    scores = SMALL.measure(method)
    assert set(scores) == METRICS
    assert all(math.isfinite(value) for value in scores.values())
    moved = not torch.equal(found[0].head.weight, SMALL.start().head.weight)
    assert moved == (method != "source only")


def test_people_that_are_scored_are_others_than_those_learned_from() -> None:
    train, test = (SMALL.filmed(split, 32) for split in ("train", "test"))
    assert len(train) == 6 and len(test) == 4
    assert not set(train.subject) & set(test.subject)
    scene = SMALL.scene(32)
    assert len(scene.images) == 8 and scene.counted.all()  # nobody is cut off
    torch.testing.assert_close(scene.keypoints[4:], test.driving.keypoints)


def test_the_control_sees_the_picture_of_another_pair() -> None:
    """Its error is that of wrong pictures; with one pair there is none other, and it is equal."""
    pairs = SMALL.filmed("train", 96)
    cameras = pairs.base_camera, pairs.driving_camera
    frames = FramePairs(pairs.base.images, pairs.driving.images, *cameras)
    ranges = source_ranges("synthetic", BODY17, 100)
    given = (KeypointDetector(), SMALL.known(96), frames, ranges, Reconstructor(BODY17, 32))
    right, wrong = (kind(*given, SMALL.recipe, 0) for kind in (AdaptTask, adapting.ShuffledTask))
    for count, equal in ((1, True), (3, False)):
        images = pairs.base.images[:count], pairs.driving.images[:count]
        poses = torch.cat([pairs.driving.keypoints[:count], pairs.base.keypoints[:count]])
        errors = [float(task.rebuilding_error(*images, poses)[0]) for task in (right, wrong)]
        assert (errors[0] == errors[1]) == equal and errors[0] <= errors[1]
