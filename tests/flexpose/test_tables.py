from __future__ import annotations

import dataclasses

import pytest
import torch

from posenb import prior
from posenb.flexpose import Recipe, files, tables
from posenb.prior.tables import digests
from posenb.teach import cards
from posenb.train.sweep import card_path
from posenb.world import domains
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17

COUNT = 150


def test_alike_changes_the_crop_and_nothing_else():
    lab, wild = domains.get("lab"), domains.get("wild")
    changed = tables.alike("lab")
    assert (changed.crop, changed.margin) == (wild.crop, wild.margin) != (lab.crop, lab.margin)
    assert dataclasses.replace(changed, crop=lab.crop, margin=lab.margin) == lab


def test_shots_come_from_training_poses_and_move_with_the_seed():
    domain = tables.alike("lab")
    first, second = tables.shots(domain, 2, 0), tables.shots(domain, 2, 1)
    assert len(first) == 30
    assert not torch.equal(first.keypoints, second.keypoints)
    held_out = set(domain.sample(500, 0, "test").subject)
    assert not held_out & set(first.subject)


@pytest.mark.parametrize("row", [tables.FLOOR, tables.TRAINING, *tables.METHODS])
def test_every_row_of_table_1_can_be_measured(row):
    trains = row in tables.METHODS and tables.METHODS[row][0] in tables.TRAINED
    quick = {"recipe": Recipe(1, 8)} if trains else {}
    found = tables.run(row, "wild", tables.alike("lab"), 0, COUNT, **quick)
    painted = trains or row == "source only"
    assert set(found) - ({"misread"} if painted else set()) == {
        "FD", "MMD2", "recall", "precision", "spread",
        "bone violations", "size violations", "joint violations",
    }  # fmt: skip
    assert ("misread" in found) == painted
    assert found["FD"] > 0
    if row == tables.FLOOR:
        assert found["FD"] < 0.1


def test_misread_finds_what_beta_does_not_see():
    """A generator whose pictures have ink that no keypoint explains is found out."""
    name = "source only"
    honest = tables.METHODS[name][0](
        prior.load_generator("wild"), tables.shots(tables.alike("lab"), 1, 0)
    )

    class Smeared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = honest.generator

        def sample_z(self, count, random):
            return self.inner.sample_z(count, random)

        def forward(self, z, truncation=1.0, noise=None):
            image = self.inner(z).clone()
            image[..., :8, :] = 1.0
            return image

    smeared = dataclasses.replace(honest, generator=Smeared())
    clean = tables.misread(honest, 0, 64)
    assert 0 < clean < 0.5
    assert tables.misread(smeared, 0, 64) > 2 * clean


def test_cards_say_how_each_row_was_trained():
    found = tables.plain(*tables.METHODS["FlexPose"])
    assert found["recipe"]["steps"] == Recipe().steps
    assert "recipe" not in tables.plain(*tables.METHODS["bootstrap of the shots"])


def test_recorded_poses_are_split_by_subject_and_not_repeated():
    random = torch.Generator().manual_seed(0)
    subjects = tuple(f"person {i // 3}" for i in range(60))
    poses = PoseSet(
        torch.rand(60, 17, 2, generator=random), None, None, ("unknown",) * 60, subjects, BODY17
    )
    target = tables.Recorded(poses)
    train, test = target.sample(1000, 0), target.sample(1000, 0, "test")
    assert len(train) + len(test) == 60
    assert not set(train.subject) & set(test.subject)
    assert len(target.sample(5, 1)) == 5
    assert len(torch.unique(train.keypoints.flatten(1), dim=0)) == len(train)


@pytest.mark.parametrize("name", sorted(tables.TABLES))
def test_cards_are_of_the_shipped_weights(name):
    if name != "table1" and not card_path(f"flexpose.{name}").is_file():
        pytest.skip(f"flexpose.{name} is not in the repository")
    weights = cards.load(f"flexpose.{name}")["configuration"]["weights"]
    assert weights == digests(*weights)


def test_targets_are_domains_or_files(tmp_path):
    assert tables.find_target("lab") == tables.alike("lab")
    with pytest.raises(ValueError, match="coco:PATH or mpii:PATH"):
        tables.find_target("h36m:somewhere")
    with pytest.raises(ValueError, match="no domain 'nowhere'"):
        tables.find_target("nowhere")
    poses = domains.get("lab").sample(40, 0)
    json = next(p for p in files.write_poses(poses, tmp_path) if p.suffix == ".json")
    target = tables.find_target(f"coco:{json}")
    both = torch.cat([target.sample(99, 0, split).keypoints for split in ("train", "test")])
    assert len(both) == 40
    extent = (both.amax(1) - both.amin(1)).amax(1)
    torch.testing.assert_close(extent, torch.full((40,), 0.8))  # cropped as wild is
    assert hash(target) == hash(tables.find_target(f"coco:{json}"))
    assert target == tables.find_target(f"coco:{json}")
