"""The chapter's experiments, run very small: what they measure, and from what."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_scales import TINY_POSYNDA

from posenb import __main__ as command
from posenb.experiments import sweep
from posenb.experiments.posynda import bench, recorded, tables
from posenb.experiments.posynda.bench import TEACHING, Bench, cost, errors, several
from posenb.posynda import MixSTE, VideoPose, networks, windows
from posenb.posynda.augmentation import total_length
from posenb.posynda.hypotheses import project
from posenb.world.clips import load_real_clip
from posenb.world.skeletons import BODY17

pytestmark = pytest.mark.slow

SCORES = {"MPJPE", "P-MPJPE", "PCK", "AUC"}
WAYS = {"MPJPE mean", "MPJPE rays", "MPJPE oracle"}
BODIES = ("adult", "usual", "known")
COSTS = {"parameters (K)", "GFLOPs", "GFLOPs a step"}
METRICS = {
    "table2": SCORES | WAYS,
    "table3": SCORES | WAYS | COSTS,
    "conditions": SCORES | WAYS,
    "table5": SCORES | WAYS | {"MPJPE pose", "MPJPE joint"},
    "table6": SCORES | WAYS | COSTS,
    "table7": SCORES | WAYS | COSTS,
    "table8": SCORES | WAYS | COSTS | {"MPJPE before"},
    "frontier": SCORES | WAYS | {"ms"},
    "clip": SCORES | {"MPJPE mean"},
    "sizes": {"MPJPE", "size", "scale"} | {f"MPJPE {w}" for w in ("one scale", *BODIES)},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("posynda")


@pytest.mark.parametrize("name", tables.TABLES)
def test_tables_run(name, folder, monkeypatch):
    real = sweep.run_table

    def run_table(name, rows, *rest, **options):  # every fifth row, so that this takes seconds
        return real(name, rows[::5], *rest, **options, folder=folder, progress=False)

    monkeypatch.setattr(sweep, "run_table", run_table)
    monkeypatch.setattr(recorded, "CLIP_STRIDE", 20)
    monkeypatch.setattr(tables, "PAPER", {"width": 16, "depth": 1, "heads": 2, "frames": 5})
    places = {} if name == "sizes" else {"folder": folder}  # it lifts with what is shipped
    card = tables.TABLES[name](seeds=(0,), scale=TINY_POSYNDA, **places)
    assert card["name"] == f"posynda.{name}" and sweep.card_path(card["name"], folder).exists()
    for row in card["rows"]:
        assert set(row["metrics"]) == METRICS[name]
        assert all(math.isfinite(value["mean"]) for value in row["metrics"].values())
    found = [row["metrics"]["MPJPE"]["mean"] for row in card["rows"]]
    assert len(set(found)) == len(found)  # rows differ in what they do


def test_finished_lifters_are_not_trained_again(folder, monkeypatch):
    first = Bench(scale=TINY_POSYNDA, folder=folder).start()
    monkeypatch.setattr(bench.GaussianDiffusion, "q_sample", None)  # a step would need it
    again = Bench(scale=TINY_POSYNDA, folder=folder).start()
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_checkpoints_keep_their_names(tmp_path):
    """Else all that was trained before would be trained again."""
    for lifter, name in (
        (TEACHING.mixste, "MixSTE_da2b95f2_seed2.pt"),
        (TEACHING.videopose, "VideoPose_28688482_seed2.pt"),
    ):
        assert Bench(2, folder=tmp_path).of(lifter).checkpoint() == tmp_path / name


def test_only_the_oracle_sees_labels_of_the_target(folder, monkeypatch):
    real, here = windows.sample, Bench(scale=TINY_POSYNDA, folder=folder)

    def blind(domain, count, seed, frames, split="train", fps=50.0):
        found = real(domain, count, seed, frames, split, fps=fps)
        if split == "test" or domain == windows.domain("lab"):
            return found
        camera = replace(
            found.camera,
            rotation=torch.full_like(found.camera.rotation, torch.nan),
            translation=torch.full_like(found.camera.translation, torch.nan),
        )
        hidden = ("",) * count
        return replace(
            found, joints3d=None, root=None, camera=camera, action=hidden, subject=hidden
        )

    def scores(recipe):
        return here.score(here.method(recipe, "stage"), "stage")

    recipes = tables.METHODS.items()
    try:
        before = {name: scores(recipe) for name, recipe in recipes}
        bench.people.cache_clear()
        monkeypatch.setattr(windows, "sample", blind)
        for name, recipe in recipes:
            assert scores(recipe) == before[name], name
        with pytest.raises(ValueError, match="no 3D"):
            here.method(None, "stage", labelled=True)
    finally:
        bench.people.cache_clear()


def test_counts_are_those_of_table_3_at_the_papers_size():
    """Table 3 has 277.26, 278.88 and 836.65 GFLOPs: all but attention's products."""
    with torch.device("meta"):
        model = MixSTE(**networks.PAPER)
    pairs = 243 * 17**2 + 17 * 243**2
    attention = 8 * 2 * 2 * pairs * 512 / 1e9  # q k^T, and times v, of each of 8 blocks of a kind
    names = (tables.ONLY, "+ F + LoRA + bias", "+ F + LoRA + bias + teacher, as printed")
    source, adapted, printed = (cost(model, tables.LADDER[name]) for name in names)
    assert source["GFLOPs"] - attention == pytest.approx(277.26, abs=0.005)
    assert adapted["GFLOPs"] - attention == pytest.approx(278.88, abs=0.01)
    assert printed["GFLOPs"] - 3 * attention == pytest.approx(836.65, abs=0.02)
    assert adapted["parameters (K)"] == printed["parameters (K)"] == 196.659
    assert source["parameters (K)"] == 0


