"""The training loop. Run as a script, this file trains: the tests kill it and stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import posenb
from posenb import __main__ as command_line
from posenb.train import checkpoints, loop, runtime


class TinyTask:
    """A regression with Adam, EMA and a generator; several ranks draw different data."""

    def __init__(self, pause: float = 0.0) -> None:
        self.network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))
        start = runtime.generator(0)
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=start) / 2)
        self.ema = loop.Ema(self.network)
        self.optimiser = torch.optim.Adam(self.network.parameters(), 1e-2)
        self.generator = runtime.generator((1, runtime.process().rank))
        self.pause = pause

    def step(self, step: int) -> Mapping[str, float | Tensor]:
        time.sleep(self.pause)
        x = torch.randn(16, 3, generator=self.generator)
        loss = (self.network(x) - x.sum(1, keepdim=True)).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        loop.average_gradients(self.network)
        self.optimiser.step()
        self.ema.step(self.network, loop.Ema.decay(16, half_life=500))
        return {"loss": loss, "rate": 1e-2} | ({"rare": float(step)} if step % 16 == 0 else {})

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])


def script(*arguments: object, launcher: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, *launcher, __file__, *map(str, arguments)]


def environment() -> dict[str, str]:
    root = str(Path(posenb.__path__[0]).parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def start_training(checkpoint: Path) -> subprocess.Popen[str]:
    """A training of 2,000 slow steps in its own process, well under way."""
    process = subprocess.Popen(
        script(checkpoint, 2000, 0.005), env=environment(), stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not checkpoint.exists() or checkpoints.load_checkpoint(checkpoint)["step"] < 20:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums depend on the number of threads, and the runs compared here must not."""
    with runtime.threads(1):
        yield


def uninterrupted(steps: int) -> tuple[str, loop.History]:
    task = TinyTask()
    history = loop.fit(task, steps, progress=False)
    return checkpoints.state_hash(task.state_dict()), history


def test_training_learns_and_logs_means() -> None:
    task = TinyTask()
    seen: list[int] = []
    history = loop.fit(
        task, 120, log_every=50, progress=False, callback=lambda _, h: seen.append(h.step)
    )
    assert seen == [50, 100, 120] == history.series("loss")[0]
    losses = history.series("loss")[1]
    assert losses[-1] < losses[0] / 2
    assert history.rows[0]["rare"] == pytest.approx((0 + 16 + 32 + 48) / 4)
    assert history.rows[0]["rate"] == pytest.approx(1e-2)
    assert history.step == 120 and history.seconds > 0 and not history.interrupted
    with pytest.raises(ValueError, match="los.*loss, rare, rate"):
        history.series("los")


def test_continuing_a_history_equals_one_training() -> None:
    expected, reference = uninterrupted(150)
    task = TinyTask()
    with runtime.threads(1):
        history = loop.fit(task, 50, progress=False)
        history = loop.fit(task, 150, history=history, progress=False)
    assert checkpoints.state_hash(task.state_dict()) == expected
    assert history.rows == reference.rows


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run" / "tiny.pt"
    first, second = TinyTask(), TinyTask()
    history = loop.fit(first, 60, checkpoint=checkpoint, progress=False)
    before = checkpoint.read_bytes()
    assert loop.fit(second, 60, checkpoint=checkpoint, progress=False).rows == history.rows
    assert checkpoint.read_bytes() == before
    assert checkpoints.state_hash(first.state_dict()) == checkpoints.state_hash(second.state_dict())


@pytest.mark.slow
def test_kill_and_resume_gives_the_same_bits(tmp_path: Path) -> None:
    checkpoint = tmp_path / "tiny.pt"
    process = start_training(checkpoint)
    process.kill()
    process.communicate()
    killed_at = checkpoints.load_checkpoint(checkpoint)["step"]
    assert 20 <= killed_at < 2000
    steps = killed_at + 130
    task = TinyTask()
    with runtime.threads(1):
        history = loop.fit(task, steps, checkpoint=checkpoint, progress=False)
    expected, reference = uninterrupted(steps)
    assert checkpoints.state_hash(task.state_dict()) == expected
    assert history.rows == reference.rows


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_returns(tmp_path: Path, number: signal.Signals) -> None:
    checkpoint = tmp_path / "tiny.pt"
    process = start_training(checkpoint)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    state = checkpoints.load_checkpoint(checkpoint)
    assert output.split()[:2] == ["interrupted", str(state["step"])]
    assert checkpoints.state_hash(state["task"]) == uninterrupted(state["step"])[0]


