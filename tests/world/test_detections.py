"""Results of pose detectors, in the layouts that the tools write, and as users bring them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posenb.world.datasets import DatasetError, detections, joints
from posenb.world.skeletons import BODY17, COCO17, FACE68, HAND21, convert

FRAMES, WIDTH, HEIGHT = 5, 640, 480


def body(names: tuple[str, ...] = COCO17.joints, frame: int = 0, left: float = 0.0) -> np.ndarray:
    """Pixels (J, 2) of an invented person that walks to the right; other joints are beside it."""
    rows = {
        "nose": (0, 0), "left_eye": (4, -4), "right_eye": (-4, -4), "left_ear": (9, -2),
        "right_ear": (-9, -2), "left_shoulder": (22, 30), "right_shoulder": (-20, 31),
        "left_elbow": (30, 70), "right_elbow": (-28, 72), "left_wrist": (35, 105),
        "right_wrist": (-33, 108), "left_hip": (14, 110), "right_hip": (-13, 111),
        "left_knee": (16, 165), "right_knee": (-15, 167), "left_ankle": (17, 220),
        "right_ankle": (-16, 222), "head_top": (0, -28), "upper_neck": (1, 18),
    }  # fmt: skip
    rows["neck"] = (1, 30.5)
    rows["pelvis"] = (0.5, 110.5)
    places = [rows.get(name, (3 + i % 7, 60 + i % 11)) for i, name in enumerate(names)]
    return np.array(places, float) + (200 + left + 3 * frame, 100)


def triplets(points: np.ndarray, score: float = 0.9) -> list[list[float]]:
    return [[*point, score] for point in points.tolist()]


def flat(points: np.ndarray, score: float = 0.9) -> list[float]:
    return [number for point in triplets(points, score) for number in point]


def box(points: np.ndarray) -> list[float]:
    return [*points.min(0).tolist(), *np.ptp(points, axis=0).tolist()]


def corners(points: np.ndarray) -> list[float]:
    return [*points.min(0).tolist(), *points.max(0).tolist()]


def shares(points: np.ndarray) -> np.ndarray:
    return points / (WIDTH, HEIGHT)


def landmarks(frame: int) -> list[dict[str, float]]:
    points = shares(body(joints.LAYOUTS["MEDIAPIPE33"], frame))
    return [{"x": x, "y": y, "z": -0.1, "visibility": 0.9} for x, y in points.tolist()]


def alphapose(names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"image_id": f"{f}.jpg", "category_id": 1, "keypoints": flat(body(names, f)),
         "score": 2.8, "box": box(body(names, f)), "idx": [1.0]}
        for f in range(FRAMES)
    ]  # fmt: skip


def openpose(frame: int, names: tuple[str, ...]) -> dict[str, Any]:
    person = {"person_id": [-1], "pose_keypoints_2d": flat(body(names, frame)),
              "face_keypoints_2d": [], "hand_left_keypoints_2d": [],
              "hand_right_keypoints_2d": [], "pose_keypoints_3d": []}  # fmt: skip
    return {"version": 1.3, "people": [person]}


def instance(frame: int) -> dict[str, Any]:
    points = body(frame=frame)
    return {"keypoints": points.tolist(), "keypoint_scores": [0.9] * 17,
            "bbox": [corners(points)], "bbox_score": 0.8}  # fmt: skip


def yolo(frame: int) -> dict[str, Any]:
    points = body(frame=frame)
    x1, y1, x2, y2 = corners(points)
    return {"name": "person", "class": 0, "confidence": 0.9, "track_id": 4,
            "box": {"x1": x1, "y1": y1, "x2": x2, "y2": y2},
            "keypoints": {"x": points[:, 0].tolist(), "y": points[:, 1].tolist(),
                          "visible": [0.9] * 17}}  # fmt: skip


L = joints.LAYOUTS
EACH = range(FRAMES)
JSON: dict[str, tuple[Any, float]] = {  # content, and what is to be added to its points
    "coco results": ([{"image_id": f + 1, "category_id": 1, "keypoints": flat(body(frame=f)),
                       "score": 0.7} for f in EACH], 0.5),
    "alphapose 17": (alphapose(COCO17.joints), 0.5),
    "alphapose 26": (alphapose(L["HALPE26"]), 0.5),
    "alphapose 136": (alphapose(L["HALPE136"]), 0.5),
    "alphapose cmu": ({f"{f}.jpg": {"version": "AlphaPose v0.3", "bodies": [
        {"joints": flat(body(L["OPENPOSE18"], f))}]} for f in EACH}, 0.5),
    "alphapose open": ({f"{f}.jpg": {"version": 0.1, "people": [
        {"pose_keypoints_2d": flat(body(L["OPENPOSE18"], f))}]} for f in EACH}, 0.5),
    "openpose, a list": ([openpose(f, L["BODY_25"]) for f in EACH], 0.5),
    "mmpose": ([{"frame_id": f, "instances": [instance(f)]} for f in EACH], 0.5),
    "mmpose with meta": ({"meta_info": {"dataset_name": "coco", "num_keypoints": 17,
        "keypoint_id2name": {str(i): n for i, n in enumerate(COCO17.joints)}},
        "instance_info": [{"frame_id": f + 1, "instances": [instance(f)]} for f in EACH]}, 0.5),
    "easy_ViTPose": ({"keypoints": [{"0": [[y, x, s] for x, y, s in triplets(body(frame=f))]}
        for f in EACH], "skeleton": {str(i): n for i, n in enumerate(COCO17.joints)}}, 0.5),
    "transformers": ([[{"keypoints": body(frame=f).tolist(), "scores": [0.9] * 17,
        "labels": list(range(17)), "bbox": corners(body(frame=f))}] for f in EACH], 0.5),
    "ultralytics": ([[yolo(f)] for f in EACH], 0.5),
    "mediapipe lists": ([landmarks(f) for f in EACH], 0.0),
    "mediapipe objects": ([{"frame": f, "landmarks": landmarks(f)} for f in EACH], 0.0),
    "mediapipe, no numbers": ([{"pose_landmarks": landmarks(f)} for f in EACH], 0.0),
    "mediapipe protobuf": ({"frames": [{"frame": f, "pose_landmarks": {"landmark": landmarks(f)}}
                                       for f in EACH]}, 0.0),
    "movenet of tfjs": ([[{"score": 0.8, "keypoints": [
        {"x": x, "y": y, "score": 0.9, "name": n}
        for n, (x, y) in zip(COCO17.joints, body(frame=f).tolist(), strict=True)]}]
        for f in EACH], 0.5),
    "named points": ([{"frame": f, "keypoints": {n: [x, y, 0.9] for n, (x, y) in
        zip(COCO17.joints, body(frame=f).tolist(), strict=True)}} for f in EACH], 0.5),
    "plain lists": ([body(frame=f).tolist() for f in EACH], 0.5),
}  # fmt: skip


@pytest.fixture(params=list(JSON))
def result(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, float]:
    content, shift = JSON[request.param]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    return path, shift


def expected(shift: float, skeleton: Any = COCO17) -> torch.Tensor:
    pixels = torch.tensor(np.stack([body(frame=f) for f in EACH])) + shift
    return convert(pixels, COCO17, skeleton).keypoints.float()


def test_every_layout_gives_the_same_people(result: tuple[Path, float]) -> None:
    path, shift = result
    poses = detections.load(path, minimum_joints=17, size=(WIDTH, HEIGHT))
    assert len(poses) == FRAMES and poses.skeleton == COCO17
    torch.testing.assert_close(poses.pixels(), expected(shift), atol=1e-2, rtol=0)


def test_every_layout_gives_the_same_track(result: tuple[Path, float]) -> None:
    path, shift = result
    found = detections.track(path, size=(WIDTH, HEIGHT))
    assert len(found) == FRAMES and found.visible.all() and found.others == 0
    pixels = convert(found.keypoints, found.skeleton, COCO17).keypoints
    torch.testing.assert_close(pixels, expected(shift), atol=1e-2, rtol=0)
    assert (found.score > 0).all()


@pytest.mark.parametrize("name", ["OPENPOSE18", "BODY_25", "BODY_25B"])
def test_openpose_folder_with_an_empty_frame(tmp_path: Path, name: str) -> None:
    for frame in EACH:
        content = openpose(frame, L[name]) if frame != 2 else {"version": 1.3, "people": []}
        (tmp_path / f"film_{frame:012d}_keypoints.json").write_text(json.dumps(content))
    found = detections.track(tmp_path)
    assert found.skeleton.name == name
    assert found.visible.any(1).tolist() == [True, True, False, True, True]
    kept = [0, 1, 3, 4]
    pixels = convert(found.keypoints[kept], found.skeleton, COCO17).keypoints
    torch.testing.assert_close(pixels, expected(0.5)[kept], atol=1e-2, rtol=0)
    assert len(detections.load(tmp_path)) == 4


def test_a_film_in_a_folder_of_its_own(tmp_path: Path) -> None:
    content = json.dumps(alphapose(COCO17.joints))
    (tmp_path / "alphapose-results.json").write_text(content)
    assert len(detections.load(tmp_path)) == len(detections.track(tmp_path)) == 5
    (tmp_path / "another.json").write_text(content)
    with pytest.raises(DatasetError, match=r"json holds 5 frames.*name the file"):
        detections.load(tmp_path)


def test_frames_that_alphapose_leaves_out_are_lost_frames(tmp_path: Path) -> None:
    path = tmp_path / "alphapose-results.json"
    content = [entry for entry in alphapose(COCO17.joints) if entry["image_id"] != "3.jpg"]
    path.write_text(json.dumps(content[::-1]))
    found = detections.track(path)
    assert found.frames == ("0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg")
    assert found.visible.all(1).tolist() == [True, True, True, False, True]


def test_frames_are_counted_and_not_spelt(tmp_path: Path) -> None:
    path = tmp_path / "alphapose-results.json"
    content = [dict(alphapose(COCO17.joints)[0], image_id=f"{f}.jpg") for f in range(8, 13)]
    path.write_text(json.dumps(content))
    assert detections.track(path).frames == tuple(f"{f}.jpg" for f in range(8, 13))


@pytest.mark.parametrize("identity", [True, False])
def test_people_who_change_places_in_the_list(tmp_path: Path, identity: bool) -> None:
    frames = []
    for frame in EACH:
        one, other = instance(frame), instance(frame)
        other["keypoints"] = body(frame=frame, left=250).tolist()
        other["keypoint_scores"] = [0.5] * 17
        del other["bbox"]
        if identity:
            one["track_id"], other["track_id"] = 7, 3
        frames.append({"frame_id": frame, "instances": [one, other][:: 1 if frame % 2 else -1]})
    path = tmp_path / "r.json"
    path.write_text(json.dumps(frames))
    found = detections.track(path)
    torch.testing.assert_close(found.keypoints, expected(0.5), atol=1e-2, rtol=0)
    assert found.others == 1
    if identity:
        second = detections.track(path, person=3).keypoints
        torch.testing.assert_close(second[..., 0], expected(250.5)[..., 0], atol=1e-2, rtol=0)
    numbers = "3, 7|7, 3" if identity else "0, 1|1, 0"
    with pytest.raises(ValueError, match=f"no person 99; people are numbered ({numbers})"):
        detections.track(path, person=99)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p["keypoints"].__setitem__(slice(27, 30), [0, 0, 0]),
        lambda p: p["keypoints"].__setitem__(slice(27, 30), [0, 0, 0.9]),
        lambda p: p["keypoints"].__setitem__(29, 0.1),
        lambda p: p["keypoints"].__setitem__(slice(27, 29), [None, None]),
        lambda p: p["keypoints"].__setitem__(27, float("nan")),
        lambda p: p["keypoints"].__setitem__(28, 1e9),
        lambda p: p["keypoints"].__setitem__(29, -1),
    ],
)
def test_what_was_not_found_is_not_visible(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    content = alphapose(COCO17.joints)
    change(content[1])
    path = tmp_path / "r.json"
    path.write_text(json.dumps(content))
    wrist = COCO17.index("left_wrist")
    poses, found = detections.load(path), detections.track(path)
    assert poses.visible is not None
    assert poses.visible[:, wrist].tolist() == [True, False, True, True, True]
    assert int((~poses.visible).sum()) == 1
    assert found.visible[:, wrist].tolist() == [True, False, True, True, True]
    assert found.keypoints[1, wrist].tolist() == [0, 0] and found.score[1, wrist] == 0


def test_scores_below_the_minimum(tmp_path: Path) -> None:
    content = alphapose(COCO17.joints)
    content[0]["keypoints"][2::3] = [0.2] * 17
    path = tmp_path / "r.json"
    path.write_text(json.dumps(content))
    assert len(detections.load(path)) == 4
    assert len(detections.load(path, minimum_score=0.1)) == 5
    with pytest.raises(DatasetError, match="lower minimum_score"):
        detections.load(path, minimum_score=0.95)
    with pytest.raises(ValueError, match="minimum_score"):
        detections.load(path, minimum_score=float("nan"))


def test_hands_and_faces_of_whole_bodies(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    names = L["HALPE136"]
    path.write_text(json.dumps(alphapose(names)))
    hands = detections.load(path, skeleton=HAND21, minimum_joints=21)
    assert len(hands) == 2 * FRAMES and "left hand" in hands.subject[0]
    left = torch.tensor(body(names)[list(names).index("left_hand_wrist") :][:21]) + 0.5
    torch.testing.assert_close(hands.pixels()[0], left.float(), atol=1e-2, rtol=0)
    faces = detections.load(path, skeleton=FACE68, minimum_joints=68)
    assert len(faces) == FRAMES
    one = openpose(0, L["BODY_25"])
    points = body(L["HAND21"])
    one["people"][0]["hand_right_keypoints_2d"] = flat(points)
    path.write_text(json.dumps(one))
    hand = detections.load(path, skeleton=HAND21)
    torch.testing.assert_close(hand.pixels()[0], torch.tensor(points).float() + 0.5)


def test_interpolated_joints_of_body17(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(alphapose(COCO17.joints)))
    poses = detections.load(path, skeleton=BODY17, minimum_joints=17)
    torch.testing.assert_close(poses.pixels(), expected(0.5, BODY17), atol=1e-2, rtol=0)


def test_shares_of_the_picture_need_its_size(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps([landmarks(f) for f in EACH]))
    with pytest.raises(ValueError, match="--width"):
        detections.track(path)
    with caplog.at_level(logging.WARNING):
        poses = detections.load(path)
    assert "square" in caplog.text and poses.crop is None


def test_yolo_labels(tmp_path: Path) -> None:
    for frame in EACH:
        points = shares(body(frame=frame))
        x1, y1, x2, y2 = corners(points)
        row = [0, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, *flat(points, 2)]
        (tmp_path / f"img_{frame}.txt").write_text(" ".join(map(str, row)) + "\n")
    (tmp_path / "img_5.txt").write_text("")
    (tmp_path / "classes.txt").write_text("person\n")
    poses = detections.load(tmp_path, size=(WIDTH, HEIGHT), minimum_joints=17)
    torch.testing.assert_close(poses.pixels(), expected(0.0), atol=1e-2, rtol=0)
    assert detections.track(tmp_path, size=(WIDTH, HEIGHT)).visible.any(1).tolist() == (
        [True] * 5 + [False]
    )


def _header(pattern: str, last: str | None = None) -> str:
    axes = ("x", "y") if last is None else ("x", "y", last)
    return ",".join(pattern.format(j=j, a=a) for j in COCO17.joints for a in axes)


def _rows(score: bool) -> list[str]:
    return [
        ",".join(map(str, flat(body(frame=f)) if score else body(frame=f).ravel().tolist()))
        for f in EACH
    ]


def _deeplabcut() -> str:
    parts = ",".join(f"{j},{j},{j}" for j in COCO17.joints)
    heads = ["scorer," + "net," * 50 + "net", f"bodyparts,{parts}"]
    heads.append("coords" + ",x,y,likelihood" * 17)
    return "\n".join(heads + [f"{f},{row}" for f, row in enumerate(_rows(True))])


CSV: dict[str, str] = {
    "underscores": "\n".join([_header("{j}_{a}"), *_rows(False)]),
    "scores": "\n".join([_header("{j}_{a}", "score"), *_rows(True)]),
    "confidence, with dots": "\n".join([_header("{j}.{a}", "confidence"), *_rows(True)]),
    "axis first": "\n".join([_header("{a}_{j}", "c"), *_rows(True)]),
    "semicolons": "\n".join([_header("{j}_{a}"), *_rows(False)]).replace(",", ";"),
    "a frame column": "\n".join(
        ["frame," + _header("{j}_{a}"), *[f"{i},{r}" for i, r in enumerate(_rows(False))]]
    ),
    "byte order mark": "\ufeff" + "\n".join([_header("{j}_{a}"), *_rows(False)]),
    "numbers alone": "\n".join(_rows(True)),
    "counted": "\n".join(
        [",".join(f"{a}{i}" for i in range(1, 18) for a in ("x", "y", "v")), *_rows(True)]
    ),
    "a row a joint": "\n".join(
        ["frame,joint,x,y,score"]
        + [
            f"{f},{j},{x},{y},{s}"
            for f in EACH
            for j, (x, y, s) in zip(COCO17.joints, triplets(body(frame=f)), strict=True)
        ]
    ),
    "DeepLabCut": _deeplabcut(),
}


@pytest.mark.parametrize("name", list(CSV))
def test_tables(tmp_path: Path, name: str) -> None:
    path = tmp_path / "poses.csv"
    path.write_text(CSV[name], encoding="utf-8")
    poses = detections.load(path, minimum_joints=17)
    torch.testing.assert_close(poses.pixels(), expected(0.0), atol=1e-2, rtol=0)
    assert detections.track(path).visible.all()


@pytest.mark.parametrize("nobody", ["-1", "-1.0", ""])
def test_a_table_without_trackers_numbers_is_tracked_by_nearness(
    tmp_path: Path, nobody: str
) -> None:
    path = tmp_path / "poses.csv"
    people = [body(frame=f) + shift for f in EACH for shift in (0, 900)]
    rows = [
        f"{place // 2},{nobody},{','.join(map(str, points.ravel().tolist()))}"
        for place, points in enumerate(people)
    ]
    path.write_text("\n".join(["frame,track_id," + _header("{j}_{a}"), *rows]))
    found = detections.track(path)
    assert found.others == 1
    torch.testing.assert_close(found.keypoints, expected(0.0), atol=1e-2, rtol=0)


def test_mediapipe_table_and_an_empty_row(tmp_path: Path) -> None:
    path = tmp_path / "pose.csv"
    head = ",".join(f"{a}{i}" for i in range(1, 34) for a in ("x", "y", "z", "v"))
    rows = [
        ",".join(f"{p['x']},{p['y']},{p['z']},{p['visibility']}" for p in landmarks(f))
        for f in EACH
    ]
    rows[3] = "," * (4 * 33 - 1)
    path.write_text("\n".join([head, *rows]))
    found = detections.track(path, size=(WIDTH, HEIGHT))
    assert found.visible.any(1).tolist() == [True, True, True, False, True]
    assert found.skeleton.name == "MEDIAPIPE33"


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("shape", ["film", "rows", "npz", "named"])
def test_arrays(tmp_path: Path, width: int, shape: str) -> None:
    film = np.stack([np.array(triplets(body(frame=f)))[:, :width] for f in EACH])
    film[2] = 0 if width == 3 else np.nan
    path = tmp_path / ("film.npy" if shape in ("film", "rows") else "film.npz")
    if shape == "npz":
        np.savez(path, poses=film)
    elif shape == "named":
        np.savez(path, keypoints=film[:, ::-1], joints=np.array(COCO17.joints[::-1]))
    else:
        np.save(path, film if shape == "film" else film.reshape(FRAMES, -1))
    found = detections.track(path)
    assert found.visible.any(1).tolist() == [True, True, False, True, True]
    pixels = convert(found.keypoints, found.skeleton, COCO17).keypoints
    kept = [0, 1, 3, 4]
    torch.testing.assert_close(pixels[kept], expected(0.0)[kept], atol=1e-2, rtol=0)


@pytest.mark.parametrize("layout", ["coco", "h36m"])
def test_a_film_made_for_videopose3d(tmp_path: Path, layout: str) -> None:
    film = expected(0.0, BODY17 if layout == "h36m" else COCO17).numpy()
    path = tmp_path / "data_2d_custom_own.npz"
    positions = {"a.mp4": {"custom": [film]}}
    metadata = {"layout_name": layout, "num_joints": 17}
    np.savez(path, positions_2d=positions, metadata=metadata)  # type: ignore[arg-type]
    found = detections.track(path)
    assert found.skeleton.joints == (BODY17 if layout == "h36m" else COCO17).joints
    torch.testing.assert_close(found.keypoints, torch.from_numpy(film), atol=1e-3, rtol=0)
    positions["b.mp4"] = {"custom": [film]}
    np.savez(path, positions_2d=positions, metadata=metadata)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="2 films"):
        detections.load(path)


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", "null", "[[]]", "[1, 2", '{"people": []}', '{"people": [null, 3]}',
        '{"people": [{"pose_keypoints_2d": [1, 2, 3, 4]}]}', '[{"keypoints": "none"}]',
        '[{"keypoints": [[1, 2], [3]]}]', '{"a": {"b": {"c": []}}}', "[" * 50 + "]" * 50,
        '{"keypoints": [1, [2, 3], {}]}', "a,b,c\n1,2,3\n", "\x00\x01\x02", '{"frames": [1, 2]}',
        '[{"image_id": {}, "keypoints": [1e999, 2, 3]}]', "hello", "x,y\n1,2\n",
        '{"instance_info": [{"frame_id": 1, "instances": []}]}', "1,2,3\n4,5\n",
        '{"keypoints": [{"0": [[1, 2, 3]]}], "skeleton": {"0": "nose"}}'[:-3],
        '[{"keypoints": {"x": [1, 2], "y": [1]}}]',
        "[" * 500 + "1" + "]" * 500, '{"people": ' * 300 + "[]" + "}" * 300,
    ],
)  # fmt: skip
def test_other_files_are_refused_in_few_words(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(content)
    for call in (detections.load, detections.track):
        with pytest.raises(DatasetError) as caught:
            call(path)
        assert len(str(caught.value)) < 900


@pytest.mark.parametrize("end", [10, 60, -9])
def test_files_that_are_cut_off(result: tuple[Path, float], end: int) -> None:
    path, _ = result
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(DatasetError, match="cut off"):
        detections.load(path)


def test_an_empty_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no \.json"):
        detections.load(tmp_path)
    with pytest.raises(DatasetError, match="cannot be read"):
        detections.load(tmp_path / "none.json")


@pytest.mark.parametrize("tracked", [True, False])
def test_a_film_of_coco_annotations(tmp_path: Path, tracked: bool) -> None:
    names = [*COCO17.joints[:5], *COCO17.joints[:4:-1]]  # their own order
    images, people = [], []
    for frame in range(5):
        images.append({"id": frame + 1, "file_name": f"frame_{frame:06d}.PNG"})
        for who, left in enumerate((100.0, 900.0)):
            flat = [n for j in range(17) for n in (left + 9 * j + frame, 50.0 + 11 * j, 2 - j % 2)]
            if frame == 2 and who == 0:
                continue  # out of sight
            if frame == 3:
                flat[3:6] = [0, 0, 0]
            people.append(
                {"id": len(people) + 1, "image_id": frame + 1, "category_id": 7, "keypoints": flat,
                 "bbox": [left, 50, 160, 190], "attributes": {"track_id": who} if tracked else {}}
            )  # fmt: skip
    path = tmp_path / "person_keypoints_default.json"
    category = {"id": 7, "name": "person", "keypoints": names}
    path.write_text(json.dumps({"images": images, "annotations": people, "categories": [category]}))
    film, other = (detections.track(path, person=who) for who in (0, 1))
    assert len(film) == 5 and film.others == 1 and film.skeleton.joints == tuple(names)
    # A tracker's number, or the place in the order of what is seen: more is of the second.
    first, second = (film, other) if tracked else (other, film)
    assert first.visible.any(1).tolist() == [True, True, False, True, True]
    assert second.visible.sum(1).tolist() == [17, 17, 17, 16, 17]
    torch.testing.assert_close(second.keypoints[4, 2], torch.tensor([922.5, 72.5]))


def test_what_is_no_text_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "film"
    for content in (b"MATLAB 5.0 MAT-file\0\1\2", b"\x89PNG\r\n\0\0", b"RIFF\0\0\0\0AVI "):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match="no text"):
            detections.track(path)


@pytest.mark.parametrize("both", [True, False])
def test_deeplabcuts_table_of_several(tmp_path: Path, both: bool) -> None:
    columns = [(who, j, axis) for who in ("ada", "ben") for j in COCO17.joints for axis in "xyp"]
    heads = ["scorer", "individuals", "bodyparts", "coords"]
    lists = [["net"] * len(columns), *zip(*columns, strict=True)]
    lists[3] = ["likelihood" if axis == "p" else axis for axis in lists[3]]
    rows = [[head, *cells] for head, cells in zip(heads, lists, strict=True)]
    for frame in range(4):
        row = [str(frame)]
        for who, joint, axis in columns:
            place = (who == "ben") * 500 + COCO17.index(joint) * 9 + frame + 5
            gone = who == "ben" and (frame == 1 or not both)
            row.append("" if gone else "0.9" if axis == "p" else str(place))
        rows.append(row)
    path = tmp_path / "film.csv"
    path.write_text("\n".join(",".join(row) for row in rows))
    assert len(detections.load(path)) == (7 if both else 4)
    ada = detections.track(path)
    assert len(ada) == 4 and ada.visible.all() and ada.others == int(both)
    torch.testing.assert_close(ada.keypoints[3, 2], torch.tensor([26.0, 26.0]))
    if both:
        ben = detections.track(path, person="ben")
        assert ben.visible.any(1).tolist() == [True, False, True, True]