def test_counts_are_those_of_the_layers():
    """Per frame: a convolution of width 3 in and out, two blocks, the clock and the last layer."""
    model = VideoPose(frames=5, width=16)
    first, block, last = 3 * 5 * 17 * 16, 3 * 16 * 16 + 16 * 16, 16 * 51
    clock = 64 * 32 + 32 * 16
    expected = 2 * (5 * (first + 2 * block + last) + clock)
    assert cost(model, None)["GFLOPs"] == pytest.approx(expected / 1e9)


def test_scores_know_millimetres_and_per_cent():
    truth = torch.zeros(2, 3, 17, 3)
    truth[..., 1:, 1] = torch.linspace(-0.8, 0.8, 16)
    truth[..., 1:, 0] = torch.linspace(0.0, 0.3, 16).square()
    found = truth.clone()
    found[..., 1, 2] += 0.17
    scores = errors(found, truth)
    assert scores["MPJPE"] == pytest.approx(10.0, rel=1e-4)
    assert scores["PCK"] == pytest.approx(100 * 16 / 17)
    assert scores["AUC"] == pytest.approx(100 * 16 / 17) and scores["P-MPJPE"] > 0
    counted = torch.ones(2, 3, 17, dtype=torch.bool)
    counted[..., 1] = False
    assert errors(found, truth, counted)["MPJPE"] == 0
    assert errors(1.1 * truth, truth)["P-MPJPE"] == pytest.approx(0, abs=1e-3)


def test_joints_that_do_not_count_change_no_score():
    test = Bench(scale=TINY_POSYNDA).test("stage")
    keypoints = test.keypoints.clone()
    keypoints[..., 9, :] = torch.nan
    test = replace(test, keypoints=keypoints)
    counted = torch.ones(6, 5, 17, dtype=torch.bool)
    counted[..., 9], counted[0, 2] = False, False
    found = test.joints3d[:, None] + torch.linspace(-0.03, 0.04, 3)[:, None, None, None]
    moved = found.clone()
    moved[..., 9, :] += torch.linspace(5.0, -5.0, 3)[:, None, None]
    one, other = (several(poses, test, counted) for poses in (found, moved))
    assert one == other and one["MPJPE"] == pytest.approx(30 * 3**0.5, rel=1e-3)
    assert one != several(found, test)
    assert one["MPJPE oracle"] == pytest.approx(5 * 3**0.5, rel=1e-3)


