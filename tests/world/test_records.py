from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from posenb.world.datasets import DatasetError, records
from posenb.world.datasets.records import Person, gather, listed, located
from posenb.world.skeletons import COCO17

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("point", "score", "size", "expected"),
    [
        ((100.0, 50.0), None, None, True),
        ((100.0, 50.0), 2.0, (640, 480), True),
        ((100.0, 50.0), 0.01, None, True),
        ((0.0, 50.0), 1.0, None, True),  # the left border
        ((0.0, 0.0), 2.0, None, False),
        ((0.0, 0.0), None, (640, 480), False),
        ((-0.0, 0.0), 1.0, None, False),
        ((-1.0, -1.0), 1.0, None, False),
        ((-1.0, -1.0), None, (640, 480), False),
        ((-1.0, 50.0), 1.0, (640, 480), True),
        ((100.0, 50.0), 0.0, None, False),
        ((100.0, 50.0), -1.0, None, False),
        ((100.0, 50.0), NAN, None, False),
        ((NAN, 50.0), 2.0, None, False),
        ((100.0, -INF), 2.0, (640, 480), False),
        ((-600.0, 900.0), 1.0, (640, 480), True),  # outside of the picture, as annotators may
        ((640 * 4.1, 50.0), 1.0, (640, 480), False),
        ((640 * 4.1, 50.0), 1.0, None, True),
        ((100.0, -480 * 3.1), 1.0, (640, 480), False),
        ((640 * 4.1, 50.0), 1.0, (NAN, NAN), True),  # a size that is not known
        ((2e5, 50.0), 1.0, None, False),
        ((2e5, 50.0), 1.0, (NAN, NAN), False),
        ((100.0, -1e30), 1.0, None, False),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_was_placed(
    point: tuple[float, float],
    score: float | None,
    size: tuple[float, float] | None,
    expected: bool,
    dtype: torch.dtype,
) -> None:
    points = torch.tensor([[point, (20.0, 30.0)]], dtype=dtype)  # (1, 2, 2)
    scores = None if score is None else torch.tensor([[score, 1.0]])
    assert located(points, scores, size).tolist() == [[expected, True]]


def test_each_picture_has_its_size() -> None:
    points = torch.full((3, 2, 2), 3000.0)
    sizes = torch.tensor([[4000.0, 3000.0], [640.0, 480.0], [NAN, NAN]])
    assert located(points, None, sizes).all(1).tolist() == [True, False, True]


def person(**fields: object) -> Person:
    points = [[100.0 + 5 * joint, 200.0 + 10 * joint] for joint in range(17)]
    return Person(points, [True] * 17, None, "unknown", "somebody", "7.jpg", (640, 480))._replace(
        **fields  # type: ignore[arg-type]
    )


def test_a_joint_that_nobody_placed_is_masked_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    holes = [[0.0, 0.0], [NAN, 5.0], [9e9, 5.0], *person().keypoints[3:]]
    people = [person(keypoints=holes), person(), person(keypoints=holes)]
    poses = gather(Path("a"), people, COCO17, COCO17, 1, 1.25, shift=0.5)
    assert poses.visible is not None
    assert poses.visible.sum(1).tolist() == [14, 17, 14]
    assert (poses.keypoints[0, :3] == 0).all() and poses.keypoints.isfinite().all()
    torch.testing.assert_close(poses.pixels()[0, 3], torch.tensor([115.5, 230.5]))
    (said,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "6 of 51 joints" in said


@pytest.mark.parametrize("box", [None, (100.0, 200.0, 100.0, 200.0), (120.0, 210.0, 130.0, 220.0)])
def test_somebody_of_one_joint_or_without_a_box_has_a_crop(
    box: tuple[float, float, float, float] | None,
) -> None:
    one = person(labelled=[True] + [False] * 16, box=box)
    poses = gather(Path("a"), [person(box=box), one], COCO17, COCO17, 1, 1.25)
    assert poses.visible is not None and poses.visible.sum(1).tolist() == [17, 1]
    assert poses.keypoints.min() >= 0 and poses.keypoints.max() <= 1
    assert poses.picture == ("7.jpg",) * 2
    torch.testing.assert_close(poses.pixels()[1, 0], torch.tensor([100.0, 200.0]))


def test_pictures_that_nobody_names_are_none() -> None:
    poses = gather(Path("a"), [person(picture="")] * 2, COCO17, COCO17, 1, 1.25)
    assert poses.picture is None and poses.crop is not None
    poses = gather(Path("a"), [person(picture=""), person()], COCO17, COCO17, 1, 1.25)
    assert poses.picture == ("", "7.jpg")


def test_nobody_is_left() -> None:
    corner = person(keypoints=[[0.0, 0.0]] * 17)
    with pytest.raises(DatasetError, match="none of 34 joints .* was placed"):
        gather(Path("a"), [corner, corner], COCO17, COCO17, 1, 1.25)
    hidden = person(labelled=[False] * 17)
    with pytest.raises(DatasetError, match="none of 0 joints"):
        gather(Path("a"), [hidden], COCO17, COCO17, 1, 1.25)


def test_messages_stay_short() -> None:
    error = DatasetError("a.json", "annotation " + "9" * 9999, f"{'x' * 70_000}: what to do")
    assert len(str(error)) < 800 and str(error).endswith("what to do")
    assert listed("abc") == "a, b, c" and listed(range(9)) == "0, 1, 2, 3, 4, 5 and 3 more"
    assert len(listed(["k" * 5000] * 3)) < 150
    with pytest.raises(DatasetError) as caught:
        records.field(Path("a"), "file", {f"key{n}": 0 for n in range(10_000)}, "id", int)
    assert len(str(caught.value)) < 300
