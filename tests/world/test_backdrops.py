"""Collages behind synthetic people: those of every size and batch, and as rough as photographs."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
import torch

from posenb.world import backdrops, looks


def some(count: int, seed: int = 0) -> torch.Tensor:
    return looks.chances(count, torch.Generator().manual_seed(seed))


def test_pictures_are_pieces_of_their_collages() -> None:
    numbers, size = some(14), 24
    cut = backdrops.backdrop(numbers, size).numpy()
    light = looks.chance(numbers, "backdrop_light", 0.55, 1.1).numpy()
    which = (looks.chance(numbers, "backdrop") * backdrops.COLLAGES).long().tolist()
    turns = set()
    for picture, bright, number in zip(cut, light, which, strict=True):
        whole = backdrops.collage(number, size) * bright
        for turn in range(8):  # undo the square's symmetries one by one and look for the piece
            piece = np.rot90(picture, turn % 4)
            piece = np.ascontiguousarray(piece[:, ::-1] if turn >= 4 else piece)
            off = cv2.matchTemplate(whole.clip(0, 1), piece, cv2.TM_SQDIFF)
            if off.min() < 0.01:
                turns.add(turn)
                break
        else:
            pytest.fail(f"a picture is no piece of collage {number}")
    assert len(turns) > 3


def test_a_picture_is_the_same_in_every_batch_and_seed_after_seed() -> None:
    numbers = some(30, 1)
    whole = backdrops.backdrop(numbers, 16)
    torch.testing.assert_close(backdrops.backdrop(numbers[11:13], 16), whole[11:13])
    assert not torch.equal(backdrops.backdrop(some(30, 2), 16), whole)


def test_a_collage_is_the_same_at_every_size() -> None:
    small, large = backdrops.collage(3, 32), backdrops.collage(3, 96)
    shrunk = cv2.resize(large, small.shape[:2], interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk - small).mean() < 0.01
    assert np.abs(backdrops.collage(4, 32) - small).mean() > 0.1


def test_collages_are_as_rough_as_photographs() -> None:
    """Power of photographs falls with frequency f as f^-a, a about 2 (Field, JOSA A 1987)."""
    size = 64
    power = 0.0
    for number in range(backdrops.COLLAGES):
        image = backdrops.collage(number, size).mean(-1)
        window = np.hanning(len(image))
        image = (image - image.mean()) * window * window[:, None]
        power = power + np.abs(np.fft.fft2(image)) ** 2
    axis = np.fft.fftfreq(len(image))
    radius = np.hypot(axis, axis[:, None])
    edges = np.geomspace(0.02, 0.3, 9)
    ring = [power[(radius >= a) & (radius < b)].mean() for a, b in itertools.pairwise(edges)]
    slope = np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(ring), 1)[0]
    assert -3.2 < slope < -1.6
