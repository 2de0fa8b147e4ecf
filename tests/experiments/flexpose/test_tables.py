from __future__ import annotations

import dataclasses

import pytest
import torch

from posenb import __main__ as command_line
from posenb import flexpose, prior
from posenb.course.teach import cards
from posenb.experiments import sweep
from posenb.experiments.flexpose import bench, tables
from posenb.experiments.sweep import card_path
from posenb.flexpose import Recipe, files
from posenb.train import checkpoints
from posenb.train.checkpoints import digests
from posenb.world import datasets, domains, faces
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17, FACE68

pytestmark = pytest.mark.slow

COUNT = 150


def test_alike_changes_the_crop_and_nothing_else():
    lab, wild = domains.get("lab"), domains.get("wild")
    changed = bench.alike("lab")
    assert (changed.crop, changed.margin) == (wild.crop, wild.margin) != (lab.crop, lab.margin)
    assert dataclasses.replace(changed, crop=lab.crop, margin=lab.margin) == lab


def test_shots_come_from_training_poses_and_move_with_the_seed():
    domain = bench.alike("lab")
    first, second = bench.shots(domain, 2, 0), bench.shots(domain, 2, 1)
    assert len(first) == 30
    assert not torch.equal(first.keypoints, second.keypoints)
    held_out = set(domain.sample(500, 0, "test").subject)
    assert not held_out & set(first.subject)


@pytest.mark.parametrize("row", [bench.FLOOR, bench.TRAINING, *bench.METHODS])
def test_every_row_of_table_1_can_be_measured(row):
    trains = row in bench.METHODS and bench.METHODS[row][0] in bench.TRAINED
    quick = {"recipe": Recipe(1, 8)} if trains else {}
    found = bench.Bench(count=COUNT).run(row, **quick)
    painted = trains or row == "source only"
    assert set(found) - ({"misread"} if painted else set()) == {
        "FD", "MMD2", "recall", "precision", "spread",
        "bone violations", "size violations", "joint violations",
    }  # fmt: skip
    assert ("misread" in found) == painted
    assert found["FD"] > 0
    if row == bench.FLOOR:
        assert found["FD"] < 0.1


