from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from posenb import flexpose, prior
from posenb.experiments.flexpose.bench import alike
from posenb.flexpose import Readers, Recipe
from posenb.flexpose.adapt import AdaptTask, mixed, sample
from posenb.flexpose.networks import AdaptedGenerator
from posenb.measure.distributions import frechet_distance, mmd2
from posenb.prior.losses import perceptual_loss
from posenb.prior.networks import Generator, PerceptualFeatures
from posenb.train import loop
from posenb.train.checkpoints import state_hash
from posenb.world.drawing import draw_skeletons
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17, COCO17, MPII16

pytestmark = pytest.mark.slow

QUICK = Recipe(steps=4, batch=8, rematch=2)


@pytest.fixture(scope="module")
def generator():
    return prior.load_generator()


@pytest.fixture(scope="module")
def readers():
    return Readers.load()


@pytest.fixture(scope="module")
def guides() -> PoseSet:
    return flexpose.few_shot(alike("lab").sample(600, 0), 1, seed=0)


@pytest.mark.parametrize("objective", ["paper", "transport", "distribution"])
def test_only_tau_learns_and_the_source_stays(generator, readers, guides, objective):
    before = state_hash(generator.state_dict())
    judges = [
        state_hash(getattr(readers, n).state_dict()) for n in ("regressor", "features", "critic")
    ]
    adapted = flexpose.adapt(
        generator, guides, (2, 3), 20, objective, recipe=QUICK, readers=readers, progress=False
    )
    assert state_hash(generator.state_dict()) == before
    assert state_hash(adapted.generator.source.state_dict()) == before
    assert judges == [
        state_hash(getattr(readers, n).state_dict()) for n in ("regressor", "features", "critic")
    ]
    for block in adapted.generator.transfer.blocks.values():
        assert not torch.equal(block.u, torch.eye(len(block.u)))


def test_papers_objective_is_equation_5(generator, readers, guides):
    network = AdaptedGenerator.of(generator, (3,))
    target = guides.keypoints
    recipe = Recipe(steps=1, batch=len(target))
    task = AdaptTask(network, target, BODY17, "paper", recipe, 0, readers, autocast=False)
    images = draw_skeletons(target, BODY17, 64)
    expected = perceptual_loss(readers.features, network(task.z), images).mean()
    assert float(task.step(0)["loss"].detach()) == pytest.approx(expected.item(), rel=1e-5)
    before = task.z.clone()
    task.step(1)
    assert torch.equal(task.z, before)  # sampled once
    assert torch.equal(task.partner, torch.arange(len(target)))  # and never exchanged


def test_transport_pairs_every_pose_once_and_nearer(generator, readers, guides):
    network = AdaptedGenerator.of(generator, (3,))
    task = AdaptTask(network, guides.keypoints, BODY17, "transport", QUICK, 0, readers)
    painted = task._read()
    random = (painted - guides.keypoints).square().sum()
    task.step(0)
    assert sorted(task.partner.tolist()) == list(range(len(guides)))
    assert (painted - guides.keypoints[task.partner]).square().sum() < random


@pytest.mark.parametrize("objective", ["paper", "transport", "distribution"])
def test_stopped_and_resumed_gives_the_same_bits(generator, readers, guides, tmp_path, objective):
    def run(steps, path):
        network = AdaptedGenerator.of(generator, (3,))
        task = AdaptTask(network, guides.keypoints, BODY17, objective, QUICK, 0, readers)
        loop.fit(task, steps, checkpoint=path, progress=False)
        return state_hash(network.transfer.state_dict())

    whole = run(4, tmp_path / "whole.pt")
    run(2, tmp_path / "part.pt")
    assert run(4, tmp_path / "part.pt") == whole


