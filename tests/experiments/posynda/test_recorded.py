"""Films of real data sets as source and target, in files that the tests write."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from posenb import __main__ as command
from posenb.experiments import sweep
from posenb.experiments.posynda import recorded, tables
from posenb.experiments.posynda.bench import PAPER_SCALE, Bench, Lifter, Scale
from posenb.experiments.posynda.recorded import Recorded, route
from posenb.posynda import PAPER_RECIPE, Recipe
from posenb.posynda.hypotheses import estimate_root, project
from posenb.world import domains
from posenb.world.cameras import look_at
from posenb.world.datasets import DatasetError, human36m, mpi_inf_3dhp, short_name
from posenb.world.skeletons import BODY17, DHP17, SMPL24, convert

pytestmark = pytest.mark.slow

FRAMES = 5
LONG = 12  # frames of a film: two whole windows, and one that is padded
MOVING = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]  # of Human3.6M's 32
UNKNOWN = [BODY17.index("nose"), BODY17.index("head_top")]
TINY = Scale(
    frames=FRAMES,
    source=20,
    target=10,
    test=12,
    mixste=Lifter("MixSTE", 16, Recipe(steps=2, batch=4)),
    videopose=Lifter("VideoPose", 16, Recipe(steps=2, batch=4)),
    steps=2,
    batch=4,
    hypotheses=2,
    sampling_steps=1,
)


def walk(seed):
    """Somebody in motion about the middle of the room, (F, 17, 3), y up."""
    joints = domains.get("lab").sample_motion(1, LONG, seed).joints3d[0]
    middle = joints[:, :1].mean(0) * torch.tensor([1.0, 0.0, 1.0])
    return (joints - middle).double()


def write_human36m(path):
    def official(joints):
        x, y, z = joints.unbind(-1)
        array = np.full((len(joints), 32, 3), -7.0, dtype=np.float32)
        array[:, MOVING] = torch.stack([x, -z, y], -1).numpy()
        return array

    subjects = (*recorded.TRAINING, *recorded.HELD_OUT)
    takes = {
        subject: {"Walking 1": official(walk(2 * n)), "Walking": official(walk(2 * n + 1))}
        for n, subject in enumerate(subjects)
    }
    np.savez_compressed(path, positions_3d=takes)


def film_3dhp(view, joints):
    camera = mpi_inf_3dhp.camera(view)
    official = convert(joints, BODY17, DHP17).keypoints
    return {
        "data_2d": camera.project(official).numpy(),
        "data_3d": 1000 * camera.to_camera(official).numpy(),
    }


def write_3dhp(folder):
    folder.mkdir()
    train = {"S1 Seq1": [{v: film_3dhp(v, walk(30)) for v in ("0", "2", "8")}, 25]}
    np.savez_compressed(folder / "data_train_3dhp.npz", data=train)
    valid = np.ones(LONG)
    valid[3] = 0
    test = {v: {**film_3dhp(v, walk(31)), "valid": valid} for v in ("TS1", "TS6")}
    np.savez_compressed(folder / "data_test_3dhp.npz", data=test)


def write_3dpw(folder):
    way = torch.linspace(-1.0, 1.0, LONG).double()
    eye = torch.stack([way, torch.full_like(way, 1.6), torch.full_like(way, 6.0)], -1)
    rotation, translation = look_at(eye, torch.tensor([0.0, 1.0, 0.0]).double())
    poses = torch.eye(4).double().repeat(LONG, 1, 1)
    poses[:, :3, :3], poses[:, :3, 3] = rotation, translation
    for number, split in enumerate(("train", "test")):
        (folder / split).mkdir(parents=True)
        smpl = convert(walk(40 + number), BODY17, SMPL24).keypoints.nan_to_num(9.0)
        content = {
            "sequence": split,
            "jointPositions": [smpl.reshape(LONG, 72).numpy()],
            "cam_poses": poses.numpy(),
            "cam_intrinsics": np.array([[1961.0, 0, 540], [0, 1969.0, 960], [0, 0, 1]]),
            "campose_valid": [np.ones(LONG, int)],
        }
        (folder / split / f"{split}.pkl").write_bytes(pickle.dumps(content, 2))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Names of the data sets."""
    folder = tmp_path_factory.mktemp("data")
    write_human36m(folder / "data_3d_h36m.npz")
    write_3dhp(folder / "3dhp")
    write_3dpw(folder / "3dpw")
    return {
        "human36m": f"human36m:{folder / 'data_3d_h36m.npz'}",
        "mpi_inf_3dhp": f"mpi_inf_3dhp:{folder / '3dhp'}",
        "threedpw": f"threedpw:{folder / '3dpw'}",
    }