class StoppedTask(TinyTask):
    """Meets Ctrl-C in step 70: asked for as a signal, or raised in the middle of the step."""

    raises = False

    def step(self, step: int) -> Mapping[str, float | Tensor]:
        if step == 70:
            with torch.no_grad():  # half of a step is done
                self.network[0].bias.add_(1.0 if self.raises else 0.0)
            if self.raises:
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)
        return super().step(step)


def test_interruption_ends_the_step_and_saves(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    checkpoint = tmp_path / "tiny.pt"
    history = loop.fit(StoppedTask(), 200, checkpoint=checkpoint, progress=False)
    assert history.interrupted and history.step == 71
    assert signal.getsignal(signal.SIGINT) is before
    task = TinyTask()
    history = loop.fit(task, 200, checkpoint=checkpoint, progress=False)
    expected, reference = uninterrupted(200)
    assert not history.interrupted and history.rows == reference.rows
    assert checkpoints.state_hash(task.state_dict()) == expected


def test_a_step_cut_short_is_not_saved(tmp_path: Path) -> None:
    checkpoint = tmp_path / "tiny.pt"
    stopped = StoppedTask()
    stopped.raises = True
    history = loop.fit(stopped, 200, checkpoint=checkpoint, save_every_seconds=0.0, progress=False)
    assert history.interrupted and history.step == 70
    task = TinyTask()
    loop.fit(task, 200, checkpoint=checkpoint, progress=False)
    assert checkpoints.state_hash(task.state_dict()) == uninterrupted(200)[0]


def test_half_a_training_does_not_pass_for_a_whole_one(tmp_path: Path) -> None:
    checkpoint = tmp_path / "tiny.pt"
    with loop.whole():
        with pytest.raises(loop.Interrupted, match=r"adapting was interrupted.*what is saved"):
            loop.fit(StoppedTask(), 200, checkpoint=checkpoint, progress=False, label="adapting")
        history = loop.fit(TinyTask(), 200, checkpoint=checkpoint, progress=False)
    assert history.step == 200 and not history.interrupted
    assert loop.fit(StoppedTask(), 200, progress=False).interrupted  # outside, a part will do


class BrokenTask(TinyTask):
    """Its loss is NaN from step 63 (counted from 1) on."""

    def step(self, step: int) -> Mapping[str, float | Tensor]:
        scalars = super().step(step)
        return {**scalars, "loss": torch.tensor(float("nan"))} if step >= 62 else scalars


@pytest.mark.parametrize("every", [0.0, 60.0])
def test_nan_names_step_and_quantity_and_keeps_the_checkpoint(tmp_path: Path, every: float) -> None:
    checkpoint = tmp_path / "tiny.pt"
    loop.fit(TinyTask(), 60, checkpoint=checkpoint, progress=False)
    with pytest.raises(FloatingPointError, match=r"loss is nan at step 63.*tiny\.pt"):
        loop.fit(BrokenTask(), 200, checkpoint=checkpoint, save_every_seconds=every, progress=False)
    assert checkpoints.load_checkpoint(checkpoint)["step"] == (62 if every == 0.0 else 60)


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "other.pt"
    checkpoints.save_checkpoint(checkpoint, {"weights": torch.ones(2)})
    with pytest.raises(ValueError, match=r"other\.pt is no checkpoint of posenb.*: step, seconds"):
        loop.fit(TinyTask(), 10, checkpoint=checkpoint, progress=False)


class SavedTask(loop.Saved):
    """Two networks, of which one is saved with its optimiser."""

    parts = ("network", "optimizer")

    def __init__(self, seed: int) -> None:
        start = runtime.generator(seed)
        self.network, self.other = nn.Linear(2, 1), nn.Linear(2, 1)
        for parameter in (*self.network.parameters(), *self.other.parameters()):
            nn.init.normal_(parameter, generator=start)
        self.optimizer = torch.optim.Adam(self.network.parameters())
        self.network(torch.ones(1, 2)).sum().backward()
        self.optimizer.step()


def test_the_state_of_named_parts_is_saved_and_loaded() -> None:
    task, fresh = SavedTask(0), SavedTask(1)
    state = task.state_dict()
    by_hand = {"network": task.network.state_dict(), "optimizer": task.optimizer.state_dict()}
    assert list(state) == list(by_hand)
    assert checkpoints.state_hash(state) == checkpoints.state_hash(by_hand)
    fresh.load_state_dict(by_hand)
    assert checkpoints.state_hash(fresh.state_dict()) == checkpoints.state_hash(by_hand)
    assert not torch.equal(fresh.other.weight, task.other.weight)
    for wrong in ({}, {"network": by_hand["network"]}, by_hand | {"schedule": {}}):
        with pytest.raises(ValueError, match="a state of network, optimizer is needed, found"):
            fresh.load_state_dict(wrong)


def test_ema_follows_its_definition() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ema = loop.Ema(network)
    expected = network[0].weight.detach().clone()
    for _ in range(5):
        with torch.no_grad():
            network[0].weight.add_(1.0)
        network[1].running_mean.add_(1.0)
        ema.step(network, 0.9)
        expected = 0.9 * expected + 0.1 * network[0].weight.detach()
    torch.testing.assert_close(ema.module[0].weight, expected)
    torch.testing.assert_close(ema.module[1].running_mean, network[1].running_mean)
    assert not ema.module.training and not ema.module[0].weight.requires_grad
    assert loop.Ema.decay(32, half_life=320) ** 10 == pytest.approx(0.5)


def test_compile_leaves_the_cpu_alone() -> None:
    module = nn.Linear(2, 2)
    assert loop.maybe_compile(module, torch.device("cpu")) is module
    assert list(module.state_dict()) == ["weight", "bias"]


def test_several_processes_need_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="process_group"):
        loop.average_gradients(nn.Linear(2, 2))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="gloo under torchrun is tried on Linux and macOS")
