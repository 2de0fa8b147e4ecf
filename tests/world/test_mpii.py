from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from posenb.world.datasets import DatasetError, mpii
from posenb.world.skeletons import BODY17, MPII16

pytestmark = pytest.mark.slow

CENTER, SCALE = [300.0, 200.0], 1.5


def joint(number: int) -> list[float]:
    return [250.0 + 5 * number, 120.0 + 10 * number]


def entry(name: str, labelled: int = 16) -> dict[str, Any]:
    return {
        "joints_vis": [int(j < labelled) for j in range(16)],
        "joints": [joint(j) if j < labelled else [-1.0, -1.0] for j in range(16)],
        "image": name,
        "scale": SCALE,
        "center": CENTER,
    }


def rect(labelled: int = 16) -> dict[str, Any]:
    points = [{"x": joint(j)[0], "y": joint(j)[1], "id": j, "is_visible": j % 2} for j in range(16)]
    return {
        "x1": 1,
        "y1": 1,
        "x2": 9,
        "y2": 9,
        "annopoints": {"point": points[:labelled]},
        "scale": SCALE,
        "objpos": {"x": CENTER[0], "y": CENTER[1]},
    }


def structs(records: list[dict[str, Any]]) -> np.ndarray:
    """A Matlab struct array, 1 x N, in which absent fields are empty, as Matlab has it."""
    names = dict.fromkeys(name for record in records for name in record)
    array = np.empty((1, len(records)), dtype=[(name, object) for name in names])
    for i, record in enumerate(records):
        for name in names:
            value = record.get(name, np.zeros((0, 0)))
            if isinstance(value, list):
                value = structs(value)
            elif isinstance(value, dict):
                value = structs([value])
            array[name][0, i] = value
    return array


def release(images: list[tuple[str, list[dict[str, Any]]]], training: list[int]) -> dict[str, Any]:
    return {
        "RELEASE": structs(
            [
                {
                    "annolist": structs(
                        [
                            {"image": {"name": name}, "annorect": rects or np.zeros((0, 0))}
                            for name, rects in images
                        ]
                    ),
                    "img_train": np.array([training], dtype=np.uint8),
                    "act": structs(
                        [
                            {"cat_name": "sports", "act_name": f"sport {i}", "act_id": i}
                            for i in range(len(images))
                        ]
                    ),
                }
            ]
        )
    }


def unplaced() -> dict[str, Any]:
    person = rect()
    del person["objpos"], person["scale"]
    return person


@pytest.fixture
def official(tmp_path: Path) -> Path:
    path = tmp_path / "mpii_human_pose_v1_u12_1.mat"
    nobody = {"x1": 1, "scale": 2.0, "objpos": {"x": 5, "y": 5}}
    images = [
        ("000000001.jpg", [rect(), nobody, rect(5)]),
        ("000000002.jpg", []),
        ("000000003.jpg", [rect(1)]),
        ("000000004.jpg", [rect(), unplaced()]),
        ("000000005.jpg", [{"scale": 2.0, "objpos": {"x": 5, "y": 5}}]),
    ]
    savemat(path, release(images, [1, 1, 1, 1, 0]))
    return path


@pytest.fixture
def derived(tmp_path: Path) -> Path:
    path = tmp_path / "trainval.json"
    path.write_text(json.dumps([entry("a.jpg"), entry("a.jpg", 5), entry("b.jpg", 0)]))
    return path


def expected_crop() -> torch.Tensor:
    """By hand: box of 300 about (300, 200 + 22.5), margin 1.25, Matlab's pixel 1 is at 0.5."""
    side = 1.25 * 300
    corner = torch.tensor([299.5 - side / 2, 222.0 - side / 2])
    return (torch.tensor([joint(j) for j in range(16)]) - 0.5 - corner) / side


def test_official_release(official: Path) -> None:
    poses = mpii.load(official)
    assert poses.subject == (
        "image 000000001.jpg / person 1",
        "image 000000001.jpg / person 3",
        "image 000000003.jpg / person 1",
        "image 000000004.jpg / person 1",
    )
    assert poses.action == ("sport 0", "sport 0", "sport 2", "sport 3")
    assert poses.skeleton is MPII16 and poses.visible is not None
    assert poses.visible.sum(1).tolist() == [16, 5, 1, 16]
    torch.testing.assert_close(poses.keypoints[0], expected_crop())
    assert (poses.keypoints[~poses.visible] == 0).all()
    assert len(mpii.load(official, minimum_joints=16)) == 2


