"""A film as a detector wrote it comes back in 3D, at its own rate, of known size, with its gaps."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from posenb.__main__ import main
from posenb.posynda import Adaptation, film, sizes, windows
from posenb.posynda.adapt import AdaptTask
from posenb.train import loop
from posenb.world.datasets.detections import Track
from posenb.world.skeletons import BODY17, COCO17, LSP14, OPENPOSE18, Skeleton, convert

SIZE = (1000.0, 1000.0)
QUIET = {"progress": False, "hypotheses": 2}


def filmed(fps=30.0, frames=45, skeleton: Skeleton = BODY17):
    """A person of `lab`, as a detector of that skeleton sees it, and the truth (F, 17, 3)."""
    some = windows.sample(
        windows.domain("lab"), 1, 3, frames, split="test", units="pixels", fps=fps
    )
    points = convert(some.keypoints[0], BODY17, skeleton).keypoints
    visible = ~points.isnan().any(-1)
    track = Track(points.nan_to_num(0.0), visible, visible.float(), skeleton, SIZE, "film.json")
    return track, some.joints3d[0]


def error(found, truth):
    """MPJPE, mm."""
    return 1000 * float((found.joints3d - truth).norm(dim=-1).mean())


@pytest.mark.parametrize("fps", [15.0, 24.0, 29.97, 30.0, 60.0])
def test_every_rate_gives_as_many_frames_and_much_the_same_poses(fps):
    track, truth = filmed(fps, round(2 * fps))
    found = film.lift_film(track, fps, **QUIET)
    assert len(found) == len(track) and found.joints3d.isfinite().all()
    assert found.valid.all() and found.visible.all()
    assert not found.joints3d[:, 0].any()  # from the pelvis
    assert error(found, truth) < 150  # the lifter's own error is about 100
    late = truth.roll(round(fps / 5), 0)  # by a fifth of a second
    assert error(found, truth) < 0.8 * error(found, late)


@pytest.mark.parametrize("skeleton", [COCO17, LSP14, OPENPOSE18], ids=lambda s: s.name)
def test_other_skeletons_are_converted(skeleton):
    track, truth = filmed(skeleton=skeleton)
    assert error(film.lift_film(track, 30, **QUIET), truth) < 200


def test_a_rate_between_is_linear():
    frames = torch.tensor([0.0, 10.0, 40.0])[:, None]
    times = torch.tensor([-1.0, 0.0, 0.5, 1.0, 1.9, 2.0, 5.0])
    found = film.at(frames, times)[:, 0]
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 5.0, 10.0, 37.0, 40.0, 40.0]))


@pytest.mark.parametrize("lost", [[0, 1], [20, 21, 22], [44], list(range(10, 40))])
def test_lost_frames_are_named_and_marked(lost, caplog):
    track, _ = filmed()
    whole = film.lift_film(track, 30, **QUIET)
    visible = track.visible.clone()
    visible[lost] = False
    found = film.lift_film(replace(track, visible=visible), 30, **QUIET)
    assert (~found.valid).nonzero().flatten().tolist() == lost
    assert f"{lost[0]}" in caplog.text and f"{len(lost)} of 45" in caplog.text
    assert found.joints3d.isfinite().all() and found.root.isfinite().all()
    far = [f for f in range(45) if min(abs(f - g) for g in lost) > 12]
    off = (found.joints3d - whole.joints3d)[far].norm(dim=-1)
    assert not far or float(off.mean()) < 0.02  # nothing but other neighbours in a window


def test_joints_that_no_frame_shows_are_guessed_and_marked():
    track, truth = filmed()
    legs = [BODY17.index(f"{side}_{j}") for side in ("left", "right") for j in ("knee", "ankle")]
    visible = track.visible.clone()
    visible[:, legs] = False
    found = film.lift_film(replace(track, visible=visible), 30, **QUIET)
    assert not found.visible[:, legs].any() and found.joints3d.isfinite().all()
    upper = [j for j in range(17) if j not in legs]
    assert 1000 * float((found.joints3d - truth)[:, upper].norm(dim=-1).mean()) < 200
    whole = track.keypoints.where(visible[..., None], torch.nan)
    guess = film.completed(whole)
    assert torch.equal(guess[:, upper], track.keypoints[:, upper])
    assert (guess[:, legs, 1] > guess[:, [0], 1]).all()  # below the pelvis of who stands


def test_a_known_height_is_what_the_limbs_have():
    track, _ = filmed()
    for tall in (1.2, 1.95):
        found = film.lift_film(track, 30, height=tall, **QUIET)
        assert float(sizes.height(found.joints3d[None])) == pytest.approx(tall, rel=1e-3)
    adult = float(sizes.height(film.lift_film(track, 30, **QUIET).joints3d[None]))
    assert sizes.ADULTS[0] - 1e-3 < adult < sizes.ADULTS[1] + 1e-3


def test_the_focal_length_moves_the_place_and_not_the_pose():
    track, _ = filmed()
    near, far = (film.lift_film(track, 30, focal=f, **QUIET) for f in (800.0, 1600.0))
    torch.testing.assert_close(near.joints3d, far.joints3d)
    assert 1.7 < float((far.root[:, 2] / near.root[:, 2]).median()) < 2.3


def test_portrait_and_landscape_are_scaled_by_the_longer_side():
    track, _ = filmed()
    shift = torch.tensor([500.0, 0.0])
    wide = replace(track, keypoints=track.keypoints + shift, size=(2000.0, 1000.0))
    tall = replace(track, keypoints=track.keypoints + shift.flip(0), size=(1000.0, 2000.0))
    one, other = (film.lift_film(t, 30, **QUIET).joints3d for t in (wide, tall))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_an_adapted_lifter_lifts(tmp_path, monkeypatch):
    monkeypatch.setattr(film, "SOURCE", 100)
    track, truth = filmed(frames=60)
    recipe = Adaptation(steps=2, batch=4, augment="varied", low_rank=None, bias=False)
    kept = tmp_path / "adapting.pt"
    found = film.lift_film(track, 30, adaptation=recipe, checkpoint=kept, **QUIET)
    assert found.joints3d.isfinite().all() and error(found, truth) < 250
    assert kept.is_file()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AdaptTask, "step", stop)
    with pytest.raises(loop.Interrupted):
        film.lift_film(track, 30, adaptation=recipe, **QUIET)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fps": 0.0}, "1 to 1000 frames a second"),
        ({"fps": float("nan")}, "1 to 1000 frames a second"),
        ({"size": (0.0, 10.0)}, "width and height are pixels"),
        ({"focal": 35.0}, "focal length is in pixels"),
        ({"height": 180.0}, "metres"),
        ({"lifter": "none"}, "no lifter 'none'"),
    ],
)
def test_what_cannot_be_is_refused(changes, reason):
    track, _ = filmed(frames=5)
    with pytest.raises(ValueError, match=reason):
        film.lift_film(track, **{"fps": 30.0, **QUIET, **changes})


def test_films_of_nobody_and_of_no_body_are_refused():
    track, _ = filmed(frames=5)
    with pytest.raises(ValueError, match="does not say how large.*--width"):
        film.lift_film(replace(track, size=None), 30, **QUIET)
    with pytest.raises(ValueError, match="none of 5 frames.*nobody"):
        film.lift_film(replace(track, visible=torch.zeros_like(track.visible)), 30, **QUIET)
    names = tuple(f"point_{i}" for i in range(17))
    unnamed = replace(BODY17, name="own", joints=names)
    with pytest.raises(ValueError, match="point_0.*do not make the body"):
        film.lift_film(replace(track, skeleton=unnamed), 30, **QUIET)


def alphapose(path, lost=()):
    """The film as AlphaPose writes it: a frame without people is not in the file."""
    track, _ = filmed(skeleton=COCO17)
    people = []
    for frame, (points, seen) in enumerate(zip(track.keypoints, track.visible, strict=True)):
        flat = torch.cat([points, 0.9 * seen[:, None]], -1).flatten().tolist()
        one = {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": flat, "score": 2.5}
        people += [] if frame in lost else [{**one, "box": [300, 100, 200, 500], "idx": 1}]
    path.write_text(json.dumps(people))


def test_pictures_of_several_places_are_no_film(caplog):
    track, _ = filmed(frames=10)
    film._say_jumps(film.body17(track), "film.json")
    assert not caplog.text
    aside = torch.tensor([[0.0, 400.0] * 5, [0.0] * 10]).T[:, None]  # (10, 1, 2), pixels
    film._say_jumps(film.body17(replace(track, keypoints=track.keypoints + aside)), "film.json")
    assert "9 of 9 steps" in caplog.text and "Single pictures" in caplog.text
    caplog.clear()
    once = torch.tensor([[0.0] * 5 + [900.0] * 5, [0.0] * 10]).T[:, None]  # a cut, and no more
    film._say_jumps(film.body17(replace(track, keypoints=track.keypoints + once)), "film.json")
    assert not caplog.text


def test_the_command_writes_what_it_says(tmp_path, capsys, caplog):
    alphapose(tmp_path / "results.json", lost=(7, 8))
    out = tmp_path / "out"
    words = [str(tmp_path / "results.json"), "--fps", "30", "--out", str(out)]
    assert main(["lift", *words]) == 2
    assert "--width" in capsys.readouterr().err
    words += ["--width", "1000", "--height", "1000", "--height-of-person", "1.8"]
    assert main(["lift", *words]) == 0
    told = capsys.readouterr().out
    assert "43 of 45 frames" in told and "to be 1.8 m tall" in told
    assert "frames 7 to 8" in caplog.text
    with np.load(out / "lifted.npz") as data:
        assert data["joints3d"].shape == (45, 17, 3) and data["joints"].tolist()[0] == "pelvis"
        assert (~data["valid"]).nonzero()[0].tolist() == [7, 8]
        with (out / "lifted.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        assert len(rows) == 45 and not rows[7]["neck_y"] and rows[7]["valid"] == "0"
        assert float(rows[9]["neck_y"]) == pytest.approx(data["joints3d"][9, 8, 1], abs=1e-4)
        assert float(rows[9]["seconds"]) == pytest.approx(0.3)
    page = (out / "lifted.html").read_text()
    assert "Plotly" in page and 'src="http' not in page  # whole in itself
    assert (out / "lifted.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["bvh", "coco"])
def test_what_is_no_detectors_film_is_named_as_such(tmp_path, capsys, kind):
    path = tmp_path / f"own.{kind}"
    joints = {"keypoints": [5.0, 5.0, 2] * 17, "image_id": 1, "category_id": 1, "id": 1}
    labels = {"images": [{"id": 1}], "annotations": [joints], "categories": [{"id": 1}]}
    path.write_text(json.dumps(labels) if kind == "coco" else "HIERARCHY\nROOT Hips\n")
    assert main(["lift", str(path), "--fps", "30", "--width", "100", "--height", "100"]) == 2
    told = {"bvh": "holds motion without a camera", "coco": "taken for coco, labels of pictures"}
    assert told[kind] in capsys.readouterr().err
    assert not (tmp_path / "own_3d").exists()


def test_the_array_of_an_own_npz_may_have_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    track, _ = filmed(skeleton=COCO17, frames=6)
    for name in ("data", "keypoints"):
        np.savez(tmp_path / f"{name}.npz", **{name: track.keypoints.numpy()})
        words = ["--fps", "15", "--width", "1000", "--height", "1000"]
        assert main(["lift", f"{name}.npz", *words]) == 0
        assert (tmp_path / f"{name}_3d" / "lifted.csv").is_file()


def test_files_go_to_a_folder_of_the_films_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    alphapose(tmp_path / "my.film.json")
    words = ["--fps", "30", "--width", "1000", "--height", "1000"]
    assert main(["lift", "~/my.film.json", *words]) == 0
    assert (tmp_path / "my.film_3d" / "lifted.csv").is_file()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--width", "1000"], "both --width and --height"),
        (["--width", "1000", "--height", "1000", "--lifter", "own"], "no lifter 'own'"),
        (["--width", "1000", "--height", "1000", "--person", "nobody"], "numbered 1"),
        (["--width", "1000", "--height", "1000", "--height-of-person", "180"], "metres, such as"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path, capsys, words, reason):
    alphapose(tmp_path / "results.json")
    assert main(["lift", str(tmp_path / "results.json"), "--fps", "30", *words]) == 2
    assert reason in capsys.readouterr().err
    assert main(["lift", str(tmp_path / "none.json"), "--fps", "30"]) == 2
    assert "none.json" in capsys.readouterr().err
