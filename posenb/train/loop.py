"""The one training loop of the course, and what trainings share around it."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, ParamSpec, Protocol, Self, TypedDict, TypeVar

import torch
from torch import Tensor, nn

from posenb import assets
from posenb.train import checkpoints, runtime

Module = TypeVar("Module", bound=nn.Module)
Call = ParamSpec("Call")

_KINDS: dict[str, type | tuple[type, ...]]
_KINDS = {"step": int, "seconds": (int, float), "rows": list, "pending": list}

_LARGEST = 1e300  # a whole number in a file may be larger than any float

_WHOLE: ContextVar[bool] = ContextVar("whole", default=False)


class Interrupted(ValueError):
    """A training was stopped before its end, and what was asked for needs all of it."""


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """Inside the block, `fit` raises Interrupted where it would return a part of a training.

    For tables and shipped weights: what was stopped half way must not pass for finished.
    """
    token = _WHOLE.set(True)
    try:
        yield
    finally:
        _WHOLE.reset(token)


class Task(Protocol):
    """What is trained.

    Its state holds all that the next step depends on: networks, EMA, optimisers and the states
    of its `torch.Generator`s (`generator.get_state()`). Then a training that was killed and
    resumed ends with the same bits. With several processes every rank loads the state of rank 0:
    let each draw from its own `runtime.generator((seed, rank, step))`.
    """

    def step(self, step: int) -> Mapping[str, float | Tensor]:
        """Do optimisation step `step`, counted from 0; scalars to log, tensors on any device."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """State after the last step, for `checkpoints.save_checkpoint`."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; its tensors are on the CPU."""
        ...


