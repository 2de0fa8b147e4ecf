"""A user's own poses in, generated poses out, in formats that others read."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from posenb.flexpose import files
from posenb.world import domains
from posenb.world.datasets import DatasetError, coco
from posenb.world.drawing import draw_skeletons
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17, COCO17, FACE68, HAND21, Skeleton, convert

WILD = domains.get("wild")
ANKLES = [COCO17.index("left_ankle"), COCO17.index("right_ankle")]


def poses_of(skeleton: Skeleton, count: int = 3) -> PoseSet:
    keypoints = torch.rand(count, len(skeleton), 2, generator=torch.Generator().manual_seed(1))
    named = ("generated",) * count
    return PoseSet(keypoints, None, None, named, named, skeleton)


def own_file(path: Path, without: dict[int, list[int]], count: int = 5) -> Path:
    """People of `wild` as a COCO file; `without` says whose joints are unlabelled."""
    files.write_poses(WILD.sample(count, seed=3), path.parent)
    content = json.loads((path.parent / "poses.json").read_bytes())
    for number, joints in without.items():
        for joint in joints:
            content["annotations"][number]["keypoints"][3 * joint : 3 * joint + 3] = [0, 0, 0]
    path.write_text(json.dumps(content))
    return path


def test_own_poses_come_back_cropped_as_the_source(tmp_path: Path) -> None:
    shots = files.read_shots(own_file(tmp_path / "own.json", {}))
    assert len(shots) == 5 and shots.skeleton is BODY17 and shots.visible is None
    extent = (shots.keypoints.amax(1) - shots.keypoints.amin(1)).amax(1)
    torch.testing.assert_close(extent, torch.full((5,), 1 / 1.25))
    middle = (shots.keypoints.amax(1) + shots.keypoints.amin(1)) / 2
    torch.testing.assert_close(middle, torch.full((5, 2), 0.5))
    wide = files.read_shots(tmp_path / "own.json", margin=2.0)
    torch.testing.assert_close(
        (wide.keypoints - 0.5) * 2.0, (shots.keypoints - 0.5) * 1.25, atol=1e-6, rtol=0
    )
    # Joints that COCO has too are at their places, up to the crop.
    ours = WILD.sample(5, seed=3).keypoints[:, BODY17.index("right_wrist")]
    hips = WILD.sample(5, seed=3).keypoints[:, BODY17.index("right_hip")]
    theirs = shots.keypoints[:, BODY17.index("right_wrist")] - shots.keypoints[:, 1]
    turn = torch.nn.functional.cosine_similarity(theirs, ours - hips)
    torch.testing.assert_close(turn, torch.ones(5), atol=1e-3, rtol=0)


LIMBS = [COCO17.index(f"{side}_{joint}") for side in ("left", "right")
         for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")]  # fmt: skip


def test_people_count_by_the_limbs_that_are_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = own_file(tmp_path / "own.json", {0: ANKLES, 3: LIMBS[:5], 4: LIMBS[:4]})
    with caplog.at_level(logging.WARNING):
        shots = files.read_shots(path)
    assert [subject.split()[-1] for subject in shots.subject] == ["1", "2", "3", "5"]
    assert "1 of 5 people left out, who show fewer than 8 of 12 limb joints" in caplog.text
    assert shots.visible is not None
    assert shots.visible.sum(1).tolist()[:3] == [15, 17, 17]
    assert not shots.visible[0, [BODY17.index("left_ankle"), BODY17.index("right_ankle")]].any()
    extent = [
        k[v].amax(0) - k[v].amin(0) for k, v in zip(shots.keypoints, shots.visible, strict=True)
    ]
    torch.testing.assert_close(torch.stack(extent).amax(1), torch.full((4,), 1 / 1.25))


def test_a_file_without_a_nose_is_masked_and_not_refused(tmp_path: Path) -> None:
    shots = files.read_shots(own_file(tmp_path / "own.json", dict.fromkeys(range(5), [0])))
    head = [BODY17.index("nose"), BODY17.index("head_top")]
    assert shots.visible is not None and not shots.visible[:, head].any()
    assert shots.visible.sum(1).tolist() == [15] * 5


@pytest.mark.parametrize("written", [str, lambda path: f"coco:{path}", Path])
def test_a_kind_may_be_named(tmp_path: Path, written: Any) -> None:
    assert len(files.read_shots(written(own_file(tmp_path / "own.json", {})))) == 5


def test_too_few_people_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = own_file(tmp_path / "own.json", dict.fromkeys(range(4), LIMBS[5:]))
    with pytest.raises(ValueError, match=r"1 of 5 people show at least 8 of 12.*right_wrist \(4\)"):
        files.read_shots(path)


def test_a_bad_file_is_the_loaders_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        files.read_shots(tmp_path / "nowhere.json")
    (tmp_path / "half.json").write_text('{"annotations": [')
    with pytest.raises(DatasetError, match="is not JSON"):
        files.read_shots(tmp_path / "half.json")


def test_written_coco_is_read_back_to_the_same_places(tmp_path: Path) -> None:
    poses = WILD.sample(4, seed=5)
    files.write_poses(poses, tmp_path)
    content = json.loads((tmp_path / "poses.json").read_bytes())
    back = coco.load(tmp_path / "poses.json", margin=1.0)
    wanted = convert(poses.keypoints, BODY17, COCO17)
    exact = torch.tensor([status == "exact" for status in wanted.status])
    assert exact.sum() == 13  # no eyes, no ears
    assert back.visible is not None and (back.visible == exact).all()
    boxes = torch.tensor([a["bbox"] for a in content["annotations"]])  # (4, 4)
    side = boxes[:, 2:].amax(1)[:, None, None]
    corner = (boxes[:, :2] + boxes[:, 2:] / 2)[:, None] - side / 2
    places = (back.keypoints * side + corner) / files.PIXELS
    torch.testing.assert_close(places[:, exact], wanted.keypoints[:, exact], atol=1e-5, rtol=0)


def test_written_coco_is_of_the_official_form(tmp_path: Path) -> None:
    files.write_poses(WILD.sample(4, seed=5), tmp_path)
    content = json.loads((tmp_path / "poses.json").read_bytes())
    assert content.keys() == {"info", "licenses", "images", "annotations", "categories"}
    (person,) = content["categories"]
    assert person["id"] == 1 and person["name"] == "person"
    assert person["keypoints"] == list(COCO17.joints) and len(person["skeleton"]) == 19
    assert {joint for line in person["skeleton"] for joint in line} == set(range(1, 18))
    assert [image["id"] for image in content["images"]] == [1, 2, 3, 4]
    for annotation in content["annotations"]:
        assert annotation["image_id"] == annotation["id"] and annotation["category_id"] == 1
        flags = annotation["keypoints"][2::3]
        assert annotation["num_keypoints"] == sum(flag > 0 for flag in flags) == 13
        assert all(annotation["keypoints"][3 * i : 3 * i + 3] == [0, 0, 0] for i in (1, 2, 3, 4))
        left, top, width, height = annotation["bbox"]
        joints = [
            annotation["keypoints"][3 * i : 3 * i + 2] for i, flag in enumerate(flags) if flag
        ]
        for x, y in joints:  # pixel centres, against a box from corners
            assert left - 0.001 <= x + 0.5 <= left + width + 0.001
            assert top - 0.001 <= y + 0.5 <= top + height + 0.001


def test_arrays_and_table_hold_the_poses(tmp_path: Path) -> None:
    poses = poses_of(BODY17)
    hidden = torch.ones(3, 17, dtype=torch.bool)
    hidden[1, 4] = False
    keypoints = poses.keypoints.masked_fill(~hidden[..., None], 0.0)
    paths = files.write_poses(replace(poses, keypoints=keypoints, visible=hidden), tmp_path)
    assert [path.name for path in paths] == ["poses.npz", "poses.csv", "poses.json", "poses.png"]
    with np.load(tmp_path / "poses.npz") as arrays:
        assert arrays["keypoints"].dtype == np.float32 and str(arrays["skeleton"]) == "BODY17"
        torch.testing.assert_close(torch.from_numpy(arrays["keypoints"]), keypoints)
        assert arrays["visible"].sum() == 3 * 17 - 1
        assert tuple(arrays["joints"]) == BODY17.joints
    with (tmp_path / "poses.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [f"{joint}_{axis}" for joint in BODY17.joints for axis in "xy"]
    assert float(rows[2]["nose_y"]) == pytest.approx(float(keypoints[2, 9, 1]), abs=1e-6)
    assert rows[1]["left_hip_x"] == rows[1]["left_hip_y"] == ""
    annotations = json.loads((tmp_path / "poses.json").read_bytes())["annotations"]
    assert [a["num_keypoints"] for a in annotations] == [13, 12, 13]


@pytest.mark.parametrize("count", [1, 9, 70])
def test_the_contact_sheet_shows_the_first_poses(tmp_path: Path, count: int) -> None:
    poses = poses_of(BODY17, count)
    files.write_poses(poses, tmp_path)
    sheet = torch.from_numpy(np.array(Image.open(tmp_path / "poses.png"))) / 255
    step, rows = files.TILE + files.GAP, -(-min(count, 64) // 8)
    assert sheet.shape == (rows * step + files.GAP, 8 * step + files.GAP, 3)
    last = min(count, 64) - 1
    top, left = files.GAP + last // 8 * step, files.GAP + last % 8 * step
    tile = sheet[top : top + files.TILE, left : left + files.TILE].permute(2, 0, 1)
    drawn = draw_skeletons(poses.keypoints[last : last + 1], BODY17, files.TILE)[0]
    torch.testing.assert_close(tile, drawn, atol=0.5 / 255 + 1e-6, rtol=0)


@pytest.mark.parametrize("skeleton", [FACE68, HAND21])
def test_a_skeleton_without_joints_of_cocos_gets_no_json(
    tmp_path: Path, skeleton: Skeleton
) -> None:
    paths = files.write_poses(poses_of(skeleton), tmp_path)
    assert [path.name for path in paths] == ["poses.npz", "poses.csv", "poses.png"]


def test_equal_poses_give_equal_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = files.write_poses(poses_of(BODY17), tmp_path / "a")
    monkeypatch.setattr("time.time", lambda: 2e9)  # archives know the hour, if they are let
    second = files.write_poses(poses_of(BODY17), tmp_path / "b" / "deeper")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_crash_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [path.read_bytes() for path in files.write_poses(poses_of(BODY17), tmp_path)]

    def broken(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        files.write_poses(poses_of(BODY17, 5), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["poses.csv", "poses.json", "poses.npz", "poses.png"]
    assert [
        (tmp_path / f"poses.{kind}").read_bytes() for kind in ("npz", "csv", "json", "png")
    ] == before
