"""One door: any file, recognised by what it holds; and faces."""

from __future__ import annotations

import json
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from posenb.flexpose import files
from posenb.world import datasets, domains
from posenb.world.datasets import DatasetError, joints
from posenb.world.skeletons import BODY17, COCO17, FACE68, Skeleton, convert


def poses(count: int = 4, skeleton: Skeleton = COCO17) -> np.ndarray:
    """Pixels (N, J, 2) of invented people, eyes and ears beside the nose."""
    found = domains.get("wild").sample(count, 1).keypoints.double() * 200 + 50
    body = convert(found, BODY17, skeleton).keypoints
    if skeleton is COCO17:
        body[:, 1:5] = body[:, :1] + torch.tensor([[3.0, -2], [-3, -2], [6, -1], [-6, -1]])
    return body.numpy()


def triplets() -> list[list[float]]:
    return [[n for x, y in person.tolist() for n in (x, y, 2)] for person in poses()]


def coco(path: Path) -> None:
    people = [
        {"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "keypoints": flat,
         "bbox": [40, 40, 220, 220]} for i, flat in enumerate(triplets(), 1)
    ]  # fmt: skip
    person = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    path.write_text(json.dumps({"images": [], "categories": [person], "annotations": people}))


def results(path: Path) -> None:
    people = [{"image_id": i, "category_id": 1, "keypoints": flat, "score": 0.9}
              for i, flat in enumerate(triplets())]  # fmt: skip
    path.write_text(json.dumps(people))


def mpii(path: Path) -> None:
    from posenb.world.skeletons import MPII16

    found = convert(torch.from_numpy(poses()), COCO17, MPII16).keypoints
    people = [
        {"joints": person, "joints_vis": [1] * 16, "center": [150.0, 150.0], "scale": 1.0,
         "image": "a.jpg"} for person in found.tolist()
    ]  # fmt: skip
    path.write_text(json.dumps(people))


def openpose(path: Path) -> None:
    path.mkdir()
    for number, flat in enumerate(triplets()):
        content = {"version": 1.3, "people": [{"pose_keypoints_2d": flat}]}
        (path / f"a_{number:012d}_keypoints.json").write_text(json.dumps(content))


def lsp(path: Path) -> None:
    from posenb.world.skeletons import LSP14

    table = np.zeros((3, 14, 4))
    table[:2] = poses(skeleton=LSP14).transpose(2, 1, 0)
    savemat(path, {"joints": table}, appendmat=False)


def array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, poses())


def arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, poses=poses())


def table(path: Path) -> None:
    head = ",".join(f"{joint}_{axis}" for joint in COCO17.joints for axis in "xy")
    rows = [",".join(map(str, person.ravel().tolist())) for person in poses()]
    path.write_text("\n".join([head, *rows]))


KINDS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "coco": ("coco", coco),
    "results": ("detections", results),
    "mpii": ("mpii", mpii),
    "openpose": ("detections", openpose),
    "lsp": ("lsp", lsp),
    "npy": ("detections", array),
    "npz": ("detections", arrays),
    "csv": ("detections", table),
}


@pytest.mark.parametrize("name", list(KINDS))
@pytest.mark.parametrize("ending", [".dat", ""])  # never by the name alone
def test_files_are_recognised_by_their_content(
    tmp_path: Path, name: str, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind, write = KINDS[name]
    path = tmp_path / f"file{ending if name != 'mpii' else '.json'}"
    write(path)
    with caplog.at_level(logging.INFO):
        assert datasets.recognise(path) == kind
    assert f"taken for {kind}" in caplog.text
    found = datasets.load(path, minimum_joints=5)
    assert len(found) == 4
    for address in (str(path), f"{kind}:{path}"):
        torch.testing.assert_close(datasets.load(address).keypoints, found.keypoints)
    assert len(datasets.load(path, skeleton=BODY17, margin=1.5)) == 4


@pytest.mark.parametrize("name", ["poses.npz", "poses.csv", "poses.json"])
def test_own_poses_come_back(tmp_path: Path, name: str) -> None:
    made = domains.get("lab").sample(6, 0)
    files.write_poses(made, tmp_path)
    found = datasets.load(tmp_path / name, skeleton=BODY17)
    assert len(found) == 6
    first = convert(made.keypoints.double(), BODY17, COCO17).keypoints[:, 5:]
    again = convert(found.keypoints.double(), BODY17, COCO17).keypoints[:, 5:]
    low = first.amin(1, keepdim=True)
    shape = (first - low) / (first.amax(1, keepdim=True) - low)
    low = again.amin(1, keepdim=True)
    torch.testing.assert_close(
        (again - low) / (again.amax(1, keepdim=True) - low), shape, atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("write, load", [(coco, datasets.coco.load), (mpii, datasets.mpii.load),
                                         (results, datasets.detections.load)])  # fmt: skip
def test_each_loader_knows_the_home(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], None],
    load: Callable[..., object],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path / "own.json")
    assert len(load("~/own.json")) == 4  # type: ignore[arg-type]


