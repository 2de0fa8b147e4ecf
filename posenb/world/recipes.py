"""What recipes of bodies, hands and faces have in common: names, seeds, splits, subjects."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor

Split = Literal["train", "test"]
Recipe = TypeVar("Recipe")


@dataclass(frozen=True)
class Shelf(Generic[Recipe]):
    """Recipes of one kind, by name.

    Attributes:
        kind: what they are, for messages: `domain`, `face domain`.
        recipes: in their order.
    """

    kind: str
    recipes: Mapping[str, Recipe]

    def names(self) -> tuple[str, ...]:
        """The names there are."""
        return tuple(self.recipes)

    def get(self, name: str) -> Recipe:
        """The one of that name.

        Raises:
            ValueError: if there is none; the message lists the names.
        """
        if name not in self.recipes:
            known = ", ".join(self.recipes)
            raise ValueError(f"there is no {self.kind} {name!r}; there are: {known}")
        return self.recipes[name]


def generator(*seeds: str | int) -> torch.Generator:
    """Random numbers that follow from a name, such as of a domain, a split and a seed."""
    return torch.Generator().manual_seed(zlib.crc32("/".join(map(str, seeds)).encode()))


def check_choices(owner: str, kind: str, choices: Iterable[tuple[str, float]]) -> None:
    """ValueError unless the weights of (name, weight) pairs can be drawn by."""
    weights = [weight for _, weight in choices]
    if not sum(weights) > 0 or min(weights) < 0:
        raise ValueError(
            f"{owner}: {kind}s need weights that are not negative and not all 0, found {choices}"
        )


def check_known(
    owner: str, kind: str, pairs: Iterable[tuple[str, float]], known: Iterable[str]
) -> None:
    """ValueError if a pair names what there is not."""
    known = list(known)
    for name, _ in pairs:
        if name not in known:
            raise ValueError(f"{owner}: there is no {kind} {name!r}; there are: {', '.join(known)}")


def check_subjects(owner: str, subjects: int) -> None:
    """ValueError unless there are subjects for either split."""
    if subjects < 4:
        raise ValueError(f"{owner}: {subjects} subjects are too few for a test split: at least 4")


def check_draw(count: int, split: Split) -> None:
    """ValueError for a count below 1 or an unknown split."""
    if count < 1:
        raise ValueError(f"count must be at least 1, found {count}")
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', found {split!r}")


def draw_subjects(
    name: str, subjects: int, count: int, split: Split, random: torch.Generator
) -> tuple[Tensor, tuple[str, ...]]:
    """Who is in N pictures, (N,), and their ids; every fourth of a recipe's subjects is for tests.

    Args:
        name: the recipe's, with which ids begin.
        subjects: how many people it has.
        count: N.
        split: `train` or `test`.
        random: draws them.

    Raises:
        ValueError: if the split has nobody.
    """
    number = torch.arange(subjects)
    pool = number[(number % 4 == 3) == (split == "test")]
    if not len(pool):
        check_subjects(name, subjects)
    chosen = pool[torch.randint(len(pool), (count,), generator=random)]  # (N,)
    return chosen, tuple(f"{name}-{i:03d}" for i in chosen.tolist())


def between(ends: tuple[float, float], share: Tensor) -> Tensor:
    """Numbers so far between two ends: 0 is the first, 1 the second."""
    return ends[0] + (ends[1] - ends[0]) * share
