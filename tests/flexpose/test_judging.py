"""Distances to shots that lack joints, the ranking of sources, and what a report says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from posenb import flexpose, prior
from posenb.flexpose import baselines, judging
from posenb.flexpose.adapt import Readers
from posenb.flexpose.losses import energy_distance
from posenb.world import domains
from posenb.world.poses import PoseSet, recrop
from posenb.world.skeletons import BODY17


@pytest.fixture(autouse=True)
def _few_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "DRAWN", 150)


def people(name: str, count: int, seed: int) -> PoseSet:
    return recrop(domains.get(name).sample(count, seed))


def masked(poses: PoseSet, share: float, seed: int = 0) -> PoseSet:
    """Joints missing at random; cropped around what is left, as loaders do."""
    random = torch.Generator().manual_seed(seed)
    visible = torch.rand(len(poses), 17, generator=random) > share
    visible[:, [1, 16]] = True
    keypoints = poses.keypoints.where(visible[..., None], 0.0)
    return recrop(replace(poses, keypoints=keypoints, visible=visible))


def test_with_all_joints_it_is_the_energy_distance() -> None:
    a, b = people("wild", 40, 1), people("lab", 30, 2)
    expected = energy_distance(a.keypoints.flatten(1), b.keypoints.flatten(1))
    # `seen_through` crops with a margin of 1.25, as `recrop` did: nothing changes.
    assert judging.energy(a.keypoints, b) == pytest.approx(float(expected), abs=1e-4)
    everything = replace(b, visible=torch.ones(30, 17, dtype=torch.bool))
    assert judging.energy(a.keypoints, everything) == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.slow
def test_missing_joints_hardly_change_it_and_never_the_order() -> None:
    near, far = people("lab", 300, 1).keypoints, people("wild", 300, 1).keypoints
    shots = people("lab", 100, 2)
    whole = judging.energy(far, shots) - judging.energy(near, shots)
    for share in (0.1, 0.3):
        some = masked(shots, share)
        assert abs(judging.energy(near, some)) < whole / 2
        gap = judging.energy(far, some) - judging.energy(near, some)
        assert gap == pytest.approx(whole, rel=0.35)


@pytest.mark.parametrize("joints", [[9, 10], [9], [3, 6]])
def test_what_no_shot_shows_does_not_count(joints: list[int]) -> None:
    shots, poses = people("lab", 20, 2), people("wild", 50, 1).keypoints
    visible = torch.ones(20, 17, dtype=torch.bool)
    visible[:, joints] = False
    keypoints = shots.keypoints.where(visible[..., None], 0.0)
    some = recrop(replace(shots, keypoints=keypoints, visible=visible))
    moved = poses.clone()
    moved[:, joints] += torch.randn(50, len(joints), 2, generator=torch.Generator().manual_seed(3))
    assert judging.energy(moved, some) == pytest.approx(judging.energy(poses, some), abs=1e-5)


def test_shots_without_a_common_joint_are_not_compared() -> None:
    shots = people("lab", 3, 0)
    visible = torch.zeros(3, 17, dtype=torch.bool)
    visible[0, :8], visible[1, 8:], visible[2] = True, True, True
    gaps = judging.among(replace(shots, visible=visible), people("wild", 20, 1).keypoints)
    assert gaps[0, 1].isnan() and gaps[0, 2] > 0 and gaps[1, 2] > 0


@pytest.mark.slow
def test_the_nearest_source_goes_first() -> None:
    """The shipped `stage` is nearer to people of `stage` than `wild` is, and the reverse."""
    ranking = flexpose.rank_sources(people("wild", 24, 5), ("wild", "stage"))
    assert [name for name, _ in ranking] == ["wild", "stage"]
    assert ranking[0][1] < ranking[1][1]
    cut = masked(people("stage", 24, 5), 0.2)
    assert flexpose.rank_sources(cut, ("wild", "stage"))[0][0] == "stage"


def test_people_of_one_picture_stay_together_and_all_are_held_out_once() -> None:
    shots = people("wild", 18, 0)
    shots = replace(shots, subject=tuple(f"image {i // 3} / person {i}" for i in range(18)))
    splits = judging.hold_out(shots)
    assert len(splits) == 3
    seen = [name for _, out in splits for name in out.subject]
    assert sorted(seen) == sorted(shots.subject)
    for known, out in splits:
        pictures = [{n.split(" / ")[0] for n in part.subject} for part in (known, out)]
        assert not pictures[0] & pictures[1]
    assert len(judging.hold_out(people("wild", 24, 0))) == 1
    assert judging.hold_out(people("wild", 5, 0)) == []


@pytest.mark.slow
def test_of_many_shots_some_are_compared() -> None:
    many = replace(people("stage", 660, 5), picture=tuple(map(str, range(660))))
    ((known, out),) = judging.hold_out(many)
    assert (len(known), len(out)) == (440, judging.MOST)
    assert len({*known.picture, *out.picture}) == 640
    some, every = (judging.energy(people("wild", 300, 1).keypoints, s) for s in (out, many))
    assert some == pytest.approx(every, rel=0.2)
    (ranked,) = flexpose.rank_sources(many, ["wild"])
    assert 0 < ranked[1] < 1


def judged(learned: PoseSet, count: int) -> dict:
    """A report of shots of `stage` from `wild`, where "adapting" gives these poses."""

    def draw(number: int, seed: int) -> Tensor:
        return learned.keypoints[:number]

    sampler = baselines.Sampler(draw, BODY17)
    generator, readers = prior.load_generator("wild"), Readers.load("wild")
    shots = people("stage", count, 3)
    return judging.judge(shots, generator, readers, lambda *_: sampler)


@pytest.mark.slow
def test_a_good_adaptation_is_told_from_a_bad_one() -> None:
    good = judged(people("stage", 500, 4), 24)
    rows = good["rows"]
    assert rows["adapted"]["distance"] < rows["source"]["distance"]
    assert good["gain"]["low"] > 0 and good["held_out"] >= 8
    assert judging.verdict(good)[0].startswith("Adapting brought the source nearer")
    upside_down = people("stage", 500, 4)
    upside_down = replace(upside_down, keypoints=1 - upside_down.keypoints)
    bad = judged(upside_down, 12)
    rows = bad["rows"]
    assert rows["adapted"]["distance"] > rows["source"]["distance"] and bad["held_out"] == 12
    told = judging.verdict(bad)
    assert told[0].startswith("Warning: adapted poses are farther")
    assert told[1].startswith("Repeating the ")
    table = judging.table(bad)
    assert all(kind in table for kind in ("source", "adapted", "bare shots", "mixtures"))


def test_too_few_shots_are_said_to_be_so() -> None:
    report = judged(people("stage", 500, 4), 5)
    assert report["rows"] == {} and report["held_out"] == 0
    assert "5 shots are too few" in judging.verdict(report)[0]
