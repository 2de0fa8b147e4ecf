"""Exercises: `check("01.3", answer)` says in words whether an answer is right, and if not, why.

A chapter registers a checker for each of its exercises:

    @exercise("01.3", title="Write the truncation", minutes=5, difficulty="easy")
    def truncation(answer: Callable[[Tensor, Tensor, float], Tensor]) -> str | None:
        ...  # None if it is right, else a sentence that says what is not

The notebook's cell sets `answer = None`, which counts as open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import torch
from torch import Tensor

Difficulty = Literal["easy", "medium", "hard"]
Checker = Callable[[Any], str | None]


@dataclass(frozen=True)
class Exercise:
    """One exercise: its number as in the notebook, what it asks for, and who checks it."""

    name: str
    title: str
    minutes: int
    difficulty: Difficulty
    checker: Checker


class _Quiet:
    """Shows nothing at the end of a cell: `check` has already spoken."""

    def _ipython_display_(self) -> None:
        """Display nothing (an Enum itself may not define a name such as this one)."""


class Outcome(_Quiet, Enum):
    """What `check` found; true if the answer was accepted."""

    OPEN = "open"
    WRONG = "wrong"
    RIGHT = "right"

    def __bool__(self) -> bool:
        return self is Outcome.RIGHT


_EXERCISES: dict[str, Exercise] = {}


def exercise(
    name: str, *, title: str, minutes: int, difficulty: Difficulty
) -> Callable[[Checker], Checker]:
    """Register a checker; see the module's docstring.

    Raises:
        ValueError: if another checker has that name.
    """

    def register(checker: Checker) -> Checker:
        known = _EXERCISES.get(name)
        if known is not None and known.checker.__qualname__ != checker.__qualname__:
            raise ValueError(f"exercise {name} has a checker already: {known.title}")
        _EXERCISES[name] = Exercise(name, title, minutes, difficulty, checker)
        return checker

    return register


def registered() -> tuple[str, ...]:
    """Names of the exercises whose chapters are imported, in order."""
    return tuple(sorted(_EXERCISES))


def check(name: str, answer: Any) -> Outcome:
    """Check an answer, print what was found, and return it.

    An answer that raises an error is wrong, not fatal: the notebook goes on.

    Args:
        name: the exercise, for example "01.3".
        answer: None or ... while it is open.

    Raises:
        ValueError: if there is no such exercise.
    """
    if name not in _EXERCISES:
        raise ValueError(
            f"there is no exercise {name!r}; there are: {', '.join(registered())}. "
            "Each chapter's exercises come with it: from posenb.course.prior import exercises"
        )
    task = _EXERCISES[name]
    if answer is None or answer is ...:
        print(f"Exercise {name} is open: {task.title} ({task.difficulty}, {task.minutes} minutes).")
        return Outcome.OPEN
    try:
        complaint = task.checker(answer)
    except Exception as error:
        kind = type(error).__name__
        complaint = f"your answer ended in an error. {kind}: {error}"
    if complaint:
        print(f"Exercise {name}, not yet: {complaint}")
        return Outcome.WRONG
    print(f"Exercise {name} is right.")
    return Outcome.RIGHT


def misfit(found: Any, expected: Tensor) -> str | None:
    """A complaint if the answer's output is no tensor of the expected shape."""
    if not isinstance(found, Tensor):
        return f"expected a tensor, found {type(found).__name__}: is there a return?"
    if found.shape != expected.shape:
        return f"expected the shape {tuple(expected.shape)}, found {tuple(found.shape)}."
    return None


def verdict(found: Tensor, expected: Tensor, replies: Iterable[tuple[Tensor, str]]) -> str | None:
    """None if the answer is right, else the reply to the mistake that explains it."""
    if torch.allclose(found, expected, atol=1e-4):
        return None
    for mistake, reply in replies:
        if torch.allclose(found, mistake, atol=1e-4):
            return reply
    return (
        f"the values differ from the expected ones by up to {(found - expected).abs().max():.3g}."
    )


def number(value: Any) -> float | None:
    """A number, or a tensor of one number, as a float; None for anything else."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.item()
    return float(value) if isinstance(value, int | float) else None