def test_misread_finds_what_beta_does_not_see():
    """A generator whose pictures have ink that no keypoint explains is found out."""
    name = "source only"
    honest = bench.METHODS[name][0](
        prior.load_generator("wild"), bench.shots(bench.alike("lab"), 1, 0)
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
    clean = bench.misread(honest, 0, 64)
    assert 0 < clean < 0.5
    assert bench.misread(smeared, 0, 64) > 2 * clean


@pytest.mark.parametrize("label", tables.TRIED)
def test_recipes_are_those_with_the_lowest_distance_on_another_target(label):
    tried = [row for row in cards.load("flexpose.tuning")["rows"] if row["poses"] == label]
    best = min(
        (row for row in tried if not row["change"]), key=lambda row: row["metrics"]["FD"]["mean"]
    )
    recipe = bench.plain(*bench.METHODS[label])["recipe"]
    assert (recipe["learning_rate"], recipe["steps"]) == (best["rate"], best["steps"])
    assert recipe["batch"] == best["batch"]


def test_cards_say_how_each_row_was_trained():
    found = bench.plain(*bench.METHODS["FlexPose"])
    assert found["recipe"]["steps"] == Recipe().steps
    assert "recipe" not in bench.plain(*bench.METHODS["bootstrap of the shots"])


def test_recorded_poses_are_split_by_subject_and_not_repeated():
    random = torch.Generator().manual_seed(0)
    subjects = tuple(f"person {i // 3}" for i in range(60))
    poses = PoseSet(
        torch.rand(60, 17, 2, generator=random), None, None, ("unknown",) * 60, subjects, BODY17
    )
    target = bench.RecordedPoses(poses)
    train, test = target.sample(1000, 0), target.sample(1000, 0, "test")
    assert len(train) + len(test) == 60
    assert not set(train.subject) & set(test.subject)
    assert len(target.sample(5, 1)) == 5
    assert len(torch.unique(train.keypoints.flatten(1), dim=0)) == len(train)


@pytest.mark.parametrize(
    ("pictures", "people", "why"),
    [(1, 12, "12 people .* in 1 pictures"), (2, 9, "18 people"), (3, 1, "leaves 1 people")],
)
def test_too_few_pictures_to_hold_any_out_are_named(pictures, people, why):
    subjects = tuple(f"image {i} / person {j}" for i in range(pictures) for j in range(people))
    count = len(subjects)
    points = torch.rand(count, 17, 2, generator=torch.Generator().manual_seed(0))
    poses = PoseSet(points, None, None, ("unknown",) * count, subjects, BODY17)
    with pytest.raises(ValueError, match=f"{why}"):
        bench.RecordedPoses(poses)


@pytest.mark.parametrize("name", sorted(tables.TABLES))
def test_cards_are_of_the_shipped_weights(name):
    if name != "table1" and not card_path(f"flexpose.{name}").is_file():
        pytest.skip(f"flexpose.{name} is not in the repository")
    weights = cards.load(f"flexpose.{name}")["configuration"]["weights"]
    assert weights == digests(*weights)


def test_targets_are_domains_or_files(tmp_path):
    assert bench.find_target("lab") == bench.alike("lab")
    with pytest.raises(ValueError, match="coco:PATH or mpii:PATH"):
        bench.find_target("h36m:somewhere")
    with pytest.raises(ValueError, match="no domain 'nowhere'"):
        bench.find_target("nowhere")
    poses = domains.get("lab").sample(40, 0)
    json = next(p for p in files.write_poses(poses, tmp_path) if p.suffix == ".json")
    target = bench.find_target(f"coco:{json}")
    both = torch.cat([target.sample(99, 0, split).keypoints for split in ("train", "test")])
    assert len(both) == 40
    extent = (both.amax(1) - both.amin(1)).amax(1)
    torch.testing.assert_close(extent, torch.full((40,), 0.8))  # cropped as wild is
    assert hash(target) == hash(bench.find_target(f"coco:{json}"))
    assert target == bench.find_target(f"coco:{json}")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A data file and the folder of a prior that was trained on it, for one step."""
    folder = tmp_path_factory.mktemp("own")
    files.write_poses(domains.get("synthetic").sample(40, 0), folder)
    name = f"coco:{folder / 'poses.json'}"
    few = ["--small-images", "0", "--images", "32", "--folder", str(folder)]
    assert command_line.main(["train", "prior", "--domain", name, *few]) == 0
    return name, folder / datasets.short_name(name)


def test_a_prior_of_a_file_is_a_source_like_the_shipped(own, monkeypatch):
    _, folder = own
    generator, readers = prior.load_generator(folder), flexpose.Readers.load(folder)
    critic = checkpoints.load_weights(f"prior_{folder.name}_discriminator_64", folder)
    assert checkpoints.state_hash(readers.critic.state_dict()) == checkpoints.state_hash(critic)
    shipped = flexpose.Readers.load("wild")  # its beta and Gamma, and not its critic
    assert readers.digest() != shipped.digest()
    assert readers.digest() == dataclasses.replace(shipped, critic=readers.critic).digest()
    guides = bench.shots(bench.alike("lab"), 1, 0)
    adapted = flexpose.adapt(generator, guides, recipe=Recipe(1, 8), progress=False)
    assert flexpose.sample(adapted, 3, 0).keypoints.shape == (3, 17, 2)
    monkeypatch.setattr(bench, "misread", lambda *_: 0.0)
    found = bench.Bench(source=str(folder), count=COUNT).run("source only")
    assert found["FD"] > 1  # one step has not taught it much


def test_cards_tell_sources_and_targets_apart(own, monkeypatch):
    written = {}

    def run_table(name, *_, configuration, **__):
        written[name] = configuration

    monkeypatch.setattr(sweep, "run_table", run_table)
    name, folder = own
    for options in ({}, {"source": "stage"}, {"source": str(folder)},
                    {"source": "stage", "target": name}, {"target": name}):  # fmt: skip
        tables.TABLES["table1"](**options)
    weights = f"{folder.name}_{digests(f'prior_{folder.name}', folder=folder).popitem()[1][:8]}"
    assert [card.removeprefix("flexpose.table1") for card in written] == [
        "", "_from_stage", f"_from_{weights}", f"_{folder.name}_from_stage", f"_{folder.name}",
    ]  # fmt: skip
    readers = digests("prior_regressor", "prior_features")
    shipped = written["flexpose.table1"]["weights"]
    assert shipped == digests("prior_wild", "prior_wild_discriminator_64") | readers
    names = (f"prior_{folder.name}", f"prior_{folder.name}_discriminator_64")
    found = written[f"flexpose.table1_from_{weights}"]["weights"]
    assert found == digests(*names, folder=folder) | readers
    assert written[f"flexpose.table1_{folder.name}"]["weights"] == shipped
    with pytest.raises(ValueError, match="was trained on all poses of coco:"):
        tables.TABLES["table1"](source=str(folder), target=name)
    with pytest.raises(ValueError, match="no generator 'nowhere'.* has ended"):
        tables.TABLES["table1"](source="nowhere")


def test_targets_are_cropped_as_their_source(own):
    stage = domains.get("stage")
    assert bench.find_target("lab", "stage") == bench.alike("lab", "stage")
    assert bench.find_target("lab", "union") == bench.alike("lab")
    found = bench.find_target(own[0], "stage").sample(40, 0, "test").keypoints
    extent = (found.amax(1) - found.amin(1)).amax(1)
    torch.testing.assert_close(extent, torch.full_like(extent, 1 / stage.margin))


def test_faces_are_a_target_of_faces_alone():
    like, wild = faces.get("faces_video"), faces.get("faces_wild")
    found = bench.find_target("faces_wild", "faces_video")
    crop = {"margin": like.margin, "lift": like.lift, "crop_noise": like.crop_noise}
    assert found == dataclasses.replace(wild, **crop) != wild
    guides = bench.shots(found, 2, 0)
    assert guides.skeleton == FACE68
    assert sorted(guides.action) == sorted(2 * list(dict.fromkeys(n for n, _ in wild.expressions)))
    ruler = bench.reference(found, 0, COUNT)
    assert ruler.measure(ruler.other)["FD"] < ruler.measure(like.sample(COUNT, 0).keypoints)["FD"]
    for target, source in (("faces_wild", "wild"), ("lab", "faces_video")):
        with pytest.raises(ValueError, match=f"there is no (face )?domain '{source}'"):
            bench.find_target(target, source)


def test_the_command_passes_source_and_target_on(own, monkeypatch, capsys):
    given = {}

    def call(experiment, jobs, **options):
        given.update(options)
        return {"name": experiment.name}

    monkeypatch.setattr(sweep.Experiment, "__call__", call)
    source = ["--source", str(own[1])]
    assert command_line.main(["table", "flexpose.table1", *source, "--target", own[0]]) == 0
    assert given == {"source": str(own[1]), "target": own[0]}
    assert command_line.main(["table", "flexpose.layers", *source]) == 2
    assert "flexpose.layers has no --source" in capsys.readouterr().err