def test_a_checkpoint_of_other_shots_is_refused(generator, readers, guides, tmp_path):
    path = tmp_path / "run.pt"
    options = {"recipe": QUICK, "readers": readers, "progress": False, "checkpoint": path}
    flexpose.adapt(generator, guides, shots_mixed=20, **options)
    with pytest.raises(ValueError, match="shots"):
        flexpose.adapt(generator, guides[:10], shots_mixed=20, **options)
    with pytest.raises(ValueError, match="objective"):
        flexpose.adapt(generator, guides, shots_mixed=20, objective="paper", **options)
    other = prior.load_generator("stage")
    with pytest.raises(ValueError, match="start"):
        flexpose.adapt(other, guides, shots_mixed=20, **options)
    with pytest.raises(ValueError, match="learning"):
        flexpose.adapt(generator, guides, layers=(3,), shots_mixed=20, **options)


def test_samples_are_poses(generator, readers, guides):
    adapted = flexpose.adapt(generator, guides, recipe=QUICK, readers=readers, progress=False)
    poses = sample(adapted, 70, seed=1)
    assert poses.keypoints.shape == (70, 17, 2)
    assert poses.skeleton == BODY17
    assert torch.equal(sample(adapted, 70, seed=1).keypoints, poses.keypoints)
    assert not torch.equal(sample(adapted, 70, seed=2).keypoints, poses.keypoints)


def test_a_shift_that_u_can_represent_is_found(generator, readers):
    """FD and MMD^2 to a target that some U paints fall on the way."""
    known = AdaptedGenerator.of(generator, (1, 2, 3))
    with torch.no_grad():
        for layer, block in known.transfer.blocks.items():
            random = torch.Generator().manual_seed(int(layer))
            block.u.add_(0.1 * torch.randn(block.u.shape, generator=random))
    draw = {"count": 400, "batch": 50}
    target = prior.sample(known, readers.regressor, **draw, seed=5)
    guides = prior.sample(known, readers.regressor, 100, seed=7)
    network = AdaptedGenerator.of(generator, (1, 2, 3))
    recipe = Recipe(steps=20, batch=16, learning_rate=6e-4)
    task = AdaptTask(network, guides, BODY17, "distribution", recipe, 0, readers)
    found = []
    for step in range(21):
        if step % 10 == 0:
            poses = prior.sample(network, readers.regressor, **draw, seed=6)
            found.append([frechet_distance(target, poses), mmd2(target, poses, 1.0)])
        if step < 20:
            task.step(step)
    path = torch.tensor(found)  # (stops, metrics)
    assert (path.diff(dim=0) < 0).all(), path
    assert (path[-1] < 0.7 * path[0]).all(), path


def test_shots_that_cannot_guide_are_refused(generator, readers, guides):
    def refused(_, match):
        return pytest.raises(ValueError, match=match)

    with refused(guides[:1], match="at least 2"):
        flexpose.adapt(generator, guides[:1], readers=readers)
    visible = torch.ones(len(guides), 17, dtype=torch.bool)
    visible[3, 1:] = False
    hidden = dataclasses.replace(guides, visible=visible)
    with refused(hidden, match="pose 3 has 1 visible joints, expected at least 2"):
        flexpose.adapt(generator, hidden, readers=readers)
    with refused(guides, match="layer 10 is out of range"):
        flexpose.adapt(generator, guides, layers=(10,), readers=readers)
    with refused(guides, match="objective must be one of"):
        flexpose.adapt(generator, guides, objective="energy", readers=readers)
    for skeleton in (MPII16, COCO17):  # the second has as many joints, in another order
        poses = torch.rand(3, len(skeleton), 2)
        other = PoseSet(poses, None, None, ("a",) * 3, ("b",) * 3, skeleton)
        with refused(other, match=f"are {skeleton.name}, but beta reads BODY17"):
            flexpose.adapt(generator, other, readers=readers)
        with refused(other, match="beta reads BODY17"):
            flexpose.baselines.gaussian(generator, other)
    with refused(guides, match="not one of the shipped"):
        flexpose.adapt(Generator(64), guides)