def test_windows_of_human36m(data):
    """In screen units of a straight lens; metres, the camera's frame, the pelvis at the origin."""
    source, _ = route(data["human36m"], data["mpi_inf_3dhp"])
    found = source.sample(10**6, 0, FRAMES)
    assert len(found) == 5 * 2 * 4 * 3 and set(found.subject) == set(recorded.TRAINING)
    assert set(source.sample(10**6, 0, FRAMES, "test").subject) == {"S9", "S11"}
    camera = human36m.camera("S1")[0]
    inside = camera.to_camera(walk(0))[:FRAMES].float()
    assert set(found.subject[:40]) == set(recorded.TRAINING)  # in no order
    n = int((found.root - inside[:, 0]).abs().amax((1, 2)).argmin())
    torch.testing.assert_close(found.root[n], inside[:, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.joints3d[n], inside - inside[:, :1], atol=1e-4, rtol=0)
    ideal = inside[..., :2] / inside[..., 2:] * camera.focal.float() / 500
    torch.testing.assert_close(found.keypoints[n], ideal, atol=1e-4, rtol=0)
    assert found.subject[n] == "S1" and found.camera.focal[n, 0] == pytest.approx(1145.04944 / 500)
    assert not found.camera.center.any() and found.camera.distortion is None
    still = (found.joints3d[:, 2:] == found.joints3d[:, 1:2]).flatten(1).all(1)
    assert still.sum() == 5 * 2 * 4  # each film's last window is padded


@pytest.mark.parametrize("kind", recorded.KINDS)
def test_test_windows_project_to_what_is_seen_and_count_what_is_known(data, kind):
    source = data["mpi_inf_3dhp" if kind == "human36m" else "human36m"]
    _, target = route(source, data[kind])
    test = target.sample(10**6, 0, FRAMES, "test")
    counted = target.counted(10**6, 0, FRAMES)
    which, when = counted[..., 0].nonzero(as_tuple=True)  # frames whose root is known
    joints, mask = test.joints3d[which, when][:, None], counted[which, when][:, None]
    lens = test.camera[which]  # without extrinsics: poses are in the camera's frame
    seen = test.keypoints[which, when][:, None]
    place = estimate_root(joints[:, None], seen.where(mask[..., None], torch.nan), lens, steps=5)
    gap = (project(joints[:, None] + place[..., None, :], lens)[:, 0] - seen).norm(dim=-1)
    others = [j for j in range(17) if j != BODY17.index("nose")]  # 3DHP's is a midpoint
    assert gap[..., others][mask[..., others]].max() < 2e-3
    frames = counted.any(-1).sum()
    if kind == "threedpw":
        assert frames == LONG and not counted[..., UNKNOWN].any()
        assert test.keypoints[..., UNKNOWN, :].isnan().all()
        assert not test.joints3d[..., UNKNOWN, :].any()
        assert target.sample(10**6, 0, FRAMES).joints3d is None and not target.complete
    elif kind == "mpi_inf_3dhp":
        assert frames == 2 * (LONG - 1) and not counted[0, 3].any() and counted[0, 2].all()
        assert not test.joints3d[0, 3].any() and test.joints3d[0, 2].any()
        assert sorted(set(test.subject)) == ["TS1", "TS6"]
        assert test.camera.focal[0, 0] == pytest.approx(1500.172 / 1024)
        assert test.camera.focal[-1, 0] == pytest.approx(1683.98346 / 960)
        assert set(target.sample(10**6, 0, FRAMES).subject) == {"S1"}
    else:
        assert frames == 2 * 2 * 4 * LONG and set(test.subject) == {"S9", "S11"}


def test_from_one_subject_to_four_others_no_take_is_on_both_sides(data):
    source, target = route(data["human36m"], data["human36m"])
    assert source.train == ("S1",) and target.test == ("S5", "S6", "S7", "S8")
    assert source.label != target.label
    train, test = (target.sample(10**6, 0, FRAMES, split) for split in ("train", "test"))
    assert len(train) == len(test) == 4 * 4 * 3
    assert set(train.subject) == set(test.subject) == set(target.test)
    gap = (train.joints3d[:, None] - test.joints3d[None]).abs().amax((2, 3, 4))
    assert gap.min() > 1e-3


def test_windows_are_drawn_by_the_seed(data):
    source, _ = route(data["human36m"], data["mpi_inf_3dhp"])
    one, same, other = (source.sample(7, seed, FRAMES) for seed in (0, 0, 1))
    assert len(one) == 7 and torch.equal(one.keypoints, same.keypoints)
    assert not torch.equal(one.keypoints, other.keypoints)
    assert source.counted(7, 0, FRAMES).shape == (7, FRAMES, 17)


@pytest.mark.parametrize(("target", "profile"), [
    ("mpi_inf_3dhp", "quick"), ("threedpw", "quick"), ("human36m", "full"),
])  # fmt: skip
def test_the_command_runs_table_2_on_films(target, profile, data, tmp_path, monkeypatch, capsys):
    real = sweep.run_table
    monkeypatch.setattr(
        sweep, "run_table", lambda *given, **more: real(*given, **more, folder=tmp_path)
    )
    monkeypatch.setattr(tables, "TEACHING" if profile == "quick" else "PAPER_SCALE", TINY)
    monkeypatch.setattr(tables, "PAPER_FRAMES", {"human36m": FRAMES})
    monkeypatch.setenv("POSENB_PROFILE", "quick")
    monkeypatch.chdir(tmp_path)
    asked = ["--source", data["human36m"], "--target", data[target], "--profile", profile]
    assert command.main(["table", "posynda.table2", "--seeds", "0", *asked]) == 0
    names = (short_name(data[kind]) for kind in ("human36m", target))
    name = f"table2_{'_to_'.join(names)}" + ("_full" if profile == "full" else "")
    assert f"{name}.json" in capsys.readouterr().out
    text = (tmp_path / "posynda" / f"{name}.json").read_text()
    assert str(tmp_path.parent) not in text  # no path of anybody's
    card = json.loads(text)
    for row in card["rows"]:
        assert all(math.isfinite(value["mean"]) for value in row["metrics"].values())
    methods = [(row["denoiser"], row["method"]) for row in card["rows"] if "9" not in row["target"]]
    if target == "threedpw":
        assert {denoiser for denoiser, _ in methods} == {"MixSTE"} and len(methods) == 7
    else:
        assert len(methods) == 2 * 8 and ("VideoPose", tables.ORACLE) in methods
    printed = card["configuration"]["recipes"]["PoSynDA, as printed"]
    assert (printed["learning_rate"] == PAPER_RECIPE.learning_rate) == (profile == "full")
    assert card["configuration"]["source"]["test"] == ["S9", "S11"]
    found = [row["metrics"]["MPJPE"]["mean"] for row in card["rows"]]
    assert profile == "full" or len(set(found)) == len(found)  # 2 steps at 6e-5 move nothing


def test_at_the_papers_size_everything_is_the_papers():
    scale = PAPER_SCALE
    with torch.device("meta"):
        model = Bench(scale=replace(scale, frames=243)).fresh()
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(34.84e6, abs=0.01e6)
    assert (scale.frames, scale.batch, scale.mixste.timesteps) == (27, 4, 1000)
    assert scale.mixste.training.batch == 4 and scale.mixste.training.learning_rate == 6e-5
    asked = {"steps": scale.steps, "batch": scale.batch}
    method = tables.at_length(tables.METHODS)["PoSynDA, as printed"]
    assert replace(method, **asked) == replace(PAPER_RECIPE, **asked)


def test_what_cannot_be_done_is_said_before_anything_is_trained(data, tmp_path, capsys):
    def refused(*arguments):
        assert command.main(["table", "posynda.table2", *arguments]) == 2
        return capsys.readouterr().err

    source, target = ["--source", data["human36m"]], ["--target", data["threedpw"]]
    assert "--source without --target" in refused(*source)
    assert "--target without --source" in refused(*target)
    assert "expected films" in refused(*source, "--target", "coco:a.json")
    assert "expected coco:PATH" in refused(*source, "--target", "stage")
    assert "cannot be a source" in refused(
        "--source", data["threedpw"], "--target", data["human36m"]
    )
    both = ["--source", data["mpi_inf_3dhp"], "--target", data["mpi_inf_3dhp"]]
    assert "both mpi_inf_3dhp" in refused(*both)
    nowhere = tmp_path / "nowhere"
    for kind, file in (("mpi_inf_3dhp", "data_train_3dhp.npz"), ("threedpw", "train")):
        found = refused(*source, "--target", f"{kind}:{nowhere}")
        assert f"{nowhere / file}: file: cannot be read" in found
    found = refused("--source", f"human36m:{nowhere}", *target)
    assert f"{nowhere}: file: cannot be read" in found and "vision.imar.ro" in found


@pytest.mark.parametrize("split", ["train", "test"])
def test_archives_without_films_are_named(split, tmp_path):
    for part in ("train", "test"):
        np.savez(tmp_path / f"data_{part}_3dhp.npz", data={})
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d={"S9": {}})
    for name in (f"mpi_inf_3dhp:{tmp_path}", f"human36m:{tmp_path / 'data_3d_h36m.npz'}"):
        with pytest.raises(DatasetError, match="holds no film"):
            Recorded(name, ("S9",), ("S9",)).sample(3, 0, FRAMES, split)


def test_one_take_of_an_action_cannot_be_on_both_sides(data, tmp_path):
    takes = {"S9": {"Walking": np.zeros((LONG, 32, 3), np.float32)}}
    write_human36m(tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz", allow_pickle=True) as found:
        takes["S9"]["Walking"] = found["positions_3d"].item()["S9"]["Walking"]
    np.savez(tmp_path / "one.npz", positions_3d=takes)
    one = Recorded(f"human36m:{tmp_path / 'one.npz'}", ("S9",), ("S9",))
    assert len(one.sample(3, 0, FRAMES))
    with pytest.raises(DatasetError, match="test films: there is none to be scored on"):
        one.sample(3, 0, FRAMES, "test")


def test_films_without_a_usable_window_are_refused(data, monkeypatch):
    monkeypatch.setattr(recorded, "FARTHEST", 1e-6)
    lost = Recorded(data["human36m"], ("S1",), ("S9",))
    with pytest.raises(DatasetError, match="no window of 5 frames in which the 17 joints are seen"):
        lost.sample(5, 0, FRAMES)
