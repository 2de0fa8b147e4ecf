from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch

from posenb import posynda
from posenb.posynda import (
    PAPER_RECIPE,
    Adaptation,
    GaussianDiffusion,
    MixSTE,
    Recipe,
    VideoPose,
    adapt,
    lift,
    train_lifter,
    windows,
)
from posenb.posynda.adapt import AUGMENTS, AdaptTask
from posenb.posynda.augmentation import align, jitter, lifted_places, put, total_length, vary
from posenb.posynda.hypotheses import AGGREGATES, combine
from posenb.posynda.lifting import LiftTask, from_principal_point, hypothesise
from posenb.train import loop, runtime
from posenb.train.checkpoints import state_hash
from posenb.world.cameras import Camera

pytestmark = pytest.mark.slow

T = 5
DIFFUSION = GaussianDiffusion(50)
QUICK = Adaptation(steps=4, batch=6, warm_up=0.5, hypotheses=2)
QUIET = {"diffusion": DIFFUSION, "progress": False}


@pytest.fixture(scope="module")
def source():
    return windows.sample(windows.domain("lab"), 40, 0, T)


@pytest.fixture(scope="module")
def target():
    return windows.sample(windows.domain("stage_far"), 30, 0, T)


def small(kind=MixSTE, seed=1):
    options = {"depth": 1, "frames": T, "width": 16, "seed": seed}
    return (kind(heads=2, **options) if kind is MixSTE else kind(**options)).eval()


def changed(before, after):
    """Names of the weights that are no longer the same bits."""
    old = before.state_dict()
    return {n for n, value in after.state_dict().items() if not torch.equal(old.get(n), value)}


@pytest.mark.parametrize("kind", [MixSTE, VideoPose])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_hypotheses_in_one_batch_are_those_of_a_slow_loop(target, kind, eta):
    model = small(kind)
    some = target[:3]
    found = lift(model, some.keypoints, some.camera, 4, 5, eta, seed=3, diffusion=DIFFUSION)
    random = runtime.generator((3, 3))
    shape = (3, 4, T, 17, 3)
    noisy = torch.randn(shape, generator=random)
    times = [49, 39, 29, 19, 9, -1]
    a = [float(DIFFUSION.alpha_bar[t]) if t >= 0 else 1.0 for t in times]
    for k in range(5):
        clean = torch.zeros(shape)
        for n in range(3):
            for h in range(4):
                given = noisy[n : n + 1, h : h + 1].clamp(-1.1, 1.1)
                keypoints = some.keypoints[n : n + 1]
                with torch.no_grad():
                    clean[n, h] = model(given, keypoints, torch.tensor([times[k]]))[0, 0]
        clean = clean.clamp(-1.1, 1.1)
        if k < 4:
            sigma = eta * math.sqrt((1 - a[k] / a[k + 1]) * (1 - a[k + 1]) / (1 - a[k]))
            c = math.sqrt(max(0, 1 - a[k + 1] - sigma**2))
            noise = torch.randn(shape, generator=random) if eta else 0.0
            epsilon = (noisy - math.sqrt(a[k]) * clean) / math.sqrt(1 - a[k])
            noisy = math.sqrt(a[k + 1]) * clean + c * epsilon + sigma * noise
    torch.testing.assert_close(found.hypotheses, clean, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.joints3d, found.hypotheses.mean(1))


def test_lift_is_repeatable_and_hypotheses_differ(target):
    model = small()
    one, same, other = (
        lift(model, target.keypoints, target.camera, seed=s, diffusion=DIFFUSION).hypotheses
        for s in (0, 0, 1)
    )
    assert one.shape == (30, 5, T, 17, 3)
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert (one[:, 0] - one[:, 1]).abs().max() > 1e-4
    assert not one.requires_grad