def test_home_and_paths_without_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    coco(tmp_path / "own.json")
    for name in ("~/own.json", "coco:~/own.json"):
        assert datasets.parse(name) == ("coco", str(tmp_path / "own.json"))
        assert len(datasets.full_poses(name)) == 4
        assert datasets.short_name(name).startswith("coco_")
    assert not datasets.is_file("wild") and datasets.is_file("~/own.json")
    assert datasets.short_name("wild") == "wild"


@pytest.mark.parametrize(
    "first",
    ["nose_x,nose_y,nose_score", "frame;joint;x;y", "x1,y1,v1,x2,y2,v2", "1.5,2,3,4", "scorer,a,a"],
)
def test_tables_are_known_by_their_first_row(tmp_path: Path, first: str) -> None:
    (tmp_path / "t").write_text(f"{first}\n")
    assert datasets.recognise(tmp_path / "t") == "detections"


def test_an_option_that_a_kind_does_not_have(tmp_path: Path) -> None:
    coco(tmp_path / "own.json")
    with pytest.raises(ValueError, match="taken for coco, which has no option minimum_score"):
        datasets.load(tmp_path / "own.json", minimum_score=0.5)
    results(tmp_path / "r.json")
    assert len(datasets.load(tmp_path / "r.json", minimum_score=0.5)) == 4


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"poses": [1]}))


def matlab(path: Path) -> None:
    savemat(path, {"something": np.ones(3)}, appendmat=False)


def empty_archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file)


STRANGE: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: path.write_text(""),
    "spaces": lambda path: path.write_text("  \n "),
    "a picture": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(90)),
    "prose": lambda path: path.write_text("lorem"),
    "prose with commas": lambda path: path.write_text("# Data, to try loaders on\n1, 2, 3\n"),
    "another table": lambda path: path.write_text("name,age,city\nA,3,B\n"),
    "other JSON": lambda path: path.write_text('{"name": "posenb", "version": 3}'),
    "an object": lambda path: path.write_text("{}"),
    "bytes": lambda path: path.write_bytes(os.urandom(50) + b"\0"),
    "a pickle": pickled,
    "MATLAB": matlab,
    "an empty npz": empty_archive,
    "half an npz": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(40)),
    "an empty folder": lambda path: path.mkdir(),
    "BVH": lambda path: path.write_text("HIERARCHY\nROOT Hips\n{\n}\n"),
}


