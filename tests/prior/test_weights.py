"""The shipped networks: they load, they are as good as stated, and bad files are named."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from posenb import __main__ as command_line
from posenb import assets, prior
from posenb.measure.distributions import frechet_distance, spread_ratio
from posenb.prior import training, weights
from posenb.prior.losses import perceptual_loss
from posenb.prior.training import corrupt
from posenb.train import checkpoints
from posenb.world import domains, faces
from posenb.world.drawing import draw_skeletons
from posenb.world.skeletons import BODY17, FACE68, HAND21

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def regressor() -> prior.KeypointRegressor:
    return prior.load_regressor()


def test_all_sources_are_there_and_wild_comes_first() -> None:
    assert prior.generators() == ("wild", "stage", "synthetic", "union")


@pytest.mark.parametrize("name", prior.generators(None))
def test_provenance_says_how_to_make_them_again(name: str) -> None:
    record = checkpoints.load_provenance(f"prior_{name}")
    options = command_line._parser().parse_args(record["command"].split()[3:])
    recipe = command_line.recipe(options)
    assert record["command"].startswith(f"python -m posenb train prior --domain {name} ")
    assert json.loads(json.dumps(asdict(recipe))) == record["configuration"]
    assert record["configuration"]["images"] > 0 and record["wall_seconds"] > 60
    assert len(record["data_hash"]) == 64


@functools.cache
def drawn(name: str) -> Tensor:
    """600 poses of a shipped generator."""
    generator = prior.load_generator(name)
    regressor = prior.load_regressor(skeleton=weights.skeleton_of(name))
    return prior.sample(generator, regressor, 600, seed=0)


@pytest.mark.parametrize("name", prior.generators())
def test_generated_poses_are_those_of_the_domain(name: str) -> None:
    """Near to their own sources, far nearer than `wild` is, where they started; and various."""
    sources = {n: (n,) for n in training.SOURCES} | {"union": training.SOURCES}
    real = torch.cat([domains.get(n).sample(1200 // len(sources[name]), 0).keypoints
                      for n in sources[name]])  # fmt: skip
    own = frechet_distance(drawn(name), real)
    assert own < 0.07
    assert name == "wild" or own < frechet_distance(drawn("wild"), real) / 3
    assert spread_ratio(drawn(name), real) > 0.6


@pytest.mark.parametrize("name", prior.generators(FACE68))
def test_generated_faces_are_those_of_the_domain(name: str) -> None:
    other = "faces_wild" if name == "faces_video" else "faces_video"
    real, far = (faces.get(n).sample(1200, 0, "test").keypoints for n in (name, other))
    assert frechet_distance(drawn(name), real) < frechet_distance(far, real) / 5
    assert spread_ratio(drawn(name), real) > 0.6


def test_sampling_is_seeded_and_batched(regressor: prior.KeypointRegressor) -> None:
    generator = prior.load_generator("wild")
    first = prior.sample(generator, regressor, 20, seed=1, batch=20)
    assert first.shape == (20, 17, 2)
    torch.testing.assert_close(prior.sample(generator, regressor, 20, seed=1, batch=7), first)
    assert not torch.allclose(prior.sample(generator, regressor, 20, seed=2), first)
    narrow = prior.sample(generator, regressor, 20, seed=1, truncation=0.2)
    assert narrow.var(0).sum() < 0.7 * first.var(0).sum()


@pytest.mark.parametrize("name", domains.names())
def test_beta_reads_every_domain(name: str, regressor: prior.KeypointRegressor) -> None:
    """To a pixel of 64 on clean images, and little worse on damaged ones."""
    keypoints = domains.get(name).sample(150, 0, "test").keypoints
    images = draw_skeletons(keypoints, BODY17, 64)
    with torch.no_grad():
        clean = (regressor(images) - keypoints).norm(dim=-1).mean()
        damaged = corrupt(images, torch.Generator().manual_seed(0))
        rough = (regressor(damaged) - keypoints).norm(dim=-1).mean()
    assert clean < 1 / 64 and rough < 1.5 / 64


@pytest.mark.parametrize("name", faces.names())
def test_beta_reads_every_face_domain(name: str) -> None:
    """A landmark to half a pixel of 64, sharp or damaged: brows and lips are pixels apart."""
    keypoints = faces.get(name).sample(150, 0, "test").keypoints
    images, regressor = draw_skeletons(keypoints, FACE68, 64), prior.load_regressor(skeleton=FACE68)
    with torch.no_grad():
        clean = (regressor(images) - keypoints).norm(dim=-1).mean()
        damaged = corrupt(images, torch.Generator().manual_seed(0))
        rough = (regressor(damaged) - keypoints).norm(dim=-1).mean()
    assert clean < 0.5 / 64 and rough < 0.8 / 64


def test_gamma_orders_images_by_pose() -> None:
    """A slightly moved skeleton is nearer than another person's."""
    gamma = prior.perceptual_features()
    keypoints = domains.get("wild").sample(100, 0, "test").keypoints
    images = draw_skeletons(keypoints, BODY17, 64)
    moved = draw_skeletons(keypoints + 0.01, BODY17, 64)
    with torch.no_grad():
        near = perceptual_loss(gamma, images, moved)
        far = perceptual_loss(gamma, images, images.roll(1, 0))
    assert (near < far).float().mean() > 0.9


def test_the_discriminator_belongs_to_the_generator() -> None:
    critic, generator = prior.load_discriminator("wild"), prior.load_generator("wild")
    real = draw_skeletons(domains.get("wild").sample(64, 0).keypoints, BODY17, 64)
    z = generator.sample_z(64, torch.Generator().manual_seed(0))
    assert critic(real).mean() > critic(generator(z)).mean()


def test_unknown_names_are_named() -> None:
    with pytest.raises(ValueError, match=r"no generator 'coco'.*wild"):
        prior.load_generator("coco")
    with pytest.raises(ValueError, match="found 'alexnet'"):
        prior.perceptual_features("alexnet")
    with pytest.raises(ValueError, match="no regressor for HAND21"):
        prior.load_regressor(skeleton=HAND21)
    with pytest.raises(ValueError, match="no features for HAND21"):
        prior.perceptual_features(skeleton=HAND21)


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "weights/prior_regressor.safetensors"
    data = bytearray(assets.path(name).read_bytes())
    manifest = (assets.FOLDER / "manifest.json").read_text()
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "weights").mkdir()
    data[-1] ^= 1
    (tmp_path / name).write_bytes(bytes(data))
    with pytest.raises(ValueError, match="prior_regressor.safetensors is altered"):
        prior.load_regressor()
    (tmp_path / name).write_bytes(bytes(data[:100]))
    with pytest.raises(ValueError, match="altered"):
        prior.load_regressor()