def test_derived_json_agrees_with_the_release(
    official: Path, derived: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        poses = mpii.load(derived)
    assert "passed over 1 of 3: 1 without a labelled joint" in caplog.text
    assert poses.subject == ("image a.jpg / record 0", "image a.jpg / record 1")
    assert set(poses.action) == {"unknown"}
    torch.testing.assert_close(poses.keypoints, mpii.load(official).keypoints[:2])
    assert torch.equal(poses.visible, mpii.load(official).visible[:2])


def test_another_skeleton(derived: Path) -> None:
    poses = mpii.load(derived, skeleton=BODY17, minimum_joints=17)
    assert len(poses) == 1 and poses.skeleton is BODY17
    torch.testing.assert_close(poses.keypoints[0, BODY17.index("neck")], expected_crop()[7])


def test_joints_outside_the_box_widen_the_crop(tmp_path: Path) -> None:
    far = entry("a.jpg")
    far["joints"][10] = [900.0, -50.0]
    path = tmp_path / "far.json"
    path.write_text(json.dumps([far]))
    keypoints = mpii.load(path).keypoints
    assert keypoints.min() >= 0 and keypoints.max() <= 1


NAN = float("nan")


@pytest.mark.parametrize(
    "change",
    [
        {"center": None},
        {"center": [1.0]},
        {"center": [NAN, 5.0]},
        {"scale": 0},
        {"scale": None},
        {"scale": NAN},
        {"scale": 1e9},
        {"joints_vis": [1.0] * 16},
    ],
    ids=str,
)
def test_an_unneeded_part_does_not_cost_a_record(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps([entry("a.jpg"), {**entry("b.jpg"), **change}]))
    poses = mpii.load(path)
    assert poses.visible is not None and poses.visible.all() and len(poses) == 2
    torch.testing.assert_close(poses.pixels()[0], poses.pixels()[1])
    torch.testing.assert_close(poses.pixels()[0], torch.tensor([joint(j) for j in range(16)]) - 0.5)
    assert poses.picture == ("a.jpg", "b.jpg")


@pytest.mark.parametrize("image", [5, None, "absent"])
def test_a_record_may_lack_the_name_of_its_picture(image: object, tmp_path: Path) -> None:
    one = {**entry("a.jpg"), "image": image}
    if image == "absent":
        del one["image"]
    path = tmp_path / "train.json"
    path.write_text(json.dumps([one, entry("b.jpg")]))
    poses = mpii.load(path)
    assert len(poses) == 2 and poses.subject[0].endswith(" / record 0")


@pytest.mark.parametrize("value", [NAN, float("inf"), None, 1e9, "left"])
@pytest.mark.parametrize("flag", [0, None, -1, NAN])
def test_what_an_unlabelled_joint_holds_does_not_matter(
    value: object, flag: object, tmp_path: Path
) -> None:
    one = entry("a.jpg")
    one["joints"][15], one["joints_vis"][15] = [value, value], flag
    path = tmp_path / "train.json"
    path.write_text(json.dumps([one]))
    poses = mpii.load(path)
    assert poses.visible is not None and poses.visible[0].tolist() == [True] * 15 + [False]


@pytest.mark.parametrize(
    "point", [[0, 0], [NAN, 5], [5, None], [9e9, 5], [5, -float("inf")]], ids=str
)
def test_a_labelled_joint_that_nobody_placed_is_masked(
    point: list[float], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = entry("a.jpg")
    one["joints"][15] = point
    path = tmp_path / "train.json"
    path.write_text(json.dumps([one]))
    poses = mpii.load(path)
    assert poses.visible is not None and poses.visible[0].tolist() == [True] * 15 + [False]
    assert "1 of 16 joints are marked as seen but were not placed" in caplog.text


def test_people_without_joints_or_visibilities(tmp_path: Path) -> None:
    bare, test = entry("a.jpg"), {"image": "b.jpg", "center": CENTER, "scale": SCALE}
    del bare["joints_vis"]
    path = tmp_path / "train.json"
    path.write_text(json.dumps([bare, test]))
    poses = mpii.load(path)
    assert len(poses) == 1 and poses.visible is not None and poses.visible.all()
    path.write_text(json.dumps([test] * 3))
    with pytest.raises(DatasetError, match="nobody .*: 3 without joints"):
        mpii.load(path)


@pytest.mark.parametrize(
    ("change", "where", "why"),
    [
        ({"joints": entry("a")["joints"][:15]}, "record 1", "joints must be 16, found 15"),
        ({"joints": [[1.0, 2.0]] * 15 + [[1.0]]}, "record 1", "must be [x, y], found [1.0]"),
        ({"joints": [[1.0, "2"]] * 16}, "record 1", "'2'"),
        ({"joints": [5] * 16}, "record 1", "must be [x, y], found 5"),
        ({"joints": "left"}, "record 1", "'joints' must be a list"),
        ({"joints_vis": [1] * 17}, "record 1", "joints_vis must be 16, found 17"),
        ({"joints_vis": 5}, "record 1", "'joints_vis' must be a list"),
    ],
)
def test_a_damaged_record_is_named(
    change: dict[str, Any], where: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps([entry("a.jpg"), {**entry("b.jpg"), **change}]))
    with pytest.raises(DatasetError) as caught:
        mpii.load(path)
    assert caught.value.path == path
    assert caught.value.record == where and why in caught.value.reason


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        (json.dumps([entry("a.jpg")])[:-9], "cut off"),
        (json.dumps({"annotations": []}), "expected a list of people, found dict"),
        (json.dumps(["a.jpg"]), "expected an object"),
        (json.dumps([{}]), "nobody .*: 1 without joints"),
        ("[]", "nobody"),
        (json.dumps([entry("a.jpg", 0)]), "nobody"),
    ],
)
def test_a_damaged_json_is_refused(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=why):
        mpii.load(path)