@pytest.mark.parametrize("name", list(STRANGE))
def test_what_is_nothing_known_is_named_in_few_words(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file.x"
    STRANGE[name](path)
    with pytest.raises(DatasetError) as caught:
        datasets.load(path)
    assert str(path) in str(caught.value) and len(caught.value.reason) <= 500


def test_a_missing_file_and_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        datasets.load(tmp_path / "none.json")
    for name in ("", "video:a.mp4", "coco:"):
        with pytest.raises(ValueError, match="PATH"):
            datasets.parse(name)


# ---- faces --------------------------------------------------------------------------------------


def face(count: int) -> np.ndarray:
    spread = np.random.default_rng(0)
    return 100 + 80 * spread.random((count, 2))


def pts(points: np.ndarray) -> str:
    rows = "\n".join(f"{x:.4f} {y:.4f}" for x, y in points.tolist())
    return f"version: 1\nn_points:  {len(points)}\n{{\n{rows}\n}}\n"


@pytest.mark.parametrize("count", [68, 98])
def test_landmarks_of_300w(tmp_path: Path, count: int) -> None:
    points = face(count)
    (tmp_path / "afw").mkdir()
    for number in (1, 2):
        (tmp_path / "afw" / f"image_{number}.pts").write_text(pts(points))
    for path in (tmp_path, tmp_path / "afw" / "image_1.pts"):
        assert datasets.recognise(path) == "faces"
        found = datasets.load(path, minimum_joints=68)
        assert found.skeleton == FACE68 and found.picture is not None
        assert found.picture[0] == "image_1"
        chosen = points if count == 68 else points[list(joints.WFLW)]
        expected = torch.from_numpy(chosen - 0.5).float()
        torch.testing.assert_close(found.pixels()[0], expected, atol=1e-3, rtol=0)


def test_landmarks_of_wflw(tmp_path: Path) -> None:
    points = face(98)
    words = [*map(str, points.ravel().tolist()), "90", "90", "190", "190", *"010101", "a/b_1.jpg"]
    path = tmp_path / "list_98pt_rect_attr_test.txt"
    path.write_text(" ".join(words) + "\n" + " ".join(words) + "\n\n")
    found = datasets.load(path)
    assert len(found) == 2 and found.picture == ("a/b_1.jpg", "a/b_1.jpg")
    expected = torch.from_numpy(points[list(joints.WFLW)] + 0.5).float()
    torch.testing.assert_close(found.pixels()[1], expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "content",
    [
        pts(face(68))[:300],
        pts(face(10)),
        pts(face(68)).replace("1", "one"),
        "version: 1\nn_points: 68\n",
    ],
)
def test_damaged_landmarks(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.pts").write_text(content)
    with pytest.raises(DatasetError):
        datasets.load(tmp_path / "a.pts")


LOADERS = {
    "coco": datasets.coco.load,
    "mpii": datasets.mpii.load,
    "lsp": datasets.lsp.load,
    "human36m": datasets.human36m.load,
    "mpi_inf_3dhp": datasets.mpi_inf_3dhp.load,
    "threedpw": datasets.threedpw.load,
}


@pytest.mark.parametrize("loader", list(LOADERS))
@pytest.mark.parametrize(
    "name",
    # each reading of MATLAB's format starts a process
    ["coco", "results", "mpii", pytest.param("lsp", marks=pytest.mark.slow), "npz", "csv"],
)
def test_a_loader_says_what_a_file_of_another_kind_is(
    tmp_path: Path, name: str, loader: str
) -> None:
    kind, write = KINDS[name]
    if kind == loader:
        return
    path = tmp_path / ("file.mat" if name == "lsp" else "file.json")
    write(path)
    with pytest.raises(DatasetError, match=f"datasets.load.*{kind}:PATH") as caught:
        LOADERS[loader](path)
    assert len(caught.value.reason) <= 500
    assert len(datasets.load(path)) == 4


PROJECTS = {
    "VIA": {"1.jpg12": {"filename": "1.jpg", "regions": [{"region_attributes": {"n": "nose"}}]}},
    "labelme": {"shapes": [{"label": "nose", "points": [[1, 2]]}], "imageData": None},
    "Label Studio": [{"annotations": [{"result": [{"value": {"x": 1, "keypointlabels": ["a"]}}]}]}],
    "Supervisely": {"size": {}, "objects": [{"classTitle": "person", "nodes": {}}]},
}


@pytest.mark.parametrize("tool", list(PROJECTS))
def test_own_formats_of_annotation_tools_are_named(tmp_path: Path, tool: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(PROJECTS[tool]))
    for read in (datasets.load, datasets.coco.load, datasets.mpii.load, files.read_shots):
        with pytest.raises(DatasetError, match=f"{tool}: export it as COCO"):
            read(path)


def test_who_wants_full_poses_is_not_told_to_lower_a_number(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    coco(path)
    content = json.loads(path.read_text())
    for person in content["annotations"]:
        person["keypoints"][29] = 0
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="nobody has all 17 joints.*most is 16") as caught:
        datasets.full_poses(str(path))
    assert "minimum_joints" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("name", ["coco", "results", "mpii", "csv"])
def test_text_in_the_encodings_of_windows(tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / "file.json"
    KINDS[name][1](path)
    wanted = datasets.load(path)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path.write_bytes((mark + path.read_text()).encode(encoding))
    torch.testing.assert_close(datasets.load(path).keypoints, wanted.keypoints)
