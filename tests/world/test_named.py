"""Data files by name: the same full poses for whoever asks, names that fit everywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from posenb.flexpose import files
from posenb.world import datasets, domains
from posenb.world.skeletons import BODY17


def test_full_poses_of_coco_are_cropped_around_their_joints(tmp_path: Path) -> None:
    poses = domains.get("lab").sample(12, 0)
    poses.keypoints[0] *= 0.5
    files.write_poses(poses, tmp_path)
    file = tmp_path / "poses.json"
    content = json.loads(file.read_bytes())
    content["annotations"][3]["keypoints"][3 * 9 + 2] = 0  # a wrist that is not labelled
    file.write_text(json.dumps(content))
    found = datasets.full_poses(f"coco:{file}")
    assert len(found) == 11 and found.skeleton == BODY17
    assert "image 4 / person 4" not in found.subject
    low, high = found.keypoints.amin(1), found.keypoints.amax(1)
    torch.testing.assert_close((high - low).amax(1), torch.full((11,), 1 / 1.25))
    tight = datasets.full_poses(f"coco:{file}", margin=1.0).keypoints
    torch.testing.assert_close((tight - 0.5) / 1.25 + 0.5, found.keypoints)


def test_full_poses_of_mpii(tmp_path: Path) -> None:
    def person(labelled: int) -> dict[str, object]:
        return {
            "joints": [[100.0 + 7 * j % 40, 90.0 + 11 * j] for j in range(16)],
            "joints_vis": [int(j < labelled) for j in range(16)],
            "center": [120.0, 180.0],
            "scale": 1.2,
            "image": "a.jpg",
        }

    (tmp_path / "valid.json").write_text(json.dumps([person(16), person(15), person(16)]))
    found = datasets.full_poses(f"mpii:{tmp_path / 'valid.json'}")
    assert len(found) == 2 and found.skeleton == BODY17


def test_full_poses_and_films_of_a_film(tmp_path: Path) -> None:
    joints = torch.full((120, 32, 3), 9.0)
    kept = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    x, y, z = domains.get("lab").sample(120, 0).joints3d.unbind(-1)
    joints[:, kept] = torch.stack([x, -z, y], -1)
    file = tmp_path / "data_3d_h36m.npz"
    np.savez(file, positions_3d={"S5": {"Walking": joints.numpy()}})
    found = datasets.full_poses(f"human36m:{file}")
    assert len(found) == 3 * 4 and found.skeleton == BODY17  # one a second of four cameras
    assert found.joints3d is None and set(found.subject) == {"S5"}
    assert [len(film) for film in datasets.films(f"human36m:{file}")] == [120] * 4


def test_pictures_are_no_films() -> None:
    with pytest.raises(ValueError, match="coco has no films; human36m, mpi_inf_3dhp, threedpw"):
        datasets.films("coco:a.json")


@pytest.mark.parametrize("name", ["h36m:a.json", "coco:", "coco", ":a.json", "COCO:a.json"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"expected coco:PATH or mpii:PATH or .*, found '{name}'"):
        datasets.full_poses(name)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(datasets.DatasetError, match=r"nowhere\.json: file: cannot be read"):
        datasets.full_poses(f"coco:{tmp_path / 'nowhere.json'}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("coco:data/person_keypoints_val2017.json", "coco_data_person_keypoints_val2017"),
        ("coco:train/_annotations.coco.json", "coco_train_annotations_coco"),
        ("mpii:a/mpii_human_pose_v1_u12_1.mat", "mpii_a_mpii_human_pose_v1_u12_1"),
        ("coco:Meine Bilder/my poses (1).v2.json", "coco_Meine_Bilder_my_poses_1_v2"),
        ("coco:a/con.json", "coco_a_con"),
        ("coco:jambes écartées/姿勢.json", "coco_jambes_cart_es"),
        (f"coco:{'b' * 200}/{'a' * 200}.json", f"coco_{'b' * 20}_{'a' * 40}"),
    ],
)
def test_short_names_fit_every_system(
    name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, _, path = name.partition(":")
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_text("{}")
    found = datasets.short_name(f"{kind}:{tmp_path / path}")
    assert found == f"{expected}_44136fa3"  # the beginning of SHA-256 of {}
    assert re.fullmatch("[A-Za-z0-9_]{1,100}", found)
    monkeypatch.chdir(tmp_path)
    assert datasets.short_name(name) == found
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert datasets.short_name(f"{kind}:~/{path}") == found


def test_domains_keep_their_names() -> None:
    assert datasets.short_name("wild") == "wild"


@pytest.mark.parametrize("kind", ["coco", "mpii", "human36m"])
def test_other_files_never_share_a_name(kind: str, tmp_path: Path) -> None:
    """As tools write them: one name for all exports, changed in place, or copied."""
    names = []
    for folder, content in (("train", "1"), ("valid", "2"), ("train", "3"), ("train", "1")):
        file = tmp_path / folder / "result.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
        names.append(datasets.short_name(f"{kind}:{file}"))
    assert len(set(names)) == 3 and names[0] == names[3]


def test_a_folder_goes_by_all_that_it_holds_but_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.npz").write_bytes(b"1")
    (folder / "deeper" / "b.npz").write_bytes(b"2")
    first = datasets.short_name(f"mpi_inf_3dhp:{folder}")
    (folder / "frame.JPG").write_bytes(b"3")
    assert datasets.short_name(f"mpi_inf_3dhp:{folder}") == first
    (folder / "a.npz").rename(folder / "c.npz")
    renamed = datasets.short_name(f"mpi_inf_3dhp:{folder}")
    (folder / "deeper" / "b.npz").write_bytes(b"22")
    assert len({first, renamed, datasets.short_name(f"mpi_inf_3dhp:{folder}")}) == 3


def test_a_missing_file_has_no_name(tmp_path: Path) -> None:
    with pytest.raises(datasets.DatasetError, match=r"nowhere\.json: file: cannot be read"):
        datasets.short_name(f"coco:{tmp_path / 'nowhere.json'}")