class Learned:
    """Those weights of a network that learn, as a part of a task; all others stay as they are."""

    def __init__(self, network: nn.Module) -> None:
        """Find the weights that require gradients."""
        self.weights = {n: p for n, p in network.named_parameters() if p.requires_grad}

    def state_dict(self) -> dict[str, Tensor]:
        """The weights by their names."""
        return {name: weight.detach() for name, weight in self.weights.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over weights."""
        for name, weight in self.weights.items():
            weight.copy_(state[name])


class Saved:
    """State of a task whose randomness is a function of the step: that of its parts alone.

    Attributes:
        parts: names of the attributes that have a state: networks, averages, optimisers, schedules,
            `Learned` weights, tensors.
    """

    parts: tuple[str, ...] = ("network", "optimizer", "schedule")

    def state_dict(self) -> dict[str, Any]:
        """State of every part."""
        parts = {name: getattr(self, name) for name in self.parts}
        return {
            n: p.detach() if isinstance(p, Tensor) else p.state_dict() for n, p in parts.items()
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            ValueError: if it is of other parts.
        """
        if state.keys() != set(self.parts):
            raise ValueError(
                f"a state of {', '.join(self.parts)} is needed, found {', '.join(state) or 'none'}:"
                " it is of another kind of training"
            )
        for name, kept in state.items():
            part = getattr(self, name)
            if isinstance(part, Tensor):
                part.copy_(kept)
            else:
                part.load_state_dict(kept)


@dataclass
class History:
    """What a training did so far.

    Attributes:
        step: number of steps done.
        seconds: wall time of all sessions together.
        rows: one a logged step: "step", and the mean of every quantity since the previous row.
        interrupted: the last session was stopped before its end.
        pending: scalars of the steps since the last row.
    """

    step: int = 0
    seconds: float = 0.0
    rows: list[dict[str, float]] = field(default_factory=list)
    interrupted: bool = False
    pending: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of one logged quantity.

        Raises:
            ValueError: if nothing of that name was logged.
        """
        rows = [row for row in self.rows if name in row]
        if not rows:
            names = sorted({key for row in self.rows for key in row} - {"step"})
            raise ValueError(f"{name!r} was not logged; there are {', '.join(names) or 'no rows'}")
        return [int(row["step"]) for row in rows], [row[name] for row in rows]


class Watch(TypedDict, total=False):
    """How a training is followed and kept: keywords of `fit`, which all that train pass on to it.

    Attributes:
        checkpoint: file to go on from if it exists, and to save to.
        progress: show a bar with what is logged.
        callback: called with the task and the history after every logged row, for example to draw.
    """

    checkpoint: Path | None
    progress: bool
    callback: Callable[[Any, History], None] | None


def _alone(function: Callable[Call, History]) -> Callable[Call, History]:
    """Let one process at a time train to a checkpoint; the next waits, and finds it finished."""

    @functools.wraps(function)
    def run(*arguments: Call.args, **options: Call.kwargs) -> History:
        checkpoint = options.get("checkpoint")
        if not isinstance(checkpoint, Path) or runtime.process().rank > 0:
            return function(*arguments, **options)
        with assets.locked(checkpoint, wait=True):
            return function(*arguments, **options)

    return run


@_alone
def fit(
    task: Task,
    steps: int,
    *,
    checkpoint: Path | None = None,
    save_every_seconds: float = 60.0,
    log_every: int = 50,
    progress: bool = True,
    label: str = "training",
    callback: Callable[[Any, History], None] | None = None,
    history: History | None = None,
    identity: Mapping[str, Any] | None = None,
) -> History:
    """Train until `steps` steps are done in all.

    The Stop button, Ctrl-C and SIGTERM let the current step end, save, and return what there is.
    A second Ctrl-C cuts the step short; the checkpoint on disk then stays that of a whole step.

    Args:
        task: what is trained.
        steps: total number of steps, those before a resume included.
        checkpoint: file to go on from if it exists, and to save to: every
            `save_every_seconds`, at the end and on interruption.
        save_every_seconds: wall time between saves.
        log_every: steps a row of the history.
        progress: show a progress bar.
        label: name beside the bar.
        callback: called with the task and the history after every logged row, for example to draw.
        history: an earlier history of this task to continue, where there is no checkpoint.
        identity: settings that a checkpoint must have been made with, kept inside it.

    Returns:
        The history, from the first step on.

    Raises:
        FloatingPointError: if a quantity is NaN or infinite; the last good checkpoint stays.
        Interrupted: if it was, inside `whole`.
        OSError: if the checkpoint cannot be written; the earlier one stays.
        ValueError: if the checkpoint is damaged, or of a training with other settings.
    """
    identity = dict(identity or {})
    history = _resume(task, checkpoint, history or History(), identity)
    began = time.monotonic() - history.seconds
    saved = (history.step, time.monotonic())
    alone = runtime.process().world_size == 1

    def save() -> tuple[int, float]:
        _check(history, checkpoint)
        history.seconds = time.monotonic() - began
        if checkpoint is not None and runtime.process().rank == 0:
            checkpoints.save_checkpoint(checkpoint, _state(task, history, identity))
        return history.step, time.monotonic()

    with _StopRequest() as stop, runtime.Progress(steps, label, history.step, progress) as bar:
        try:
            while history.step < steps and not history.interrupted:
                scalars = task.step(history.step)
                history.pending.append({k: _detached(v) for k, v in scalars.items()})
                history.step += 1
                boundary = history.step % log_every == 0 or history.step == steps
                if boundary:
                    _check(history, checkpoint)
                    history.seconds = time.monotonic() - began
                    _add_row(history)
                    if callback is not None:
                        callback(task, history)
                bar.update(history.step, _note(history) if boundary else None)
                if alone or boundary:  # several processes must agree, which makes them wait
                    history.interrupted = _any_process(stop.requested) and history.step < steps
                if time.monotonic() - saved[1] >= save_every_seconds:
                    saved = save()
            if saved[0] != history.step:
                save()
        except KeyboardInterrupt:
            history.interrupted = True
    history.seconds = time.monotonic() - began
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # whoever reads the checkpoint next finds the last one
    if history.interrupted and _WHOLE.get():
        raise Interrupted(f"{label} was interrupted: the same command goes on from what is saved")
    return history


class Ema(Generic[Module]):
    """Exponential moving average of a network's weights, in `module`; buffers are copied."""

    def __init__(self, network: Module) -> None:
        """Start from the network's weights."""
        self.module = copy.deepcopy(network).eval().requires_grad_(False)

    @staticmethod
    def decay(images: int, half_life: float) -> float:
        """Decay of a step that saw `images` images, so that weights halve in `half_life` images."""
        return float(0.5 ** (images / half_life))

    @torch.no_grad()
    def step(self, network: nn.Module, decay: float) -> None:
        """Set the average to decay * average + (1 - decay) * network."""
        weights = zip(self.module.parameters(), network.parameters(), strict=True)
        buffers = zip(self.module.buffers(), network.buffers(), strict=True)
        for average, current in weights:
            average.lerp_(current, 1.0 - decay)
        for kept, latest in buffers:
            kept.copy_(latest)

    def state_dict(self) -> dict[str, Any]:
        """State of the averaged module."""
        return self.module.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over an averaged state."""
        self.module.load_state_dict(state)


def maybe_compile(module: Module, device: torch.device, wanted: bool = True) -> Module:
    """Compile a module in place with `torch.compile`, on CUDA only; state keys stay the same."""
    if wanted and device.type == "cuda":
        module.compile()
    return module


@torch.no_grad()
def average_gradients(module: nn.Module) -> None:
    """Average a module's gradients over the processes of `torchrun`; with one, do nothing.

    Called between `backward` and the optimiser's step. One sum over one flat buffer serves any
    training step, those with second derivatives (R1) and several forward passes included, which
    a wrapper around the module's `forward` does not. Every process must start from equal weights.

    Raises:
        ValueError: if there are several processes that did not join `runtime.process_group`.
    """
    count = runtime.process().world_size
    if count == 1:
        return
    if not torch.distributed.is_initialized():
        raise ValueError("several processes, but no group: open runtime.process_group(device)")
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    parts = (flat / count).split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


class _StopRequest:
    """Turns the first SIGINT or SIGTERM into a request, so that a step is not cut in two."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # others get no signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


def load_state(checkpoint: Path) -> dict[str, Any]:
    """What `fit` has saved.

    Returns:
        "task", "identity" and the fields of `History`: "step", "seconds", "rows", "pending".

    Raises:
        ValueError: if there is no such file, or it is damaged or not of `fit`.
    """
    state = checkpoints.load_checkpoint(checkpoint)
    kinds: dict[str, type | tuple[type, ...]] = {**_KINDS, "task": dict, "identity": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(state.get(name), kind)]
    wrong += [f"what is called {str(name)[:20]!r}" for name in state.keys() - kinds.keys()]
    if not wrong and not state["step"] >= 0:
        wrong.append("step")
    if not wrong and not 0 <= state["seconds"] < _LARGEST:
        wrong.append("seconds")
    for name in ("rows", "pending"):
        if name not in wrong and not all(map(_is_row, state[name])):
            wrong.append(name)
    if "rows" not in wrong and not all("step" in row for row in state["rows"]):
        wrong.append("rows")
    if "identity" not in wrong and not _is_plain(state["identity"]):
        wrong.append("identity")
    if wrong:
        raise ValueError(
            f"{checkpoint} is no checkpoint of posenb.train.loop.fit: {', '.join(wrong[:4])} "
            "missing, too many or of another kind; delete it to begin anew"
        )
    return state


def _is_row(row: Any) -> bool:
    """Whether it is a row of a history: finite numbers by their names."""
    return isinstance(row, dict) and all(
        isinstance(name, str) and isinstance(value, int | float) and abs(value) < _LARGEST
        for name, value in row.items()
    )


def _is_plain(value: Any) -> bool:
    """Whether there is no tensor in it, which could not be compared."""
    if isinstance(value, dict | list | tuple):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, Tensor)