@pytest.mark.parametrize(
    "numbers", [{"steps": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"realism": -1.0}]
)
def test_recipes_without_sense_are_refused(numbers):
    with pytest.raises(ValueError, match=next(iter(numbers))):
        Recipe(**numbers)


@pytest.mark.parametrize("layer", [1, 4, 9])
def test_what_is_cached_changes_no_loss(generator, readers, guides, layer):
    network = AdaptedGenerator.of(generator, (layer,))
    recipe = Recipe(steps=3, batch=len(guides))
    task = AdaptTask(network, guides.keypoints, BODY17, "paper", recipe, 0, readers, False)
    images = draw_skeletons(guides.keypoints, BODY17, 64)
    for step in range(3):
        with torch.no_grad():
            expected = perceptual_loss(readers.features, network(task.z), images).mean()
        assert float(task.step(step)["loss"].detach()) == pytest.approx(float(expected), rel=1e-4)


def by_hand(readers, network, target, z):
    """Energy distance and re-rendering (Eq. 8 seen by Gamma) of latents, pair by pair."""
    images = network(z)
    read = readers.regressor(images)
    redrawn = 0.0
    for image, drawing in zip(images, draw_skeletons(read, BODY17, 64), strict=True):
        painted, drawn = 2 * image[None] - 1, 2 * drawing[None] - 1
        for stage in readers.features.stages:
            painted, drawn = stage(painted), stage(drawn)
            gap = painted / painted.norm(dim=1) - drawn / drawn.norm(dim=1)  # (1, C, h, w)
            redrawn = redrawn + gap.square().sum() / (gap.shape[2] * gap.shape[3])

    def mean(pairs):
        return torch.stack([(x - y).norm() for x, y in pairs]).mean()

    energy = (
        2 * mean(itertools.product(read, target))
        - mean(itertools.combinations(read, 2))
        - mean(itertools.combinations(target, 2))
    )
    return energy, redrawn / len(images)


def one_step(generator, guides, readers, realism, **options):
    """A task after one step with 4 latents, what it logged, and the latents."""
    network = AdaptedGenerator.of(generator, (1, 3))
    drawn = []
    network.sample_z = lambda *given: drawn.append(generator.sample_z(*given)) or drawn[-1]
    recipe = Recipe(steps=1, batch=4, realism=realism)
    target = guides.keypoints
    task = AdaptTask(network, target, BODY17, "distribution", recipe, 0, readers, **options)
    return task, task.step(0), drawn[-1]


def gradients(network):
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("realism", [0.0, 0.05, 3.0])
def test_distributions_objective_is_energy_and_rerendering(generator, readers, guides, realism):
    task, logged, z = one_step(generator, guides, readers, realism, autocast=False)
    fresh = AdaptedGenerator.of(generator, (1, 3))
    energy, redrawn = by_hand(readers, fresh, guides.keypoints, z)
    assert float(logged["energy"].detach()) == pytest.approx(energy.item(), rel=1e-4)
    assert float(logged["redrawn"].detach()) == pytest.approx(redrawn.item(), rel=1e-4)
    loss = energy + realism * redrawn
    assert float(logged["loss"].detach()) == pytest.approx(loss.item(), rel=1e-4)
    loss.backward()
    found, expected = gradients(task.network), gradients(fresh)
    assert found.keys() == expected.keys() == {f"transfer.blocks.{n}.u" for n in (1, 3)}
    for name, gradient in found.items():
        size = expected[name].norm()
        assert (gradient - expected[name]).norm() < 1e-3 * size, name
    for judge in (readers.regressor, readers.features, readers.critic):
        assert not gradients(judge)


def test_without_weight_no_picture_is_looked_at(generator, readers, guides):
    """Whatever Gamma sees, U's gradient is the same to the bit; with a weight it is not."""
    other = PerceptualFeatures(8, seed=1).eval().requires_grad_(False)
    judges = readers, dataclasses.replace(readers, features=other)
    for realism, same in ((0.0, True), (0.05, False)):
        found = [
            gradients(one_step(generator, guides, given, realism)[0].network) for given in judges
        ]
        for name, gradient in found[0].items():
            assert torch.equal(gradient, found[1][name]) == same, (realism, name)


