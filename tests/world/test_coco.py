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
from posenb.world.skeletons import BODY17, COCO17, FACE68, HAND21, Skeleton

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
    (said,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "passed over 2 of 5" in said  # the bicycle is nobody
    assert "1 without a labelled joint" in said and "1 marked as crowds (iscrowd = 1)" in said
    assert poses.picture == ("000000000007.jpg",) * 3
    assert poses.subject == tuple(f"image 7 / person {n}" for n in (1001, 1002, 1005))
    assert set(poses.action) == {"unknown"} and poses.skeleton is COCO17
    assert poses.joints3d is None and poses.camera is None and poses.visible is not None
    assert poses.visible.sum(1).tolist() == [17, 13, 1]
    assert (poses.keypoints[~poses.visible] == 0).all()
    # person 1: box (10, 20) to (50, 100), so a square of 100 from (-20, 10); half a pixel is added
    expected = [[(10 + j + 20.5) / 100, (20 + 2 * j - 9.5) / 100] for j in range(17)]
    torch.testing.assert_close(poses.keypoints[0], torch.tensor(expected))
    places = torch.tensor([[10.5 + j, 20.5 + 2 * j] for j in range(17)])
    torch.testing.assert_close(poses.pixels()[0], places)


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
INSTANCE = {"id": 9, "image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1], "iscrowd": 0}
DAMAGED = {
    "empty": ("", "file", "not JSON"),
    "not JSON": ("image,x,y\n1,2,3", "file", "not JSON"),
    "not text": ("\ufeff\x00\x01", "file", "not JSON"),
    "truncated": (json.dumps(content())[:900], "file", "cut off"),
    "too deep": ("[" * 100_000, "file", "not JSON"),
    "a number too long": (record(id=0).replace('"id": 0', '"id": ' + "9" * 9999), "file", "JSON"),
    "a list": ("[]", "file", "expected an object"),
    "a detector's results": (json.dumps(content()["annotations"]), "file", "datasets.load"),
    "a word": ('"left"', "file", "expected an object"),
    "no annotations": (broken(lambda d: d.pop("annotations")), "file", "image_info_"),
    "only info": ('{"info": {}}', "file", "'annotations' is missing; found info"),
    "annotations no list": (broken(lambda d: d.update(annotations={})), "file", "must be a list"),
    "instances": (
        broken(lambda d: d.update(annotations=[INSTANCE] * 3)),
        "annotations",
        "none of 3 has keypoints: a file of boxes and masks, such as instances_",
    ),
    "unknown categories": (
        broken(lambda d: [a.update(category_id=0) for a in d["annotations"]]),
        "categories",
        "all 6 annotations have a category id (0) that no category has; categories are 1, 2",
    ),
    "other joints": (
        broken(lambda d: d["categories"][0].update(keypoints=["nose", "tail"])),
        "categories",
        "has the 2 joints nose, tail; expected those of COCO17",
    ),
    "a thumb": (
        broken(lambda d: d["categories"][0].update(keypoints=[f"thumb{i}" for i in range(1, 5)])),
        "categories",
        "mapping={name of the file: ours}",
    ),
    "no object": (broken(lambda d: d["annotations"].insert(1, None)), "position 1", "NoneType"),
    "keypoints a word": (record(keypoints="left"), "annotation 1001", "51 numbers, found str"),
    "50 numbers": (record(keypoints=FLAT[:50]), "annotation 1001", "51 numbers, found 50"),
    "a word in it": (record(keypoints=["left", *FLAT[1:]]), "annotation 1001", "'left'"),
    "a list in it": (record(keypoints=[[1], *FLAT[1:]]), "annotation 1001", "expected a number"),
    "true": (record(keypoints=[True, *FLAT[1:]]), "annotation 1001", "'True'"),
    "a word as v": (record(keypoints=[1, 1, "seen", *FLAT[3:]]), "annotation 1001", "'seen'"),
    "points of 4": (record(keypoints=[[1, 2, 2, 3]] * 17), "annotation 1001", "[x, y, v]"),
    "no people": (broken(lambda d: d.update(annotations=[])), "all people", "it has no people"),
    "people without joints": (
        broken(lambda d: d.update(annotations=[annotation(3, 0)])),
        "all people",
        "nobody in this file can be used: 1 without a labelled joint",
    ),
    "all crowds": (
        broken(lambda d: [a.update(iscrowd=1) for a in d["annotations"]]),
        "all people",
        "5 marked as crowds (iscrowd = 1)",
    ),
    "nobody placed": (
        broken(lambda d: d.update(annotations=[{**annotation(1), "keypoints": [0, 0, 2] * 17}])),
        "all 1 people",
        "none of 17 joints",
    ),
    "too few joints": (
        broken(lambda d: d.update(annotations=[annotation(1, 8), annotation(2, 9)])),
        "all 2 people",
        "the most is 9: lower minimum_joints",
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
    assert len(error.reason) <= 500
    assert str(error) == f"{path}: {error.record}: {error.reason}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def warnings(caplog: pytest.LogCaptureFixture) -> str:
    """What was said aloud; each thing once a file."""
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(said) == len(set(said))
    return "\n".join(said)


UNNEEDED: dict[str, Callable[[dict[str, Any]], object]] = {
    "no images": lambda d: d.pop("images"),
    "pictures without names": lambda d: d["images"][0].pop("file_name"),
    "images of nothing": lambda d: d.update(images=[None, 5, {}]),
    "a size of nothing": lambda d: d["images"][0].update(width=0, height=None),
    "no categories": lambda d: d.pop("categories"),
    "categories of nothing": lambda d: d["categories"].insert(0, None),
    "a label for boxes": lambda d: d["categories"].append({"id": 5, "keypoints": []}),
    "a label with null": lambda d: d["categories"].append({"id": 5, "keypoints": None}),
    "a label without an id": lambda d: d["categories"].append({"name": "tail"}),
    "ids as text": lambda d: [a.update(id=str(a["id"]), category_id="1") for a in d["annotations"]],
    "ids as text with zeros": lambda d: [a.update(category_id="01.0") for a in d["annotations"]],
    "no category ids": lambda d: [a.pop("category_id") for a in d["annotations"]],
    "category ids null": lambda d: [a.update(category_id=None) for a in d["annotations"]],
    "ids as floats": lambda d: [a.update(category_id=1.0, image_id=7.0) for a in d["annotations"]],
    "no box": lambda d: d["annotations"][5].pop("bbox"),
    "box null": lambda d: d["annotations"][5].update(bbox=None),
    "box of 3": lambda d: d["annotations"][5].update(bbox=[1, 1, 5]),
    "box of words": lambda d: d["annotations"][5].update(bbox=["a"] * 4),
    "box without width": lambda d: d["annotations"][5].update(bbox=[50, 100, 0, 5]),
    "box NaN": lambda d: d["annotations"][5].update(bbox=[1, 1, float("nan"), 5]),
    "box of a planet": lambda d: d["annotations"][5].update(bbox=[1, 1, 1e300, 5]),
    "iscrowd false": lambda d: d["annotations"][0].update(iscrowd=False),
    "iscrowd null": lambda d: d["annotations"][0].update(iscrowd=None),
    "iscrowd absent": lambda d: d["annotations"][0].pop("iscrowd"),
    "iscrowd text": lambda d: d["annotations"][0].update(iscrowd="0"),
    "no keypoints": lambda d: d["annotations"][2].pop("keypoints"),
    "keypoints empty": lambda d: d["annotations"][2].update(keypoints=[]),
    "keypoints null": lambda d: d["annotations"][2].update(keypoints=None),
}


@pytest.mark.parametrize("case", UNNEEDED)
def test_an_unneeded_part_does_not_cost_a_file(case: str, tmp_path: Path, tiny: Path) -> None:
    data = content()
    UNNEEDED[case](data)
    poses, plain = coco.load(write(tmp_path / "own.json", data)), coco.load(tiny)
    assert torch.equal(poses.keypoints[:2], plain.keypoints[:2])
    assert torch.equal(poses.visible, plain.visible)  # type: ignore[arg-type]
    assert poses.subject == plain.subject
    torch.testing.assert_close(poses.pixels(), plain.pixels())


@pytest.mark.parametrize("ids", [{"id": None}, {"id": []}, {"image_id": None}, {"image_id": {}}])
def test_people_without_ids_are_called_by_their_position(
    ids: dict[str, Any], tmp_path: Path
) -> None:
    data = content()
    data["annotations"][0].update(ids)
    poses = coco.load(write(tmp_path / "own.json", data))
    called = "image unknown / person 1001" if "image_id" in ids else "person at position 0"
    assert called in poses.subject[0] and len(poses) == 3


VALUES = [None, float("nan"), float("inf"), -float("inf"), 10**400, 1e9, "left", [1], True]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_what_an_unlabelled_joint_holds_does_not_matter(
    value: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = content()
    for flag in (0, None, float("nan"), -1):
        caplog.clear()
        data["annotations"][0]["keypoints"][27:30] = [value, value, flag]
        poses = coco.load(write(tmp_path / "own.json", data))
        assert poses.visible is not None and not poses.visible[0, 9]
        assert poses.visible[0].sum() == 16 and (poses.keypoints[0, 9] == 0).all()
        assert "not placed" not in warnings(caplog)


@pytest.mark.parametrize(
    "point",
    [(0, 0), (0.0, -0.0), (None, 5), (float("nan"), 5), (5, float("inf")), (1e5, 5)],
    ids=str,
)
@pytest.mark.parametrize("flag", [2, 1, 0.7])
def test_a_labelled_joint_that_nobody_placed_is_masked_and_counted(
    point: tuple[Any, Any], flag: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = content()
    data["annotations"][0]["keypoints"][27:30] = [*point, flag]
    poses = coco.load(write(tmp_path / "own.json", data))
    assert poses.visible is not None and not poses.visible[0, 9] and poses.visible[0].sum() == 16
    assert poses.keypoints.min() >= 0 and poses.keypoints.max() <= 1
    assert "1 of 31 joints are marked as seen but were not placed" in warnings(caplog)


def nested(flat: list[float]) -> list[list[float]]:
    return [flat[i : i + 3] for i in range(0, 51, 3)]


@pytest.mark.parametrize(
    "written",
    [
        nested,
        lambda flat: [point[:2] for point in nested(flat)],
        lambda flat: [value for point in nested(flat) for value in point[:2]],
        lambda flat: [v / 2 if i % 3 == 2 else v for i, v in enumerate(flat)],
        lambda flat: [3 * v if i % 3 == 2 else v for i, v in enumerate(flat)],
    ],
    ids=["nested", "nested pairs", "pairs", "scores", "other numbers"],
)
def test_keypoints_in_other_shapes(
    written: Callable[[list[float]], object], tmp_path: Path
) -> None:
    data = content()
    data["annotations"] = [annotation(1), annotation(2)]
    plain = coco.load(write(tmp_path / "plain.json", data))
    for person in data["annotations"]:
        person["keypoints"] = written(person["keypoints"])
    poses = coco.load(write(tmp_path / "own.json", data))
    assert torch.equal(poses.keypoints, plain.keypoints)
    assert torch.equal(poses.visible, plain.visible)  # type: ignore[arg-type]


@pytest.mark.parametrize("nothing", [None, [], [None, None, 0]], ids=str)
@pytest.mark.parametrize("size", [2, 3])
def test_nested_keypoints_may_lack_points(nothing: Any, size: int, tmp_path: Path) -> None:
    data = content()
    points: list[Any] = [point[:size] for point in nested(FLAT)]
    points[9] = nothing[:size] if nothing else nothing
    data["annotations"][0]["keypoints"] = points
    poses = coco.load(write(tmp_path / "own.json", data))
    assert poses.visible is not None and not poses.visible[0, 9] and poses.visible[0].sum() == 16


def test_visibilities_that_are_not_cocos_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = content()
    data["annotations"][0]["keypoints"][2:6:3] = [3, 255]
    poses = coco.load(write(tmp_path / "own.json", data))
    assert poses.visible is not None and poses.visible[0].all()
    assert "visibility holds 3, 255, expected 0, 1 or 2" in warnings(caplog)


def test_everybody_who_is_passed_over_is_counted_with_a_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = content()
    data["categories"].append({"id": 3, "name": "racket", "keypoints": ["grip", "tip"]})
    data["annotations"] += [
        {**annotation(6), "category_id": 0},
        {**annotation(7), "category_id": "nobody"},
        {**annotation(8), "category_id": 3, "keypoints": [1, 1, 2, 3, 3, 2]},
        {**annotation(9), "keypoints": FLAT[:48]},
        {**annotation(10), "keypoints": None},
    ]
    assert len(coco.load(write(tmp_path / "own.json", data))) == 3
    said = warnings(caplog)
    assert "passed over 7 of 10" in said
    for reason in (
        "2 with a category id that no category has (0, nobody)",
        "1 of category 'racket' (joints grip, tip)",
        "1 with other than the 17 keypoints",
        "1 without keypoints (a box only)",
        "1 marked as crowds",
        "1 without a labelled joint",
    ):
        assert reason in said


def test_all_categories_that_have_the_joints_are_people(tmp_path: Path) -> None:
    data = content()
    order = list(reversed(range(17)))
    data["categories"].append(
        {"id": 3, "name": "goalkeeper", "keypoints": [COCO17.joints[j] for j in order]}
    )
    data["categories"].append(  # a quarter of a person
        {"id": 4, "name": "dog", "keypoints": ["nose", "left_eye", "right_eye", "tail"]}
    )
    flat = [v for joint in order for v in FLAT[3 * joint : 3 * joint + 3]]
    data["annotations"] += [
        {**annotation(1), "id": 1, "category_id": 3, "keypoints": flat},
        {**annotation(1), "id": 2, "category_id": 4, "keypoints": [5, 5, 2] * 4},
    ]
    poses = coco.load(write(tmp_path / "own.json", data))
    assert len(poses) == 4
    assert torch.equal(poses.keypoints[0], poses.keypoints[3])


def other(names: list[str]) -> dict[str, Any]:
    """Somebody whose joints, in any words, lie on a diagonal."""
    flat = [v for i in range(len(names)) for v in (20.0 + 2 * i, 30.0 + 3 * i, 2)]
    person = {**annotation(1), "keypoints": flat, "bbox": [10, 20, 80, 120]}
    return {**content(), "categories": [{"id": 1, "keypoints": names}], "annotations": [person]}


LIMBS = [
    f"{side}_{part}"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]
SKELETONS = {  # names, and joints of COCO17 that are there
    "CrowdPose": ([*LIMBS, "head", "neck"], 13),
    "PoseTrack18": (["nose", "head_bottom", "head_top", "left_ear", "right_ear", *LIMBS], 15),
    "AIC": ([name.replace("_", " ").title() for name in LIMBS] + ["Head top", "Neck"], 13),
    "JHMDB": (["neck", "belly", "head", *LIMBS], 13),
    "Human-Art": ([*COCO17.joints, "left_finger", "right_finger", "left_toe", "right_toe"], 17),
    "MPII": ([*LIMBS, "pelvis", "thorax", "upper_neck", "head_top"], 13),
    "lower half": (LIMBS[6:], 6),
}


@pytest.mark.parametrize("case", SKELETONS)
def test_joints_of_other_data_sets_are_mapped_by_name(case: str, tmp_path: Path) -> None:
    names, expected = SKELETONS[case]
    data = other(names)
    poses = coco.load(write(tmp_path / "own.json", data))
    assert poses.visible is not None and int(poses.visible.sum()) == expected
    knee = names.index(next(n for n in names if n.lower().replace(" ", "_") == "left_knee"))
    wanted = torch.tensor([20.5 + 2 * knee, 30.5 + 3 * knee])
    torch.testing.assert_close(poses.pixels()[0, COCO17.index("left_knee")], wanted)
    if case != "lower half":
        body = coco.load(tmp_path / "own.json", skeleton=BODY17)
        assert body.visible is not None and body.visible.all()


def test_too_few_joints_because_the_file_has_no_more(tmp_path: Path) -> None:
    path = write(tmp_path / "own.json", other([*LIMBS, "head", "neck"]))
    with pytest.raises(DatasetError, match="most is 13.*its joints make no left_eye, right_eye"):
        coco.load(path, minimum_joints=17)


def test_records_may_hold_the_first_joints_alone(tmp_path: Path) -> None:
    data = other(SKELETONS["Human-Art"][0])
    data["annotations"][0]["keypoints"] = data["annotations"][0]["keypoints"][:51]
    poses = coco.load(write(tmp_path / "own.json", data))
    assert poses.visible is not None and poses.visible.all()
    data = other([*LIMBS, "head", "neck"])  # the first 13 of these are no order of their own
    data["annotations"][0]["keypoints"] = data["annotations"][0]["keypoints"][:39]
    with pytest.raises(DatasetError, match="1 with other than the 14 keypoints"):
        coco.load(write(tmp_path / "own.json", data))


def test_names_that_are_not_known_are_mapped_by_the_caller(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["snout", *LIMBS[:-1], "rechter Knöchel"]
    path = write(tmp_path / "own.json", other(names))
    poses = coco.load(path)
    assert poses.visible is not None and int(poses.visible.sum()) == 11
    assert "joints snout, rechter Knöchel are not known" in warnings(caplog)
    assert "mapping={name of the file: ours}" in warnings(caplog)
    mapping = {"snout": "nose", "rechter Knöchel": "right ankle"}
    poses = coco.load(path, mapping=mapping)
    assert poses.visible is not None and int(poses.visible.sum()) == 13
    torch.testing.assert_close(poses.pixels()[0, 0], torch.tensor([20.5, 30.5]))
    with pytest.raises(ValueError, match=r"mapping names tail, but the joints of own\.json are"):
        coco.load(path, mapping={"tail": "nose"})
    many = write(tmp_path / "own.json", other([f"{'k' * 300}{i}x" for i in range(300)]))
    with pytest.raises(ValueError) as caught:
        coco.load(many, mapping={f"{'j' * 500}{i}": "nose" for i in range(200)})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("count", "skeleton", "visible"),
    [
        (17, COCO17, 17),
        (17, BODY17, 17),
        (21, HAND21, 21),
        (26, COCO17, 17),
        (68, FACE68, 68),
        (98, FACE68, 68),
        (133, BODY17, 17),
        (133, FACE68, 68),
        (136, BODY17, 17),
        (136, FACE68, 68),
    ],
)
@pytest.mark.parametrize("names", [None, [], "kpt-"])
def test_joints_without_names_are_known_by_their_number(
    count: int,
    skeleton: Skeleton,
    visible: int,
    names: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = other([str(i) for i in range(count)])
    called = [f"{names}{i}" for i in range(count)] if names else names
    data["categories"] = [{"id": 1, "name": "thing", "keypoints": called}]
    poses = coco.load(write(tmp_path / "own.json", data), skeleton=skeleton)
    assert poses.visible is not None and int(poses.visible.sum()) == visible
    assert f"{count} joints without names are taken as" in warnings(caplog)


def test_a_number_that_is_not_usual_wants_a_mapping(tmp_path: Path) -> None:
    data = other(["0"] * 14)
    data["categories"] = [{"id": 1}]
    path = write(tmp_path / "own.json", data)
    with pytest.raises(DatasetError, match="14 joints without names.* mapping="):
        coco.load(path)
    mapping = {str(i): LIMBS[i] for i in range(12)}
    poses = coco.load(path, mapping=mapping)
    assert poses.visible is not None and int(poses.visible.sum()) == 12


def test_98_landmarks_become_the_68_that_they_are(tmp_path: Path) -> None:
    data = other([str(i) for i in range(98)])
    data["categories"] = [{"id": 1, "name": "face", "keypoints": []}]
    pixels = coco.load(write(tmp_path / "own.json", data), skeleton=FACE68).pixels()[0]
    place = {"jaw_16": 32, "left_brow_0": 42, "nose_8": 59, "right_eye_2": 63, "inner_lip_7": 95}
    for joint, number in place.items():
        wanted = torch.tensor([20.5 + 2 * number, 30.5 + 3 * number])
        torch.testing.assert_close(pixels[FACE68.index(joint)], wanted)


@pytest.mark.parametrize("skeleton", [HAND21, FACE68])
def test_asking_a_hand_or_a_face_for_a_body_says_what_to_ask(
    skeleton: Skeleton, tmp_path: Path
) -> None:
    path = write(tmp_path / "own.json", other(list(skeleton.joints)))
    with pytest.raises(DatasetError, match=f"ask for skeleton={skeleton.name}, not COCO17"):
        coco.load(path)
    assert len(coco.load(path, skeleton=skeleton)) == 1


def whole_body() -> dict[str, Any]:
    """COCO-WholeBody: the body under keypoints, the rest in fields of its own."""
    data = content()
    hand = [v for i in range(21) for v in (100.0 + i, 200.0 + 2 * i, 0.5)]
    face = [v for i in range(68) for v in (300.0 + i, 100.0 + 2 * i, 1)]
    data["annotations"][0].update(
        foot_kpts=[0] * 18, lefthand_kpts=[0] * 63, righthand_kpts=hand, face_kpts=face
    )
    data["annotations"][1].update(lefthand_kpts=hand, righthand_kpts=hand, face_kpts=[0] * 204)
    return data


def test_hands_and_faces_of_whole_bodies(tmp_path: Path, tiny: Path) -> None:
    path = write(tmp_path / "wholebody.json", whole_body())
    hands = coco.load(path, skeleton=HAND21)
    assert [subject.split(" / ", 1)[1] for subject in hands.subject] == [
        "person 1001 / right hand",
        "person 1002 / left hand",
        "person 1002 / right hand",
    ]
    assert hands.visible is not None and hands.visible.all()
    torch.testing.assert_close(hands.pixels()[0, 20], torch.tensor([120.5, 240.5]))
    assert hands.keypoints.max() > 0.85  # cut out about the hand, not about the person
    face = coco.load(path, skeleton=FACE68)
    assert face.subject == ("image 7 / person 1001",)
    torch.testing.assert_close(face.pixels()[0, 67], torch.tensor([367.5, 234.5]))
    assert torch.equal(coco.load(path).keypoints, coco.load(tiny).keypoints)


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