def test_the_real_mans_joints_project_to_what_was_seen():
    """So units, cameras and labels of the clip fit each other, in all views."""
    keypoints, camera = tables.seen((0, 1, 2, 3), 60)
    truth, counted = tables.labels((0, 1, 2, 3), 60)
    clip = load_real_clip(size=16)
    root = torch.stack([clip.cameras[v].to_camera(clip.joints3d[:, :1]) for v in range(4)])
    found = project(truth + root, camera)
    gap = (found - keypoints).norm(dim=-1)[counted & ~keypoints.isnan().any(-1)]
    assert gap.median() * 960 < 12 and gap.quantile(0.95) * 960 < 30  # original pixels
    assert counted.float().mean() > 0.9 and not truth[:, :, 0].any()
    assert torch.equal(keypoints.isnan().any(-1), clip.confidence == 0)
    assert camera.distortion is None


def test_what_is_learned_from_the_clip_has_no_place_in_it():
    keypoints, camera = tables.unlabelled((0, 2), 9, 60)
    everything, lens = tables.seen((0, 2), 60)
    assert keypoints.shape[1:] == (9, 17, 2) and len(camera.focal) == len(keypoints)
    assert torch.equal(camera.rotation, torch.eye(3).expand_as(camera.rotation))
    assert not camera.translation.any()
    half = len(keypoints) // 2
    torch.testing.assert_close(keypoints[half + 1], everything[1, 1:10], equal_nan=True)
    assert torch.equal(camera.focal[half], lens.focal[1])


def test_a_slower_rate_shares_the_frames_out():
    keypoints, camera = tables.seen((0, 2), 60)
    truth, _ = tables.labels((0, 2), 60)
    slower, cameras = tables.seen((0, 2), 15)
    slow_truth, counted = tables.labels((0, 2), 15)
    assert (
        slower.shape[:2]
        == slow_truth.shape[:2]
        == counted.shape[:2]
        == cameras.focal.shape[:1] + (25,)
    )
    torch.testing.assert_close(slower[5], keypoints[1, 1::4], equal_nan=True)
    torch.testing.assert_close(slow_truth[5], truth[1, 1::4])
    assert torch.equal(cameras.focal[5], camera.focal[1])
    with pytest.raises(ValueError, match="15 or 30"):
        tables.seen((0,), 50)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.3])
def test_sizes_and_what_mends_them(factor):
    people = windows.sample(tables.changed("lab"), 4, 0, 5, "test")
    scores = tables.size_scores(factor * people.joints3d, people)
    error = 1000 * float(people.joints3d.norm(dim=-1).mean())
    assert scores["size"] == pytest.approx(100 * factor, rel=1e-4)
    assert scores["scale"] == pytest.approx(100 * factor, rel=1e-4)
    assert scores["MPJPE"] == pytest.approx(abs(factor - 1) * error, rel=1e-3, abs=1e-2)
    for way in ("known", "one scale"):
        assert scores[f"MPJPE {way}"] == pytest.approx(0, abs=1e-2)
    if factor != 1.0:
        assert 0 < scores["MPJPE adult"] < scores["MPJPE"]


@pytest.mark.parametrize(("body", "focal", "distance"), [(0.9, 1, 1), (1.1, 1.2, 1), (1, 1, 1.3)])
def test_a_world_changes_what_it_says_and_nothing_else(body, focal, distance):
    usual, other = (
        windows.sample(tables.changed("stage", *numbers), 5, 0, 3)
        for numbers in ((), (body, focal, distance))
    )
    grown = total_length(other.joints3d, BODY17) / total_length(usual.joints3d, BODY17)
    torch.testing.assert_close(grown, torch.full_like(grown, body))
    torch.testing.assert_close(other.camera.focal, focal * usual.camera.focal)
    place = [
        -(w.camera.rotation.mT @ w.camera.translation[..., None])[..., 0] for w in (usual, other)
    ]
    aim = torch.tensor([0.0, 0.9, 0.0])
    torch.testing.assert_close(place[1] - aim, distance * (place[0] - aim), rtol=1e-3, atol=1e-3)
    assert usual.subject == other.subject


def test_the_command_knows_the_tables(capsys):
    assert command.main(["table", "posynda.table9"]) == 2
    assert "table2, table3" in capsys.readouterr().err
    assert command.main(["table", "posynda.table3", "--target", "lab"]) == 2
    assert "has no --target" in capsys.readouterr().err