def test_two_processes_train_one_model(tmp_path: Path) -> None:
    checkpoint = tmp_path / "tiny.pt"
    loop.fit(TinyTask(), 20, checkpoint=checkpoint, progress=False)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    result = subprocess.run(
        script(checkpoint, 60, 0.0, launcher=launcher),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert result.returncode == 0, result.stderr
    hashes = [line.split()[-1] for line in result.stdout.splitlines()]
    assert len(hashes) == 2 and hashes[0] == hashes[1]
    assert result.stderr.count("training: 100%") == 1  # rank 0 alone prints and writes
    assert checkpoints.load_checkpoint(checkpoint)["step"] == 60
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_progress_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    loop.fit(TinyTask(), 30, label="tiny")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("tiny: 100%") and "loss" in lines[0]


NOTEBOOK = f"""
import importlib.util, sys
sys.path.insert(0, {str(Path(posenb.__path__[0]).parent)!r})
specification = importlib.util.spec_from_file_location("tiny", {__file__!r})
tiny = importlib.util.module_from_spec(specification)
specification.loader.exec_module(tiny)
"""


@pytest.mark.slow
def test_progress_and_stop_button_in_a_notebook() -> None:
    pytest.importorskip("ipykernel")
    manager = pytest.importorskip("jupyter_client.manager")
    kernel, client = manager.start_new_kernel(startup_timeout=60)
    outputs: list[tuple[str, dict[str, Any]]] = []
    stopped = False

    def keep(message: dict[str, Any]) -> None:
        nonlocal stopped
        outputs.append((message["msg_type"], message["content"]))
        if message["msg_type"] == "update_display_data" and not stopped:
            stopped = True
            kernel.interrupt_kernel()

    try:
        client.execute_interactive(NOTEBOOK, timeout=60, output_hook=lambda message: None)
        code = """
            history = tiny.loop.fit(tiny.TinyTask(0.005), 20_000)
            print(history.interrupted, 0 < history.step < 20_000)
        """
        client.execute_interactive(textwrap.dedent(code), timeout=60, output_hook=keep)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    kinds = [kind for kind, _ in outputs if kind not in ("status", "execute_input")]
    assert kinds[0] == "display_data" and kinds.count("display_data") == 1
    assert set(kinds) == {"display_data", "update_display_data", "stream"}
    streams = [content for kind, content in outputs if kind == "stream"]
    assert [(s["name"], s["text"]) for s in streams] == [("stdout", "True True\n")]


def train_as_script(checkpoint: Path, steps: int, pause: float) -> None:
    cpu = torch.device("cpu")
    with runtime.threads(1), runtime.process_group(cpu):
        task = TinyTask(pause)
        history = loop.fit(task, steps, checkpoint=checkpoint, save_every_seconds=0.01)
        digest = checkpoints.state_hash(task.network[0].weight)
    sys.stdout.write(
        f"{'interrupted' if history.interrupted else 'done'} {history.step} {digest}\n"
    )


if __name__ == "__main__":
    train_as_script(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))


