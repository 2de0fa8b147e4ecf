from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

from posenb import flexpose, prior
from posenb.experiments.flexpose.bench import alike
from posenb.flexpose import Readers, Recipe, baselines
from posenb.prior import training
from posenb.prior.networks import Generator

pytestmark = pytest.mark.slow

QUICK = Recipe(steps=2, batch=8)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return prior.load_generator()


@pytest.fixture(scope="module")
def readers() -> Readers:
    return Readers.load()


@pytest.fixture(scope="module")
def guides():
    return flexpose.few_shot(alike("lab").sample(600, 0), 1, seed=0)


def changed(before: torch.nn.Module, after: torch.nn.Module) -> set[str]:
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    assert old.keys() == new.keys()
    return {name for name in old if not torch.equal(old[name], new[name])}


def run(method, generator, guides, readers, **options):
    return method(generator, guides, recipe=QUICK, readers=readers, progress=False, **options)


def test_source_only_changes_nothing(generator, guides, readers):
    adapted = baselines.source_only(generator, guides, readers=readers)
    assert adapted.generator is generator
    assert torch.equal(adapted.sample(9, 1), prior.sample(generator, readers.regressor, 9, seed=1))


@pytest.fixture
def games(monkeypatch):
    """The discriminators that games were played with."""
    seen = []
    original = training.PriorTask

    def spy(*arguments, **options):
        task = original(*arguments, **options)
        seen.append(task)
        return task

    monkeypatch.setattr(training, "PriorTask", spy)
    return seen


def test_finetune_all_changes_both_networks_whole(generator, guides, readers, games):
    run(baselines.finetune_all, generator, guides, readers)
    names = changed(generator, games[0].generator)
    fixed = {n for n, _ in generator.named_parameters()} - names
    assert not fixed, fixed
    judged = {n for n, _ in readers.critic.named_parameters()}
    assert changed(readers.critic, games[0].discriminator) == judged


def test_freeze_d_keeps_the_discriminators_fine_layers(generator, guides, readers, games):
    run(baselines.freeze_d, generator, guides, readers)
    assert changed(generator, games[0].generator) == {n for n, _ in generator.named_parameters()}
    moved = changed(readers.critic, games[0].discriminator)
    assert {
        n.split(".")[0] + ("." + n.split(".")[1] if n.startswith("blocks") else "") for n in moved
    } == {
        "blocks.16",
        "blocks.8",
        "last",
        "head",
    }


def test_adagan_changes_scale_and_shift_only(generator, guides, readers):
    adapted = run(baselines.adagan, generator, guides, readers)
    for place, convolution in enumerate(adapted.generator.convolutions):
        assert not changed(generator.convolutions[place], convolution.convolution)
        assert not torch.equal(convolution.scale, torch.ones_like(convolution.scale))
        assert not torch.equal(convolution.shift, torch.zeros_like(convolution.shift))
    for part in ("f", "affines", "colors"):
        assert not changed(getattr(generator, part), getattr(adapted.generator, part))


def test_rescaled_and_low_rank_begin_as_the_source(generator):
    z = generator.sample_z(3, torch.Generator().manual_seed(0))
    assert torch.equal(baselines.rescaled(generator)(z), generator(z))
    torch.testing.assert_close(baselines.low_rank(generator, 8, 0)(z), generator(z))


def test_lora_changes_every_weight_by_rank_8_at_most(generator, guides, readers):
    adapted = run(baselines.lora, generator, guides, readers, shots_mixed=20)
    new, ranks = adapted.generator, []
    for name, module in generator.named_modules():
        weight = getattr(module, "weight", None)
        if weight is None:
            continue
        difference = (new.get_submodule(name).weight - weight).detach().flatten(1)
        assert difference.abs().max() > 0, name
        ranks.append(int(torch.linalg.matrix_rank(difference.double(), rtol=1e-2)))
        if getattr(module, "bias", None) is not None:
            assert torch.equal(module.bias, new.get_submodule(name).bias)
    assert max(ranks) == 8
    assert torch.equal(generator.constant, new.constant)


def test_low_rank_weights_can_be_merged(generator):
    network = baselines.low_rank(generator, 4, 0)
    z = generator.sample_z(3, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("up"):
                weight.normal_(0, 0.01, generator=torch.Generator().manual_seed(len(name)))
    before = network(z)
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    torch.testing.assert_close(network(z), before)
    assert {n for n, _ in network.named_parameters()} == {
        n for n, _ in generator.named_parameters()
    }
    with pytest.raises(ValueError, match="rank"):
        baselines.low_rank(generator, 0, 0)


def test_gaussian_has_the_moments_of_the_shots(generator, guides):
    poses = baselines.gaussian(generator, guides).sample(40_000, 3).flatten(1)
    wanted = guides.keypoints.flatten(1)
    assert (poses.mean(0) - wanted.mean(0)).abs().max() < 0.01
    assert (poses.T.cov() - wanted.T.cov()).abs().max() < 0.002


def test_bootstrap_repeats_shots_and_mixtures_do_not(generator, guides):
    poses = baselines.bootstrap(generator, guides).sample(50, 3)
    distance = torch.cdist(poses.flatten(1), guides.keypoints.flatten(1)).amin(1)
    assert distance.max() < 0.01  # cdist rounds
    mixed = baselines.bootstrap(generator, guides, shots_mixed=1000).sample(50, 3)
    assert torch.cdist(mixed.flatten(1), guides.keypoints.flatten(1)).amin(1).median() > 0.01


def test_joint_transport_gives_each_joint_the_targets_moments():
    random = torch.Generator().manual_seed(0)
    source = torch.rand(4000, 5, 2, generator=random).double()
    turn = torch.tensor([[0.3, -1.0], [1.0, 0.4]]).double()
    target = torch.randn(300, 5, 2, generator=random).double() @ turn + 3
    moved = baselines.joint_transport(source, target)(source)
    for joint in range(5):
        np.testing.assert_allclose(moved[:, joint].mean(0), target[:, joint].mean(0), atol=1e-6)
        np.testing.assert_allclose(
            moved[:, joint].T.cov(), target[:, joint].T.cov(), rtol=1e-5, atol=1e-5
        )


def test_joint_transport_undoes_a_similarity():
    random = torch.Generator().manual_seed(0)
    shape = torch.rand(5, 2, generator=random).double()
    source = shape + 0.01 * torch.randn(500, 5, 2, generator=random).double()
    angle = torch.tensor(0.4).double()
    turn = torch.stack(
        [torch.stack([angle.cos(), angle.sin()]), torch.stack([-angle.sin(), angle.cos()])]
    )
    target = 1.7 * source @ turn + torch.tensor([0.2, -0.1]).double()
    found = baselines.joint_transport(source, target)(source)
    assert (found - target).norm(dim=-1).mean() < 0.003
