from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from posenb.world.datasets import DatasetError, coco
from posenb.world.skeletons import BODY17, COCO17

REAL = Path(__file__).parents[3] / "shared" / "data"
real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real annotations in {REAL}")


def annotation(number: int, labelled: int = 17) -> dict[str, Any]:
    """A person in a box of 40 x 80 pixels whose joints lie on a diagonal inside it."""
    left, top = 10 * number, 20 * number
    flat: list[float] = []
    for joint in range(17):
        flat += [left + joint, top + 2 * joint, 2 - joint % 2] if joint < labelled else [0, 0, 0]
    return {
        "id": 1000 + number,
        "image_id": 7,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": labelled,
        "keypoints": flat,
        "bbox": [left, top, 40.0, 80.0],
        "area": 3200.0,
        "segmentation": [],
    }


def content() -> dict[str, Any]:
    return {
        "info": {},
        "licenses": [],
        "images": [{"id": 7, "width": 640, "height": 480, "file_name": "000000000007.jpg"}],
        "categories": [
            {"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []},
            {"id": 2, "name": "bicycle"},
        ],
        "annotations": [
            annotation(1),
            annotation(2, labelled=13),
            annotation(3, labelled=0),
            {**annotation(4), "iscrowd": 1, "segmentation": {"counts": [], "size": [1, 1]}},
            {"id": 9, "image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1], "iscrowd": 0},
            annotation(5, labelled=1),
        ],
    }


def write(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write(tmp_path / "person_keypoints_tiny.json", content())


def test_people_and_crop(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        poses = coco.load(tiny)
    assert "passed over 3" in caplog.text  # the person without joints, the crowd, the bicycle
    assert poses.subject == tuple(f"image 7 / person {n}" for n in (1001, 1002, 1005))
    assert set(poses.action) == {"unknown"} and poses.skeleton is COCO17
    assert poses.joints3d is None and poses.camera is None and poses.visible is not None
    assert poses.visible.sum(1).tolist() == [17, 13, 1]
    assert (poses.keypoints[~poses.visible] == 0).all()
    # person 1: box (10, 20) to (50, 100), so a square of 100 from (-20, 10); half a pixel is added
    expected = [[(10 + j + 20.5) / 100, (20 + 2 * j - 9.5) / 100] for j in range(17)]
    torch.testing.assert_close(poses.keypoints[0], torch.tensor(expected))


def test_margin_and_minimum(tiny: Path) -> None:
    tight = coco.load(tiny, margin=1).keypoints[0, 0]
    torch.testing.assert_close(tight, torch.tensor([(10.5 + 10) / 80, 0.5 / 80]))
    assert [len(coco.load(tiny, minimum_joints=n)) for n in (1, 2, 13, 14, 17)] == [3, 2, 2, 1, 1]
    for wrong in (0, 18):
        with pytest.raises(ValueError, match=rf"minimum_joints is {wrong}, expected 1 to 17"):
            coco.load(tiny, minimum_joints=wrong)
    for wrong_margin in (0.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="margin is"):
            coco.load(tiny, margin=wrong_margin)


def test_joints_outside_the_box_widen_the_crop(tmp_path: Path) -> None:
    data = content()
    data["annotations"][0]["keypoints"][:2] = [300, 5]  # hidden, far right and above the box
    keypoints = coco.load(write(tmp_path / "far.json", data)).keypoints[0]
    assert keypoints.min() >= 0 and keypoints.max() <= 1
    span = keypoints[0, 0] * 1.25 - 0.125
    torch.testing.assert_close(span, torch.tensor(1.0))  # it is what the square was widened to


def test_another_skeleton_knows_what_it_lacks(tiny: Path) -> None:
    poses = coco.load(tiny, skeleton=BODY17)
    assert poses.skeleton is BODY17 and len(poses) == 2 + 1
    assert poses.visible is not None and poses.visible[0].all()
    hidden = {BODY17.joints[j] for j in (~poses.visible[1]).nonzero().flatten().tolist()}
    assert hidden == {"left_knee", "right_knee", "left_ankle", "right_ankle"}
    assert [BODY17.joints[j] for j in poses.visible[2].nonzero().flatten()] == ["nose"]
    ours, theirs = poses.keypoints[0], coco.load(tiny).keypoints[0]
    torch.testing.assert_close(ours[0], theirs[11:13].mean(0))  # the pelvis between the hips


def test_order_of_keys_records_and_joints_does_not_matter(tmp_path: Path, tiny: Path) -> None:
    data = content()
    order = [3, 16, 0, 5, 9, 1, 12, 2, 4, 6, 7, 8, 10, 11, 13, 14, 15]
    data["categories"][0]["keypoints"] = [COCO17.joints[joint] for joint in order]
    for record in data["annotations"]:
        flat = record.get("keypoints")
        if flat:
            record["keypoints"] = [v for joint in order for v in flat[3 * joint : 3 * joint + 3]]
    data["annotations"] = [dict(reversed(r.items())) for r in reversed(data["annotations"])]
    mixed = coco.load(write(tmp_path / "mixed.json", dict(reversed(data.items()))))
    plain = coco.load(tiny)
    assert mixed.subject == plain.subject[::-1]
    assert torch.equal(mixed.keypoints, plain.keypoints.flip(0))


def broken(change: Callable[[dict[str, Any]], object]) -> str:
    data = copy.deepcopy(content())
    change(data)
    return json.dumps(data)


def record(**fields: object) -> str:
    return broken(lambda data: data["annotations"][0].update(fields))


FLAT = annotation(1)["keypoints"]
DAMAGED = {
    "empty": ("", "file", "not JSON"),
    "not JSON": ("image,x,y\n1,2,3", "file", "not JSON"),
    "not text": ("\ufeff\x00\x01", "file", "not JSON"),
    "truncated": (json.dumps(content())[:900], "file", "cut off"),
    "too deep": ("[" * 100_000, "file", "not JSON"),
    "a number too long": (record(id=0).replace('"id": 0', '"id": ' + "9" * 9999), "file", "JSON"),
    "a list": ("[]", "file", "expected an object"),
    "no annotations": (broken(lambda d: d.pop("annotations")), "file", "'annotations' is missing"),
    "annotations no list": (broken(lambda d: d.update(annotations={})), "file", "must be a list"),
    "no categories": (broken(lambda d: d.pop("categories")), "file", "'categories' is missing"),
    "instances": (broken(lambda d: d["categories"].pop(0)), "categories", "instances_"),
    "other joints": (
        broken(lambda d: d["categories"][0].update(keypoints=["nose", "tail"])),
        "category 1",
        "tail",
    ),
    "no object": (broken(lambda d: d["annotations"].insert(1, None)), "position 1", "NoneType"),
    "no id": (broken(lambda d: d["annotations"][1].pop("id")), "at position 1", "'id' is missing"),
    "no keypoints": (
        broken(lambda d: d["annotations"][1].pop("keypoints")),
        "annotation 1002",
        "'keypoints' is missing",
    ),
    "no box": (broken(lambda d: d["annotations"][0].pop("bbox")), "annotation 1001", "'bbox'"),
    "no image": (record(image_id="seven"), "annotation 1001", "'image_id' must be a int"),
    "keypoints null": (record(keypoints=None), "annotation 1001", "must be a list"),
    "16 joints": (record(keypoints=FLAT[:48]), "annotation 1001", "51 numbers, found 48"),
    "NaN": (record(keypoints=[float("nan"), *FLAT[1:]]), "annotation 1001", "'nan'"),
    "infinity": (record(keypoints=[float("inf"), *FLAT[1:]]), "annotation 1001", "'inf'"),
    "huge": (record(keypoints=[10**400, *FLAT[1:]]), "annotation 1001", "within"),
    "a word": (record(keypoints=["left", *FLAT[1:]]), "annotation 1001", "'left'"),
    "a list in it": (record(keypoints=[[1], *FLAT[1:]]), "annotation 1001", "expected a number"),
    "true": (record(keypoints=[True, *FLAT[1:]]), "annotation 1001", "'True'"),
    "visibility 3": (record(keypoints=[1, 1, 3, *FLAT[3:]]), "annotation 1001", "0, 1 or 2"),
    "box without width": (record(bbox=[1, 1, 0, 5]), "annotation 1001", "found 0 x 5"),
    "box of 3": (record(bbox=[1, 1, 5]), "annotation 1001", "bbox must be 4 numbers, found 3"),
    "box NaN": (record(bbox=[1, 1, float("nan"), 5]), "annotation 1001", "bbox"),
    "no people": (broken(lambda d: d.update(annotations=[])), "all people", "labelled joint"),
    "people without keypoints": (
        broken(lambda d: d.update(annotations=[annotation(3, 0)])),
        "all people",
        "nobody",
    ),
    "too few joints": (
        broken(lambda d: d.update(annotations=[annotation(1, 8), annotation(2, 9)])),
        "all 2 people",
        "the most is 9",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_names_path_record_and_reason(case: str, tmp_path: Path) -> None:
    text, where, why = DAMAGED[case]
    path = write(tmp_path / "damaged.json", text)
    with pytest.raises(DatasetError) as caught:
        coco.load(path, minimum_joints=12 if case == "too few joints" else 1)
    error = caught.value
    assert error.path == path and where in error.record and why in error.reason
    assert str(error) == f"{path}: {error.record}: {error.reason}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_missing_file_says_where_it_comes_from(tmp_path: Path) -> None:
    for path in (tmp_path / "person_keypoints_val2017.json", tmp_path):
        with pytest.raises(DatasetError, match=r"annotations_trainval2017\.zip.*CC BY 4\.0"):
            coco.load(path)


@real_data
@pytest.mark.parametrize(
    ("name", "people"),
    [
        ("coco_person_keypoints_val2017_part.json", {1: 1354, 13: 578, 17: 105}),
        ("coco_person_keypoints_train2017_mini.json", {1: 86, 13: 26, 17: 2}),
    ],
)
def test_real_annotations(name: str, people: dict[int, int]) -> None:
    for minimum, expected in people.items():
        poses = coco.load(REAL / name, minimum_joints=minimum)
        assert len(poses) == expected
        assert poses.visible is not None and poses.visible.sum(1).min() >= minimum
        assert poses.keypoints.min() >= 0 and poses.keypoints.max() <= 1
        assert len(set(poses.subject)) == len(poses)


@real_data
def test_real_annotations_as_body17_look_like_people() -> None:
    path = REAL / "coco_person_keypoints_val2017_part.json"
    poses = coco.load(path, minimum_joints=17, skeleton=BODY17)
    assert len(poses) == 331
    head, pelvis, ankle = (
        poses.keypoints[:, BODY17.index(joint), 1] for joint in ("head_top", "pelvis", "left_ankle")
    )
    assert ((head < pelvis) & (pelvis < ankle)).float().mean() > 0.9  # mostly upright