@pytest.mark.parametrize("keep", [0, 100, 128, 200, 0.5, 0.95])
def test_a_truncated_release_is_refused(keep: float, official: Path) -> None:
    content = official.read_bytes()
    official.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(DatasetError, match="is no MATLAB file, or is cut off"):
        mpii.load(official)


@pytest.mark.parametrize(
    ("content", "where", "why"),
    [
        ({"other": 1}, "file", "'RELEASE' is missing; found other"),
        ({"RELEASE": 1}, "file", "'RELEASE' must be a dict, found int"),
        (release([("a.jpg", [rect()])], [1, 1]), "RELEASE", "lists differ in length"),
        (release([(np.zeros((0, 0)), [rect()])], [1]), "annolist 1", "no image.name"),
        (
            release(
                [("a.jpg", [{**rect(), "annopoints": {"point": [{"x": 1, "y": 2, "id": 16}]}}])],
                [1],
            ),
            "image a.jpg, person 1",
            "joint id must be 0 to 15, found 16",
        ),
        (release([("a.jpg", [rect()])], [0]), "all people (1)", "1 of the test set"),
    ],
)
def test_a_damaged_release_names_the_person(
    content: dict[str, Any], where: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "release.mat"
    savemat(path, content)
    with pytest.raises(DatasetError) as caught:
        mpii.load(path)
    assert caught.value.record == where and why in caught.value.reason


@pytest.mark.parametrize(
    "change",
    [{"scale": -1.0}, {"scale": np.nan}, {"objpos": {"x": np.nan, "y": 1.0}}, {"objpos": {"x": 1}}],
    ids=str,
)
def test_a_place_of_nothing_does_not_cost_a_person(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "release.mat"
    savemat(path, release([("a.jpg", [{**rect(), **change}, rect(9)])], [1]))
    poses = mpii.load(path)
    assert poses.visible is not None and poses.visible.sum(1).tolist() == [16, 9]
    torch.testing.assert_close(poses.pixels()[0], torch.tensor([joint(j) for j in range(16)]) - 0.5)


@pytest.mark.parametrize("point", [{"x": 1}, {"x": np.nan, "y": 1}, {"x": 0, "y": 0}], ids=str)
def test_a_point_of_nothing_is_masked(
    point: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    person = rect()
    person["annopoints"]["point"][3] = {**point, "id": 3}
    path = tmp_path / "release.mat"
    savemat(path, release([("a.jpg", [person])], [1]))
    poses = mpii.load(path)
    assert poses.visible is not None and not poses.visible[0, 3] and poses.visible.sum() == 15
    assert "1 of 16 joints" in caplog.text


def test_a_missing_file_says_where_it_comes_from(tmp_path: Path) -> None:
    for name in ("mpii_human_pose_v1_u12_1.mat", "trainval.json"):
        with pytest.raises(DatasetError, match=r"human-pose\.mpi-inf\.mpg\.de"):
            mpii.load(tmp_path / name)
    with pytest.raises(ValueError, match=r"\.mat or \.json, found 'train\.csv'"):
        mpii.load(tmp_path / "train.csv")