@pytest.mark.parametrize("length", [1, 3, 5, 7, 13])
def test_sequences_of_any_length(target, length):
    """Cut side by side, the last window padded with the last frame."""
    model = small()
    keypoints = target.keypoints[:4].flatten(0, 1)[None, :length]
    found = lift(model, keypoints, target.camera[0], 2, 2, diffusion=DIFFUSION).hypotheses
    assert found.shape == (1, 2, length, 17, 3)
    pieces = windows.cut(keypoints[0], T)
    by_hand = lift(model, pieces, target.camera[0], 2, 2, diffusion=DIFFUSION).hypotheses
    for h in range(2):
        expected = by_hand[:, h].flatten(0, 1)[:length]
        torch.testing.assert_close(found[0, h], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", AGGREGATES)
def test_aggregates_are_those_of_the_hypotheses(target, how):
    found = lift(small(), target.keypoints, target.camera, 3, 2, aggregate=how, diffusion=DIFFUSION)
    expected = combine(found.hypotheses, target.keypoints, target.camera, how)
    assert torch.equal(found.joints3d, expected)


def test_the_principal_point_does_not_matter(target):
    model = small()
    camera = replace(target.camera, center=target.camera.center + 0.3)
    found = lift(model, target.keypoints + 0.3, camera, diffusion=DIFFUSION).hypotheses
    expected = lift(model, target.keypoints, target.camera, diffusion=DIFFUSION).hypotheses
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_missing_joints_are_lifted_with_the_others(target):
    keypoints = target.keypoints.clone()
    keypoints[0, 2, 5] = torch.nan
    keypoints[1, :, 9] = torch.nan
    for how in AGGREGATES:
        found = lift(small(), keypoints, target.camera, 2, 2, aggregate=how, diffusion=DIFFUSION)
        assert found.joints3d.isfinite().all()
    with pytest.raises(ValueError, match="VideoPose cannot leave any out"):
        lift(small(VideoPose), keypoints, target.camera, diffusion=DIFFUSION)
    keypoints[1, 0, 9] = 0.1  # one frame that shows a joint is enough
    found = lift(small(VideoPose), keypoints, target.camera, diffusion=DIFFUSION)
    assert found.joints3d.isfinite().all() and found.valid.all()


LOST = {
    "one frame": ([7], "frame 7"),
    "the start": ([0, 1, 2], "frames 0 to 2"),
    "the end": ([18, 19], "frames 18 to 19"),
    "a whole window and more": ([*range(4, 12), 15], "frames 4 to 11, 15"),
}


@pytest.mark.parametrize("case", LOST)
@pytest.mark.parametrize("kind", [MixSTE, VideoPose])
def test_frames_without_anybody_are_named_and_marked(target, caplog, case, kind):
    lost, named = LOST[case]
    keypoints = target.keypoints[:4].flatten(0, 1)[None]  # (1, 20, J, 2)
    holes = keypoints.clone()
    holes[0, lost] = torch.nan
    holes[0, lost[0], 3] = 0.0  # one joint is not somebody
    straight = windows.fill(holes)
    for how in AGGREGATES:
        caplog.clear()
        found, expected = (
            lift(small(kind), k, target.camera[0], 3, 2, aggregate=how, diffusion=DIFFUSION)
            for k in (holes, straight)
        )
        assert named in caplog.text and f"{len(lost)} of 20" in caplog.text
        assert found.joints3d.isfinite().all() and expected.valid.all()
        assert (~found.valid[0]).nonzero().flatten().tolist() == lost
        torch.testing.assert_close(found.hypotheses, expected.hypotheses)
        if how not in ("plausible", "mean_of_best"):  # they choose whole windows
            there = found.valid[0]
            torch.testing.assert_close(found.joints3d[0, there], expected.joints3d[0, there])


def test_people_with_lost_frames_are_lifted_like_the_others(target, caplog):
    holes = target.keypoints[:5].clone()
    holes[1, 2], holes[3], holes[4, :2] = torch.nan, torch.nan, torch.nan
    found = lift(small(), holes, target.camera[:5], 2, 2, aggregate="rays", diffusion=DIFFUSION)
    assert found.valid.sum(1).tolist() == [T, T - 1, T, 0, T - 2]
    assert "frame 2 of 1, frames 0 to 4 of 3, frames 0 to 1 of 4" in caplog.text
    with pytest.raises(ValueError, match="none of 25 frames.*nobody"):
        lift(small(), torch.full_like(holes, torch.nan), target.camera[:5], diffusion=DIFFUSION)


def test_no_argument_takes_a_label_of_the_target():
    """`adapt` and its task take 2D and cameras of the target, and nothing that holds 3D."""
    taken = {
        "model", "source", "keypoints2d", "camera", "recipe", "seed", "diffusion", "watch",
    }  # fmt: skip
    assert set(inspect.signature(adapt).parameters) == taken
    assert set(loop.Watch.__annotations__) == {"checkpoint", "progress", "callback"}
    hints = inspect.get_annotations(adapt, eval_str=False)
    assert hints["keypoints2d"] == "Tensor" and hints["camera"] == "Camera"
    assert set(inspect.signature(AdaptTask).parameters) <= taken | {"network"}


@pytest.mark.parametrize("augment", AUGMENTS)
def test_only_the_cameras_intrinsics_are_seen(source, target, augment):
    """Not even where the camera stood: its extrinsics, with a root, would be a label."""
    blind = Camera(torch.eye(3), torch.zeros(3), target.camera.focal, target.camera.center)
    recipe = replace(QUICK, augment=augment)
    models = [
        adapt(small(), source, target.keypoints, camera, recipe, **QUIET).model
        for camera in (target.camera, blind)
    ]
    assert not changed(*models)


@pytest.mark.parametrize("kind", [MixSTE, VideoPose])
def test_only_lora_and_bias_learn_when_so_asked(source, target, kind):
    model = small(kind)
    before = state_hash(model.state_dict())
    start = posynda.networks.adaptable(model, 4, True, seed=0)
    found = adapt(model, source, target.keypoints, target.camera, QUICK, **QUIET)
    assert state_hash(model.state_dict()) == before
    moved = changed(start, found.model)
    assert moved == {n for n, p in found.model.named_parameters() if p.requires_grad}
    assert all(name.rsplit(".")[-1] in ("a", "b") or name == "bias" for name in moved)
    assert "bias" in moved
    plain = replace(QUICK, bias=False)
    found = adapt(model, source, target.keypoints, target.camera, plain, **QUIET).model
    assert found.bias is None


def test_without_lora_all_weights_learn(source, target):
    recipe = replace(QUICK, low_rank=None, bias=False, learning_rate=1e-3)
    model = small()
    found = adapt(model, source, target.keypoints, target.camera, recipe, **QUIET).model
    assert changed(model, found) == set(model.state_dict())


def task_of(source, target, recipe, seed=0):
    network = posynda.networks.adaptable(small(), recipe.low_rank, recipe.bias, seed)
    return AdaptTask(network, source, recipe, seed, DIFFUSION, target.keypoints, target.camera)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_the_teacher_gets_no_gradient_and_follows_as_told(source, target, decay):
    recipe = replace(QUICK, teacher_decay=decay, warm_up=0.0)
    task = task_of(source, target, recipe)
    for step in range(3):
        teacher = {n: p.clone() for n, p in task.teacher.module.named_parameters()}
        task.step(step)
        student = dict(task.network.named_parameters())
        for name, weight in task.teacher.module.named_parameters():
            assert weight.grad is None and not weight.requires_grad
            expected = decay * teacher[name] + (1 - decay) * student[name]
            torch.testing.assert_close(weight, expected)
            if decay in (0.0, 1.0):
                assert torch.equal(weight, teacher[name] if decay else student[name])
    assert any(p.grad is not None for p in task.network.parameters())


def test_the_teacher_begins_after_the_warm_up_with_what_the_student_is(source, target):
    task = task_of(source, target, replace(QUICK, warm_up=0.5))
    for step in range(4):
        keypoints, _ = task.pairs(step, runtime.generator(0))
        assert len(keypoints) == (6 if step < 2 else 12)
        if step == 2:
            state = task.network.state_dict()
            assert state_hash(task.teacher.state_dict()) == state_hash(state)
        task.step(step)


def test_a_batch_is_that_of_algorithm_1(source, target):
    """Source pairs by F, and target keypoints with the teacher's best hypothesis as label."""
    recipe = replace(PAPER_RECIPE, steps=2, hypotheses=3)
    task = task_of(source, target, recipe)
    random = runtime.generator(5)
    keypoints, poses = task.pairs(0, random)
    assert len(keypoints) == 8  # Sec. 4.2: a batch of 4, of either
    random = runtime.generator(5)
    chosen, other = (torch.randint(n, (4,), generator=random) for n in (40, 30))
    placed = align(source.joints3d[chosen], target.keypoints[other], target.camera[other])
    torch.testing.assert_close(keypoints[:4], placed.keypoints)
    assert torch.equal(poses[:4], source.joints3d[chosen])
    assert torch.equal(keypoints[4:], target.keypoints[other])
    teacher = task.teacher.module
    with torch.no_grad():
        found = hypothesise(teacher, target.keypoints[other], 3, 1, 1.0, random, DIFFUSION)
    best = combine(found, target.keypoints[other], target.camera[other], "pose")
    torch.testing.assert_close(poses[4:], best)


@pytest.mark.parametrize("augment", ["lifted", "varied"])
def test_lifted_augmentation_puts_source_pairs_at_the_places_of_the_target(source, target, augment):
    """Those that the lifter of the source finds; people are as long as it lifts the source's."""
    recipe = replace(QUICK, augment=augment, hypotheses=0)
    keypoints = target.keypoints.clone()
    keypoints[3, 1, 0] = torch.nan  # `align` could not do without this root
    target = replace(target, keypoints=keypoints)
    task = task_of(source, target, recipe)
    random, means = runtime.generator((0, 11)), []
    with torch.no_grad():
        for seen in (source.keypoints, windows.fill(target.keypoints)):
            means.append(hypothesise(small(), seen, 5, 2, 1.0, random, DIFFUSION).mean(1))
    length = float(total_length(means[0], source.skeleton).mean())
    places = lifted_places(means[1], keypoints, target.camera, source.skeleton, length)
    assert task.places.isfinite().all() and task.places.shape == (30, T, 3)
    torch.testing.assert_close(task.places, places, rtol=1e-4, atol=1e-4)
    found, poses = task.pairs(0, runtime.generator(5))
    random = runtime.generator(5)
    chosen, other = (torch.randint(n, (6,), generator=random) for n in (40, 30))
    wanted = source.joints3d[chosen]
    if augment == "varied":
        wanted = vary(wanted, source.skeleton, random)
        assert (wanted - source.joints3d[chosen]).abs().amax((1, 2, 3)).min() > 0.01
    placed = put(wanted, task.places[other], target.camera[other])
    torch.testing.assert_close(found, placed.keypoints)  # the principal point is at 0
    assert torch.equal(poses, wanted)
    twice = replace(target, keypoints=keypoints / 2)
    assert not torch.allclose(task_of(source, twice, recipe).places, task.places, rtol=0.1)


def test_the_lifter_that_tells_the_places_is_that_of_the_source(source, target):
    """So they are the same for every recipe, and after every step."""
    recipe = replace(QUICK, augment="lifted")
    task, other = (task_of(source, target, replace(recipe, low_rank=r)) for r in (4, None))
    before = task.places.clone()
    for step in range(4):
        task.step(step)
    assert torch.equal(task.places, before) and torch.equal(other.places, before)


@pytest.mark.parametrize("augment", ["plain", "none"])
def test_other_augmentations_never_look_at_the_target(source, target, augment):
    recipe = replace(QUICK, augment=augment, hypotheses=0)
    task = task_of(source, target, recipe)
    keypoints, poses = task.pairs(0, runtime.generator(5))
    again = runtime.generator(5)
    chosen = torch.randint(40, (6,), generator=again)
    torch.randint(30, (6,), generator=again)
    if augment == "plain":
        part = source[chosen]
        placed = jitter(part.joints3d, part.root, part.camera, part.skeleton, again)
        torch.testing.assert_close(keypoints, placed.keypoints)
        torch.testing.assert_close(poses, placed.joints3d)
    else:
        assert torch.equal(keypoints, source.keypoints[chosen])
    other = replace(target, keypoints=target.keypoints * 2)
    found = task_of(source, other, recipe).pairs(0, runtime.generator(5))
    assert torch.equal(found[0], keypoints)


@pytest.mark.parametrize("loss", ["mpjpe", "squared"])
def test_the_loss_is_equation_9s_or_mpjpe(source, loss):
    recipe = Recipe(steps=1, batch=5, loss=loss, late=1.0)
    model = small()
    task = LiftTask(small(), source, recipe, 0, DIFFUSION)
    found = float(task.step(0)["loss"].detach())
    random = runtime.generator((0, 2, 0))
    chosen = torch.randint(40, (5,), generator=random)
    t = (50 * torch.rand(5, generator=random)).long()
    clean = source.joints3d[chosen]
    noise = torch.randn(clean.shape, generator=random)
    total = 0.0
    with torch.no_grad():
        for n in range(5):
            kept = float(DIFFUSION.alpha_bar[t[n]])
            noisy = math.sqrt(kept) * clean[n] + math.sqrt(1 - kept) * noise[n]
            noisy = noisy.clamp(-1.1, 1.1)[None, None]
            pose = model(noisy, source.keypoints[chosen[n]][None], t[n : n + 1])[0, 0]
            for frame in range(T):
                for joint in range(17):
                    gap = (pose[frame, joint] - clean[n, frame, joint]).norm()
                    total += float(gap**2 if loss == "squared" else gap) / (5 * T * 17)
    assert found == pytest.approx(total, rel=1e-4)


def test_training_lowers_the_loss(source, target):
    model = small(VideoPose)
    recipe = Recipe(steps=60, batch=16, learning_rate=3e-3)
    history = train_lifter(model, source, recipe, **QUIET).history
    losses = history.series("loss")[1]
    assert losses[-1] < 0.7 * losses[0]
    recipe = Adaptation(steps=60, batch=16, learning_rate=1e-2, hypotheses=2)
    found = adapt(model, source, target.keypoints, target.camera, recipe, **QUIET)
    losses = found.history.series("loss")[1]
    assert losses[2] < losses[0]  # before the teacher joins
    assert min(losses[3:]) < 0.9 * losses[0]


@pytest.mark.parametrize(
    "changes", [{"teacher_decay": 0.0}, {"teacher_decay": 1.0}, {"augment": "lifted"}]
)
def test_stopped_and_resumed_gives_the_same_bits(source, target, tmp_path, changes):
    def run(steps, path):
        task = task_of(source, target, replace(QUICK, steps=6, **changes))
        loop.fit(task, steps, checkpoint=path, progress=False)
        return state_hash([task.network.state_dict(), task.teacher.state_dict()])

    whole = run(6, tmp_path / "whole.pt")
    run(4, tmp_path / "part.pt")
    assert run(6, tmp_path / "part.pt") == whole


def test_a_checkpoint_of_other_settings_is_refused(source, target, tmp_path):
    options = {**QUIET, "checkpoint": tmp_path / "run.pt"}
    adapt(small(), source, target.keypoints, target.camera, QUICK, **options)
    for changes, reason in (
        ({"recipe": replace(QUICK, teacher_decay=0.0)}, "teacher_decay"),
        ({"recipe": replace(QUICK, augment="lifted")}, "augment"),
        ({"keypoints2d": target.keypoints[:9], "camera": target.camera[:9]}, "target"),
        ({"model": small(seed=2)}, "start"),
        ({"seed": 4}, "start|seed"),
    ):
        given = {
            "model": small(), "source": source, "keypoints2d": target.keypoints,
            "camera": target.camera, "recipe": QUICK, **changes,
        }  # fmt: skip
        with pytest.raises(ValueError, match=reason):
            adapt(**given, **options)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_targets_with_lost_frames_are_learned_from(source, target, augment, caplog):
    """Gaps are filled, windows without anybody left out, and the rest is as without them."""
    holes = target.keypoints.clone()
    holes[2, 1:3], holes[5, :4], holes[7] = torch.nan, torch.nan, torch.nan
    recipe = replace(QUICK, augment=augment, warm_up=0.0)
    task = AdaptTask(small(), source, recipe, 0, DIFFUSION, holes, target.camera)
    assert "1 of 30 windows show nobody" in caplog.text
    kept = [i for i in range(30) if i != 7]
    assert torch.equal(task.seen, windows.fill(holes[kept]) - task.camera.center[:, None, None])
    assert torch.equal(task.camera.focal, target.camera.focal[kept])
    keypoints, poses = task.pairs(0, torch.Generator().manual_seed(0))
    assert keypoints.isfinite().all() and poses.isfinite().all()


def test_input_that_cannot_be_lifted_is_refused(source, target):
    model = small()
    keypoints, camera = target.keypoints, target.camera
    with pytest.raises(ValueError, match=r"expected \(N, T, 17, 2\).*convert another"):
        lift(model, keypoints[..., :16, :], camera)
    with pytest.raises(ValueError, match="needs the camera's focal length"):
        lift(model, keypoints, None)
    with pytest.raises(ValueError, match="are they pixels"):
        lift(model, 500 * keypoints, camera)
    with pytest.raises(ValueError, match="hypotheses must be at least 1"):
        lift(model, keypoints, camera, hypotheses=0)
    with pytest.raises(ValueError, match="steps must be 1 to 50"):
        lift(model, keypoints, camera, steps=51, diffusion=DIFFUSION)
    with pytest.raises(ValueError, match="aggregate must be one of"):
        lift(model, keypoints, camera, aggregate="median", diffusion=DIFFUSION)
    with pytest.raises(ValueError, match="no 3D"):
        train_lifter(model, replace(source, joints3d=None), Recipe(steps=1), **QUIET)
    with pytest.raises(ValueError, match="windows of 5 frames"):
        train_lifter(MixSTE(frames=9, width=16, heads=2), source, Recipe(steps=1), **QUIET)
    with pytest.raises(ValueError, match="like the source's"):
        adapt(model, source, keypoints[:, :3], camera, QUICK, **QUIET)
    with pytest.raises(ValueError, match="30 windows"):
        adapt(model, source, keypoints, camera[:4], QUICK, **QUIET)
    rootless = replace(source, root=None)
    with pytest.raises(ValueError, match="needs the source's root"):
        adapt(model, rootless, keypoints, camera, replace(QUICK, augment="plain"), **QUIET)
    headless = keypoints.clone()
    headless[-1, :, 0] = torch.nan
    with pytest.raises(ValueError, match="root joint is missing.*augment='lifted'"):
        AdaptTask(model, source, QUICK, 0, DIFFUSION, headless, camera)
    holes = keypoints.clone()
    holes[7, :, 3] = torch.nan
    with pytest.raises(ValueError, match="VideoPose cannot leave any out"):
        AdaptTask(small(VideoPose), source, QUICK, 0, DIFFUSION, holes, camera)
    with pytest.raises(ValueError, match="nobody is seen in any of the target's 30 windows"):
        AdaptTask(model, source, QUICK, 0, DIFFUSION, torch.full_like(holes, torch.nan), camera)
    frozen = small().requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        train_lifter(frozen, source, Recipe(steps=1), **QUIET)
    assert from_principal_point(keypoints, camera) is not keypoints


@pytest.mark.parametrize(
    "numbers",
    [
        {"steps": 0},
        {"batch": 0},
        {"learning_rate": 0.0},
        {"late": 0.0},
        {"loss": "l1"},
        {"augment": "all"},
        {"choose": "best"},
        {"hypotheses": -1},
        {"sampling_steps": 0},
        {"teacher_decay": 1.5},
        {"warm_up": -0.1},
        {"eta": 2.0},
    ],
)
def test_recipes_without_sense_are_refused(numbers):
    with pytest.raises(ValueError, match=next(iter(numbers))):
        Adaptation(**numbers)


def test_an_unknown_augmentation_names_those_there_are():
    with pytest.raises(ValueError, match="'lifted', 'target', 'plain', 'none'.*found 'all'"):
        Adaptation(augment="all")
