"""The GAN of Table 5: it learns, it adapts from 2D alone, and it can be stopped."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch

from posenb.posynda import GaussianDiffusion, MixSTE, VideoPose, lift, windows
from posenb.posynda.baselines import Critic, Game, GanTask, adapt_gan, train_gan
from posenb.posynda.hypotheses import estimate_root, reprojection_error
from posenb.train import loop
from posenb.train.checkpoints import state_hash
from posenb.world.cameras import Camera

pytestmark = pytest.mark.slow

T = 5
DIFFUSION = GaussianDiffusion(50)
QUICK = Game(steps=4, batch=6)
QUIET = {"diffusion": DIFFUSION, "progress": False}


@pytest.fixture(scope="module")
def source():
    return windows.sample(windows.domain("lab"), 40, 0, T)


@pytest.fixture(scope="module")
def target():
    return windows.sample(windows.domain("stage_far"), 30, 0, T)


def small(kind=VideoPose):
    options = {"depth": 1, "frames": T, "width": 16, "seed": 1}
    return kind(heads=2, **options) if kind is MixSTE else kind(**options)


@pytest.fixture(scope="module")
def trained(source):
    return train_gan(small(), source, replace(QUICK, steps=60, learning_rate=3e-3), **QUIET)


def test_training_lowers_the_distance_to_the_labels(trained):
    losses = trained.history.series("loss")[1]
    assert losses[-1] < 0.8 * losses[0]
    assert all(math.isfinite(row[name]) for row in trained.history.rows for name in "GD")


@pytest.mark.parametrize("kind", [MixSTE, VideoPose])
def test_poses_are_finite_root_relative_and_as_many_as_the_noises(source, target, kind):
    gan = train_gan(small(kind), source, QUICK, **QUIET)
    found = adapt_gan(gan, source, target.keypoints, target.camera, QUICK, **QUIET)
    poses = lift(found.generator, target.keypoints, target.camera, 3, 1, diffusion=DIFFUSION)
    assert poses.hypotheses.isfinite().all() and not poses.hypotheses[..., 0, :].any()
    assert (poses.hypotheses[:, 0] - poses.hypotheses[:, 1]).abs().max() > 1e-4


def test_adapting_lowers_the_reprojection_and_leaves_the_source_gan_alone(trained, source, target):
    before = state_hash([trained.generator.state_dict(), trained.critic.state_dict()])
    recipe = replace(QUICK, steps=60, learning_rate=3e-3)
    found = adapt_gan(trained, source, target.keypoints, target.camera, recipe, **QUIET)
    errors = found.history.series("reprojection")[1]
    assert errors[-1] < 0.8 * errors[0]
    assert state_hash([trained.generator.state_dict(), trained.critic.state_dict()]) == before


def test_no_argument_takes_a_label_of_the_target(trained, source, target):
    taken = {
        "gan", "source", "keypoints2d", "camera", "recipe", "seed", "diffusion", "watch",
    }  # fmt: skip
    assert set(inspect.signature(adapt_gan).parameters) == taken
    assert inspect.get_annotations(adapt_gan)["keypoints2d"] == "Tensor"
    assert set(inspect.signature(GanTask).parameters) <= taken | {"network", "critic"}
    blind = Camera(torch.eye(3), torch.zeros(3), target.camera.focal, target.camera.center)
    found = [
        adapt_gan(trained, source, target.keypoints, camera, QUICK, **QUIET)
        for camera in (target.camera, blind)
    ]
    one, other = ([gan.generator.state_dict(), gan.critic.state_dict()] for gan in found)
    assert state_hash(one) == state_hash(other)


def game(source, target=None, seed=0):
    critic = Critic(seed=seed)
    some = () if target is None else (target.keypoints, target.camera)
    return GanTask(small(), critic, source, replace(QUICK, steps=6), seed, DIFFUSION, *some)


@pytest.mark.parametrize("adapting", [False, True])
def test_stopped_and_resumed_gives_the_same_bits(source, target, tmp_path, adapting):
    def run(steps, path):
        task = game(source, target if adapting else None)
        loop.fit(task, steps, checkpoint=path, progress=False, identity=task.identity())
        return state_hash([task.network.state_dict(), task.critic.state_dict()])

    whole = run(6, tmp_path / "whole.pt")
    run(4, tmp_path / "part.pt")
    assert run(6, tmp_path / "part.pt") == whole


def test_a_checkpoint_of_other_settings_is_refused(trained, source, target, tmp_path):
    options = {**QUIET, "checkpoint": tmp_path / "run.pt"}
    adapt_gan(trained, source, target.keypoints, target.camera, QUICK, **options)
    other = target[:9]
    with pytest.raises(ValueError, match="target"):
        adapt_gan(trained, source, other.keypoints, other.camera, QUICK, **options)
    stronger = replace(QUICK, adversarial=1.0)
    with pytest.raises(ValueError, match="adversarial"):
        adapt_gan(trained, source, target.keypoints, target.camera, stronger, **options)


def test_the_generator_does_not_move_the_critic_nor_the_other_way_round(source):
    task = game(source)
    critic = state_hash(task.critic.state_dict())
    poses = task.poses[:6]
    found = poses + 0.1
    network = state_hash(task.network.state_dict())
    before = float((task.critic(poses) - task.critic(found)).mean().detach())
    task._critic_step(poses, found)
    assert state_hash(task.network.state_dict()) == network
    assert state_hash(task.critic.state_dict()) != critic
    assert float((task.critic(poses) - task.critic(found)).mean().detach()) > before


def test_the_distance_from_the_rays_is_in_metres(source, target):
    """At the estimated place, at the root's depth, whatever the focal length is."""
    task = game(source, target)
    poses, chosen = target.joints3d[:4] + 0.02, torch.arange(4)
    expected = []
    for n in range(4):
        one = target[n : n + 1]
        root = estimate_root(poses[n][None, None], one.keypoints, one.camera)
        error = reprojection_error(poses[n][None, None], one.keypoints, one.camera, root)
        focal = float(one.camera.focal.mean())
        expected.append(float((error * root[..., 2:]).mean()) / focal)
    found = float(task._off_rays(poses, chosen))
    assert found == pytest.approx(sum(expected) / 4, rel=1e-4)
    assert found < 0.1


def test_games_without_sense_are_refused(source):
    with pytest.raises(ValueError, match="adversarial, reprojection and r1"):
        Game(r1=-1.0)
    with pytest.raises(ValueError, match="no 3D"):
        train_gan(small(), replace(source, joints3d=None), QUICK, **QUIET)
    gan = train_gan(small(), source, replace(QUICK, steps=1), **QUIET)
    with pytest.raises(ValueError, match="needs the camera's focal length"):
        adapt_gan(gan, source, source.keypoints, None, QUICK, **QUIET)