def _check_kind(found: Any, expected: Any, where: str) -> None:
    """Refuse a state that is not built as a fresh one is: keys, lengths, shapes and types."""
    if isinstance(expected, Tensor):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        if shape != tuple(expected.shape) or found.dtype != expected.dtype:
            raise ValueError(f"{where} is {shape}, expected {tuple(expected.shape)}")
    elif isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            raise ValueError(f"{where} is a {type(found).__name__}")
        if not expected and where.endswith(".state"):
            return  # of an optimiser before its first step: see `_check_optimizer`
        if found.keys() != expected.keys():
            names = ", ".join(map(str, found.keys() ^ expected.keys()))
            raise ValueError(f"{where} differs in {names}: it is of another kind of training")
        for name, value in expected.items():
            _check_kind(found[name], value, f"{where}.{name}")
    elif isinstance(expected, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(expected):
            raise ValueError(f"{where} is not a list of {len(expected)}")
        for place, value in enumerate(expected):
            _check_kind(found[place], value, f"{where}.{place}")
    elif isinstance(expected, int | float) and not isinstance(expected, bool):
        number = isinstance(found, int | float) and not isinstance(found, bool)
        if not number or not math.isfinite(found):
            raise ValueError(f"{where} is {str(found)[:20]!r}, expected a number")
    elif type(found) is not type(expected):
        raise ValueError(f"{where} is a {type(found).__name__}")


def _check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Refuse a state that would fail in the next step: loading takes any."""
    probe = torch.zeros(1, requires_grad=True)
    probe.grad = torch.zeros(1)
    known = inspect.signature(type(optimizer)).parameters  # AdamW keeps one that it does not take
    settings = {name: value for name, value in optimizer.defaults.items() if name in known}
    twin = type(optimizer)([probe], **settings)
    twin.step()
    for parameter, state in optimizer.state.items():
        for name, value in twin.state[probe].items():
            wanted = parameter if isinstance(value, Tensor) and value.ndim else value
            _check_kind(state.get(name), wanted.detach() if wanted is parameter else wanted, name)
        if state.keys() != twin.state[probe].keys():
            raise ValueError(f"the optimiser's state has {', '.join(map(str, state))}")


def _resume(
    task: Task, checkpoint: Path | None, history: History, identity: Mapping[str, Any]
) -> History:
    history.interrupted = False
    if checkpoint is None or not checkpoint.exists():
        return history
    state = load_state(checkpoint)
    made_with = state.pop("identity")
    for name in dict.fromkeys([*identity, *made_with]):
        if identity.get(name) != made_with.get(name):
            raise ValueError(
                f"{checkpoint} is of a training with {name} = {made_with.get(name)!r}, this one "
                f"has {identity.get(name)!r}; delete the file to begin anew, or use another folder"
            )
    try:
        _check_kind(state["task"], task.state_dict(), "task")
        task.load_state_dict(state.pop("task"))
        for part in vars(task).values():
            if isinstance(part, torch.optim.Optimizer):
                _check_optimizer(part)
    except Exception as error:  # a task's parts raise what they like on a foreign state
        raise ValueError(
            f"{checkpoint} does not fit this training ({str(error)[:200]}); delete the file to "
            "begin anew, or use another folder"
        ) from error
    for name, value in state.items():
        setattr(history, name, value)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # rank 0 may save only after all have read
    return history


def _state(task: Task, history: History, identity: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": task.state_dict(),
        "step": history.step,
        "seconds": history.seconds,
        "rows": history.rows,
        "pending": history.pending,
        "identity": identity,
    }


def _detached(value: float | Tensor) -> float | Tensor:
    return value.detach() if isinstance(value, Tensor) else value


def _check(history: History, checkpoint: Path | None) -> None:
    """Fetch the pending scalars from the device, and stop at the first that is not finite."""
    first = history.step - len(history.pending) + 1
    for step, scalars in enumerate(history.pending, first):
        for name, value in scalars.items():
            scalars[name] = float(value)
            if not math.isfinite(scalars[name]):
                kept = f"; {checkpoint} keeps an earlier state" if checkpoint else ""
                raise FloatingPointError(
                    f"{name} is {scalars[name]} at step {step}, the first such{kept}; "
                    "lower the learning rate, or look at the data of that step"
                )


def _add_row(history: History) -> None:
    row = {"step": float(history.step)}
    for name in dict.fromkeys(key for scalars in history.pending for key in scalars):
        values = [scalars[name] for scalars in history.pending if name in scalars]
        row[name] = sum(values) / len(values)
    history.rows.append(row)
    history.pending.clear()


def _note(history: History) -> str:
    return ", ".join(f"{k} {v:.3g}" for k, v in history.rows[-1].items() if k != "step")


def _any_process(request: bool) -> bool:
    if not torch.distributed.is_initialized():
        return request
    on_gpu = torch.distributed.get_backend() == "nccl"
    flag = torch.tensor(float(request), device="cuda" if on_gpu else "cpu")
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag.item())