class Painter(torch.nn.Module):
    """Draws given poses, moved by u. What is read in the pictures is the pose, off by a shift."""

    resolution = 64

    def __init__(self, poses, shift):
        super().__init__()
        self.u = torch.nn.Parameter(torch.zeros(2))
        self.poses, self.shift = poses, shift

    def sample_z(self, count, random):
        return torch.arange(count) % len(self.poses)

    def forward(self, z):
        self.read = self.poses[z] + self.shift
        return draw_skeletons(self.poses[z] + self.u, BODY17, 64)


class Reading(torch.nn.Module):
    def __init__(self, painter):
        super().__init__()
        self.painter = [painter]  # not a part of it

    def forward(self, images):
        return self.painter[0].read


@pytest.mark.parametrize("axis", [0, 1])
def test_rerendering_pulls_pictures_to_what_is_read_in_them(readers, guides, axis):
    """No pull where both agree; the further they are apart, the more; downhill the gap closes."""
    pulls = []
    for amount in (0.0, 0.005, 0.01, 0.02):
        shift = torch.eye(2)[axis] * amount
        painter = Painter(guides.keypoints, shift)
        judges = dataclasses.replace(readers, regressor=Reading(painter))
        recipe = Recipe(steps=1, batch=len(guides), realism=1.0)
        options = (BODY17, "distribution", recipe, 0, judges, False)
        logged = AdaptTask(painter, guides.keypoints, *options).step(0)
        assert (logged["redrawn"] > 0) == (amount > 0)
        pulls.append(-painter.u.grad[axis])  # what is read does not depend on u, nor energy
    assert pulls[0] == 0
    assert (torch.stack(pulls).diff() > 0).all(), pulls


def test_pictures_that_are_misread_pull_harder(generator, readers, guides):
    """The same with the real generator, as long as what is read still overlaps with the ink."""

    class Beside(torch.nn.Module):
        def __init__(self, amount):
            super().__init__()
            self.amount = amount

        def forward(self, images):
            return readers.regressor(images).detach() + self.amount  # so energy has no gradient

    found = []
    for amount in (0.0, 0.01, 0.02):
        judges = dataclasses.replace(readers, regressor=Beside(amount))
        task, logged, _ = one_step(generator, guides, judges, 1.0, autocast=False)
        size = torch.stack([g.norm() for g in gradients(task.network).values()]).norm()
        found.append((float(logged["redrawn"].detach()), float(size)))
    values, sizes = zip(*found, strict=True)
    assert sorted(values) == list(values)
    assert sorted(sizes) == list(sizes), sizes


@pytest.mark.parametrize("objective", ["paper", "transport", "distribution"])
def test_shots_that_lack_joints_guide_too(generator, readers, guides, objective):
    visible = torch.ones(len(guides), 17, dtype=torch.bool)
    visible[::2, 3], visible[:, 9] = False, False
    keypoints = guides.keypoints.where(visible[..., None], 0.0)
    some = dataclasses.replace(guides, keypoints=keypoints, visible=visible)
    options = {"shots_mixed": 20, "objective": objective, "recipe": QUICK, "readers": readers}
    found = flexpose.adapt(generator, some, progress=False, **options)
    assert found.history.step == QUICK.steps
    everything = dataclasses.replace(guides, visible=torch.ones_like(visible))
    drawn = [
        mixed(poses, 20, 0, source=generator, readers=readers)
        for poses in (guides, everything, some)
    ]
    assert torch.equal(drawn[0], drawn[1])  # whole shots are left as they are
    assert drawn[2].shape == drawn[0].shape and drawn[2].isfinite().all()
    bare = mixed(some, 0, 0, source=generator, readers=readers)
    assert bare.shape == guides.keypoints.shape
