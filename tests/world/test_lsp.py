"""Leeds Sports Pose and its extension: one looks like the other and means something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from posenb.world import domains
from posenb.world.datasets import DatasetError, lsp
from posenb.world.skeletons import BODY17, LSP14, convert

pytestmark = pytest.mark.slow


def people(count: int = 4) -> np.ndarray:
    """Pixels counted from 1, (N, 14, 2)."""
    poses = domains.get("wild").sample(count, 0).keypoints.double() * 150 + 20
    return convert(poses, BODY17, LSP14).keypoints.numpy() + 0.5


def write(folder: Path, points: np.ndarray, third: np.ndarray, extended: bool) -> Path:
    table = np.concatenate([points, third[..., None]], -1)  # (N, 14, 3)
    path = folder / "joints.mat"
    savemat(path, {"joints": table.transpose((1, 2, 0) if extended else (2, 1, 0))})
    return path


@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_hidden_joints_of_lsp_are_labelled(tmp_path: Path, hidden: float) -> None:
    points = people()
    path = write(tmp_path, points, np.full((4, 14), hidden), extended=False)
    poses = lsp.load(path, minimum_joints=14)
    expected = torch.from_numpy(points - 0.5).float()
    torch.testing.assert_close(poses.pixels(), expected, atol=1e-3, rtol=0)
    assert poses.picture == ("im0001.jpg", "im0002.jpg", "im0003.jpg", "im0004.jpg")
    assert poses.skeleton == LSP14


@pytest.mark.parametrize("place", [(0.0, 0.0), (-12.0, 30.0), (77.0, 80.0), (np.nan, 1.0)])
def test_joints_of_the_extension_without_a_mark_are_not_labelled(
    tmp_path: Path, place: tuple[float, float]
) -> None:
    points, marks = people(), np.ones((4, 14))
    points[1, 6], marks[1, 6] = place, 0
    path = write(tmp_path, points, marks, extended=True)
    poses = lsp.load(tmp_path)
    assert poses.visible is not None and poses.picture is not None
    assert (~poses.visible).nonzero().tolist() == [[1, 6]]
    assert poses.picture[0] == "im00001.jpg"
    assert len(lsp.load(path, minimum_joints=14)) == 3


@pytest.mark.parametrize("extended", [False, True])
def test_one_person(tmp_path: Path, extended: bool) -> None:
    path = write(tmp_path, people(1), np.ones((1, 14)), extended)
    assert len(lsp.load(path, minimum_joints=14)) == 1


def test_a_joint_in_the_corner_was_not_placed(tmp_path: Path) -> None:
    points = people()
    points[2, 3] = 0
    poses = lsp.load(write(tmp_path, points, np.zeros((4, 14)), extended=False))
    assert poses.visible is not None and (~poses.visible).nonzero().tolist() == [[2, 3]]


def test_the_nose_of_body17_is_interpolated(tmp_path: Path) -> None:
    path = write(tmp_path, people(), np.zeros((4, 14)), extended=False)
    assert len(lsp.load(path, skeleton=BODY17, minimum_joints=17)) == 4


@pytest.mark.parametrize(
    "content",
    [
        {"joints": np.ones((3, 16, 5))},
        {"joints": np.ones((14, 2))},
        {"other": np.ones((3, 14, 5))},
        {"joints": "text"},
        {"joints": {"x": 1}},
    ],
)
def test_other_matlab_files(tmp_path: Path, content: dict[str, object]) -> None:
    savemat(tmp_path / "joints.mat", content)
    with pytest.raises(DatasetError, match="joints"):
        lsp.load(tmp_path)


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path, people(), np.zeros((4, 14)), extended=False)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DatasetError):
        lsp.load(path)