def test_a_command_that_is_stopped_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "_table", stopped)
    assert command_line.main(["table", "posynda.table8"]) == 130
    assert capsys.readouterr().err == "posenb: interrupted\n"


@pytest.mark.parametrize(
    "altered", [{"seconds": 10**400}, {"rows": [{"step": 10**400}]}, {"pending": [{"a": 10**400}]}]
)
def test_numbers_that_no_float_holds_are_refused(tmp_path: Path, altered: dict[str, Any]) -> None:
    checkpoint = tmp_path / "a.pt"
    loop.fit(TinyTask(), 2, checkpoint=checkpoint, progress=False)
    checkpoints.save_checkpoint(checkpoint, checkpoints.load_checkpoint(checkpoint) | altered)
    with pytest.raises(ValueError, match=r"a\.pt is no checkpoint"):
        loop.fit(TinyTask(), 3, checkpoint=checkpoint, progress=False)


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "NAdam"])
def test_a_sound_state_of_any_optimiser_is_taken(kind: str, tmp_path: Path) -> None:
    class Task(loop.Saved):
        parts = ("network", "optimizer")

        def __init__(self) -> None:
            self.network = torch.nn.Linear(3, 2)
            self.optimizer = getattr(torch.optim, kind)(self.network.parameters(), lr=0.01)

        def step(self, step: int) -> dict[str, Tensor]:
            loss = self.network(torch.ones(1, 3)).square().sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            return {"loss": loss}

    checkpoint = tmp_path / "a.pt"
    loop.fit(Task(), 3, checkpoint=checkpoint, progress=False)
    assert loop.fit(Task(), 5, checkpoint=checkpoint, progress=False).step == 5
    state = checkpoints.load_checkpoint(checkpoint)
    for kept in state["task"]["optimizer"]["state"].values():
        for name, value in kept.items():
            if isinstance(value, Tensor) and value.ndim == 2:
                kept[name] = torch.zeros(7, 7)
    checkpoints.save_checkpoint(checkpoint, state)
    if kind != "SGD":  # which keeps nothing
        with pytest.raises(ValueError, match=r"a\.pt does not fit this training"):
            loop.fit(Task(), 6, checkpoint=checkpoint, progress=False)


@pytest.mark.slow
def test_two_processes_do_not_train_to_one_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "a.pt"
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; import state; "
        "print(state.train(Path(sys.argv[1]), 300).step)"
    )
    folder = Path(__file__).parents[1] / "fuzz"
    command = [sys.executable, "-c", script, str(checkpoint), str(folder)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)
    ]
    ended = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert [out.split() for out, _ in ended] == [[b"300"], [b"300"]]
    assert {file.name for file in tmp_path.iterdir()} == {"a.pt"}
