"""Lifters are shipped and come back; the tables and the shipped weights are one thing."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
import torch
from tiny_scales import TINY_POSYNDA

from posenb import __main__ as command_line
from posenb.experiments.posynda import bench, shipping, tables
from posenb.experiments.posynda.bench import Bench
from posenb.experiments.posynda.shipping import Plan
from posenb.posynda import lift, weights
from posenb.posynda.adapt import AdaptTask
from posenb.posynda.lifting import LiftTask
from posenb.posynda.networks import LoRA
from posenb.train import checkpoints, runtime

pytestmark = pytest.mark.slow

PLANS = [
    Plan("MixSTE", None, 0, TINY_POSYNDA),
    Plan("VideoPose", None, 0, TINY_POSYNDA),
    Plan("MixSTE", "stage", 0, TINY_POSYNDA),
]
NAMES = ["mixste", "videopose", "mixste_stage"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("posynda")


def never(*_, **__):
    raise AssertionError("it learned again")


@pytest.mark.parametrize(("plan", "name"), list(zip(PLANS, NAMES, strict=True)), ids=NAMES)
def test_shipped_lifters_come_back(plan, name, folder, tmp_path):
    made = shipping.train_lifter(plan, folder, progress=False)
    assert plan.name == name
    shipping.ship_lifter(made, tmp_path)
    assert weights.lifters(tmp_path) == (name,)
    network = weights.load_lifter(name, folder=tmp_path)
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    assert not any(isinstance(module, LoRA) for module in network.modules())
    learned = plan.target is not None and tables.METHODS[shipping.METHOD].bias
    assert (network.bias is not None) == learned
    some = Bench(scale=TINY_POSYNDA).test("stage")
    wanted, found = (
        lift(model, some.keypoints, some.camera, 2, 2).joints3d for model in (made.model, network)
    )
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=0)


@pytest.mark.parametrize("plan", PLANS, ids=NAMES)
def test_the_record_says_how(plan, folder, tmp_path):
    made = shipping.train_lifter(plan, folder, progress=False)
    shipping.ship_lifter(made, tmp_path)
    record = checkpoints.load_provenance(f"lifter_{plan.name}", tmp_path)
    options = command_line._parser().parse_args(record["command"].split()[3:])
    asked = Plan(options.denoiser, options.target, options.seed, TINY_POSYNDA)
    assert asked == plan
    configuration = record["configuration"]
    assert configuration["lifter"]["denoiser"] == plan.denoiser
    assert configuration["scale"]["frames"] == 5 and configuration["source"] == "lab"
    assert configuration["target"] == plan.target
    assert (configuration["adaptation"] is None) == (plan.target is None)
    assert record["losses"]["step"] == 2 and record["losses"]["loss"] > 0
    assert len(record["data_hash"]) == 64 and record["wall_seconds"] >= 0
    error = record["test_mpjpe_mm"]
    assert error["float32"] == pytest.approx(shipping.error_mm(made.model, plan))
    assert abs(error["float16"] - error["float32"]) < 1


def test_what_a_table_has_trained_is_not_trained_again(folder, monkeypatch):
    learned = Bench(scale=TINY_POSYNDA, folder=folder).start()
    adapted = shipping.train_lifter(PLANS[2], folder, progress=False)
    monkeypatch.setattr(bench.GaussianDiffusion, "q_sample", never)
    made = shipping.train_lifter(PLANS[0], folder, progress=False)
    for one, other in zip(learned.parameters(), made.model.parameters(), strict=True):
        assert torch.equal(one, other)
    again = shipping.train_lifter(PLANS[2], folder, progress=False)
    hashes = [checkpoints.state_hash(m.model.state_dict()) for m in (adapted, again, made)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert len({m.data_hash for m in (adapted, made)}) == 2


def test_halves_are_shipped_only_if_they_are_as_good(folder, tmp_path, monkeypatch):
    made = shipping.train_lifter(PLANS[0], folder, progress=False)
    sizes = []
    for tolerance in (100.0, 0.0):
        monkeypatch.setattr(shipping, "TOLERANCE", tolerance)
        home = tmp_path / str(tolerance)
        shipping.ship_lifter(made, home)
        sizes.append((home / "weights" / "lifter_mixste.safetensors").stat().st_size)
    assert sizes[0] < 0.7 * sizes[1]


def test_missing_lifters_name_the_command(tmp_path):
    with pytest.raises(ValueError, match=r"no lifter 'moon'.*train lifter --denoiser MixSTE"):
        weights.load_lifter("moon", folder=tmp_path)


def test_bad_plans_are_named():
    with pytest.raises(ValueError, match="denoiser must be one of MixSTE, VideoPose"):
        Plan("GAN")
    with pytest.raises(ValueError, match="denoiser must be one of MixSTE, VideoPose, found"):
        Plan("MixSTE-paper")  # that is of another scale
    with pytest.raises(ValueError, match="no domain 'moon'"):
        Plan(target="moon")
    short = replace(TINY_POSYNDA, mixste=replace(TINY_POSYNDA.mixste, timesteps=500))
    with pytest.raises(ValueError, match="500 timesteps are not shipped"):
        Plan(scale=short)


@pytest.fixture
def tiny_command(tmp_path, monkeypatch):
    """`train lifter` trains in seconds; where its checkpoints are to go, and where it ships to."""
    train, ship, shipped = shipping.train_lifter, shipping.ship_lifter, tmp_path / "shipped"
    monkeypatch.setattr(
        shipping,
        "train_lifter",
        lambda plan, folder: train(replace(plan, scale=TINY_POSYNDA), folder, progress=False),
    )
    monkeypatch.setattr(shipping, "ship_lifter", lambda made: ship(made, shipped))
    return tmp_path / "runs", shipped


def test_the_command_trains_and_ships(tiny_command, capsys):
    runs, shipped = tiny_command
    words = ["train", "lifter", "--denoiser", "MixSTE", "--folder", str(runs)]
    assert command_line.main([*words, "--no-ship"]) == 0
    assert not shipped.exists() and len(list(runs.iterdir())) == 1
    assert command_line.main([*words, "--target", "stage"]) == 0
    assert weights.lifters(shipped) == ("mixste_stage",) and len(list(runs.iterdir())) == 2
    assert command_line.main([*words, "--target", "moon"]) == 2
    assert "no domain 'moon'" in capsys.readouterr().err


@pytest.mark.parametrize("target", [[], ["--target", "stage"]])
def test_an_interrupted_training_ends_as_others_do(
    target, tiny_command, tmp_path, monkeypatch, capsys
):
    """With 130; the same command then goes on, and ships what an uninterrupted one would."""
    (runs, shipped), step = tiny_command, LiftTask.step

    def stopped(task, number):
        found = step(task, number)
        if number == 0 and (not target or isinstance(task, AdaptTask)):
            signal.raise_signal(signal.SIGINT)
        return found

    words = ["train", "lifter", "--denoiser", "MixSTE", *target, "--folder"]
    monkeypatch.setattr(LiftTask, "step", stopped)
    assert command_line.main([*words, str(runs)]) == 130
    assert "goes on from what is saved" in capsys.readouterr().err and not shipped.exists()
    monkeypatch.setattr(LiftTask, "step", step)
    hashes = []
    for folder in (runs, tmp_path / "whole"):
        assert command_line.main([*words, str(folder)]) == 0
        (name,) = weights.lifters(shipped)
        state = checkpoints.load_weights(f"lifter_{name}", shipped)
        hashes.append(checkpoints.state_hash(state))
    assert hashes[0] == hashes[1]


def test_the_number_of_threads_changes_no_weight(tmp_path):
    """A process with two threads makes, and goes on with, what one with a single thread makes."""
    hashes = []
    for count in (1, 2):
        with runtime.threads(count):
            made = shipping.train_lifter(PLANS[2], tmp_path / str(count), progress=False)
        hashes.append(checkpoints.state_hash(made.model.state_dict()))
    assert hashes[0] == hashes[1]
