"""Train a diffusion lifter, and lift with it (PoSynDA, Sec. 3.3 and 3.4).

Notebook 06 builds this step by step. All randomness comes from `seed`.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import torch
from torch import Tensor

from posenb.posynda.diffusion import GaussianDiffusion
from posenb.posynda.hypotheses import Aggregate, combine, intrinsics, locatable
from posenb.posynda.networks import Denoiser
from posenb.posynda.sizes import Body, resize
from posenb.posynda.windows import Windows, cut, fill
from posenb.train import checkpoints, loop, runtime
from posenb.world.cameras import Camera
from posenb.world.skeletons import BODY17, Skeleton

log = logging.getLogger(__name__)
_CHUNK = 64  # windows sampled at a time
_LARGEST = 8.0  # half image widths, or tangents: nothing in a picture lies farther out


@dataclass(frozen=True)
class Recipe:
    """How a lifter is trained on pairs.

    Attributes:
        steps: of Adam.
        batch: windows a step; while adapting, of the source and as many of the target.
        learning_rate: of Adam, rising over 20 steps and falling in a cosine to zero.
        loss: `mpjpe`, the mean distance of joints, as published code has it; `squared`, the mean
            squared error that Sec. 3.1 and the words at Eq. 9 speak of.
        late: steps t are drawn as T u^late with u uniform: 1 draws all alike, less draws noisy
            ones more often; those are what a short DDIM visits.
        clip: largest norm of the gradient.
    """

    steps: int = 1000
    batch: int = 64
    learning_rate: float = 1e-3
    loss: Literal["mpjpe", "squared"] = "mpjpe"
    late: float = 0.5
    clip: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range.
        """
        if min(self.steps, self.batch) < 1:
            raise ValueError(
                f"steps and batch must be at least 1, found {self.steps} and {self.batch}"
            )
        if min(self.learning_rate, self.late, self.clip) <= 0:
            raise ValueError(
                "learning_rate, late and clip must be above 0, found "
                f"{self.learning_rate:g}, {self.late:g} and {self.clip:g}"
            )
        if self.loss not in ("mpjpe", "squared"):
            raise ValueError(f"loss must be mpjpe or squared, found {self.loss!r}")


@dataclass(frozen=True)
class Lifted:
    """What `lift` found, root-relative, in metres, in the camera's frame.

    Attributes:
        hypotheses: (N, H, T, J, 3).
        joints3d: one of them or their mean, (N, T, J, 3).
        valid: frames in which somebody was seen, (N, T); what stands in the others is a guess from
            the frames around, finite and not to be counted.
    """

    hypotheses: Tensor
    joints3d: Tensor
    valid: Tensor


@dataclass(frozen=True)
class Trained:
    """A lifter that has learned.

    Attributes:
        model: the denoiser.
        history: of the training; `interrupted` says if it was stopped early.
    """

    model: Denoiser
    history: loop.History


@torch.inference_mode()
def lift(
    model: Denoiser,
    keypoints2d: Tensor,
    camera: Camera,
    hypotheses: int = 5,
    steps: int = 5,
    eta: float = 1.0,
    aggregate: Aggregate = "mean",
    seed: int = 0,
    *,
    diffusion: GaussianDiffusion | None = None,
    skeleton: Skeleton = BODY17,
    body: Body | None = None,
) -> Lifted:
    """Lift 2D keypoints to 3D, H times (PoSynDA, Sec. 3.3; Algorithm 1, lines 20 to 23).

    Sequences of another length than the model's windows are cut side by side; the last window is
    padded by repeating the last frame, and what was padded is left out of the result.

    Missing joints are filled in for the network alone (`windows.fill`): a way of combining
    hypotheses sees them as missing. Frames that show fewer than 2 joints are named in a warning
    and are not `valid`; those around them are lifted as if nothing were missing.

    Args:
        model: a trained denoiser.
        keypoints2d: in the units that the model was trained with, (N, T, J, 2); NaN where a joint
            was not found. The shipped lifters take 15 frames a second.
        camera: in the same units, one or N; straight (`windows.to_screen`).
        hypotheses: H, at least 1; all are computed in one batch.
        steps: K of DDIM.
        eta: of DDIM: 1 draws new noise at every step, 0 none.
        aggregate: how one pose is made of H; see `hypotheses.combine`.
        seed: of the noise.
        diffusion: that the model was trained with; default 1,000 steps.
        skeleton: of the joints.
        body: how large people are, as in `sizes.resize`: `adult` or heights in metres; each of the
            N sequences is one person. Default: as large as the model makes them, see `load_lifter`.

    Raises:
        ValueError: for keypoints that the model cannot lift, such as those of an empty scene, or a
            camera without what it needs.
    """
    if hypotheses < 1:
        raise ValueError(f"hypotheses must be at least 1, found {hypotheses}")
    if keypoints2d.ndim != 4 or keypoints2d.shape[2:] != (model.joints, 2):
        raise ValueError(
            f"keypoints have shape {tuple(keypoints2d.shape)}, expected (N, T, {model.joints}, 2): "
            "the model lifts that skeleton; convert another with skeletons.convert"
        )
    valid = somebody(keypoints2d, "keypoints")  # (N, T)
    centred = fill(from_principal_point(keypoints2d, camera))
    centred = centred.where(valid.any(1)[:, None, None, None], 0.0)
    count, length = centred.shape[:2]
    pieces = cut(centred.transpose(0, 1), model.frames)  # (W, frames, N, J, 2)
    pieces = pieces.transpose(1, 2).flatten(0, 1)  # (W N, frames, J, 2)
    random = runtime.generator((seed, 3), centred.device)
    diffusion = diffusion or GaussianDiffusion()
    model.eval()
    found = [
        hypothesise(model, chunk, hypotheses, steps, eta, random, diffusion)
        for chunk in pieces.split(_CHUNK)
    ]
    poses = torch.cat(found).unflatten(0, (-1, count))  # (W, N, H, frames, J, 3)
    poses = poses.movedim(0, 2).flatten(2, 3)[:, :, :length]  # (N, H, T, J, 3)
    joints3d = combine(poses, keypoints2d, camera, aggregate, skeleton)
    if body is not None:
        sized = resize(joints3d, body, skeleton, valid)
        joints3d, poses = sized.joints3d, poses * sized.factor[:, None, None, None, None]
    return Lifted(poses, joints3d, valid)


def somebody(keypoints2d: Tensor, what: str) -> Tensor:
    """Frames (N, T) of keypoints (N, T, J, 2) that show somebody; a warning names the others.

    Raises:
        ValueError: if none does.
    """
    valid = locatable(keypoints2d)
    if not valid.any():
        raise ValueError(
            f"{what}: none of {valid.numel()} frames shows 2 joints or more, there is nobody to "
            "lift (NaN is a joint that was not found)"
        )
    lost = (~valid).any(1).nonzero().flatten().tolist()
    if lost:
        named = [f"{runs(~valid[i])}" + (f" of {i}" if len(valid) > 1 else "") for i in lost[:3]]
        more = f" and {len(lost) - 3} more windows" if len(lost) > 3 else ""
        log.warning(
            "%s: %d of %d frames show fewer than 2 joints (%s%s): a guess from the frames around "
            "stands there, and is marked as not valid",
            *(what, int((~valid).sum()), valid.numel(), ", ".join(named), more),
        )
    return valid


def peopled(keypoints2d: Tensor) -> Tensor:
    """Which windows (N,) of keypoints (N, T, J, 2) show somebody; a warning counts the others.

    Raises:
        ValueError: if none does.
    """
    kept = locatable(keypoints2d).any(1)
    if not kept.any():
        raise ValueError(f"nobody is seen in any of the target's {len(kept)} windows")
    if not kept.all():
        log.warning("%d of %d windows show nobody and are left out", int((~kept).sum()), len(kept))
    return kept


def runs(marked: Tensor) -> str:
    """Frames (T,) that are marked, in words: "frames 7, 12 to 15"."""
    numbers = marked.nonzero().flatten().tolist()
    known = set(numbers)
    starts = [i for i in numbers if i - 1 not in known]
    stops = [i for i in numbers if i + 1 not in known]
    words = [f"{a}" if a == b else f"{a} to {b}" for a, b in zip(starts, stops, strict=True)]
    more = [f"{len(words) - 5} more stretches"] if len(words) > 5 else []
    return ("frame " if len(numbers) == 1 else "frames ") + ", ".join(words[:5] + more)


def hypothesise(
    model: Denoiser,
    keypoints2d: Tensor,
    hypotheses: int,
    steps: int,
    eta: float,
    random: torch.Generator,
    diffusion: GaussianDiffusion,
) -> Tensor:
    """H poses (N, H, T, J, 3) of windows (N, T, J, 2), relative to the principal point."""
    condition = model.condition(keypoints2d)
    count, frames, joints, _ = keypoints2d.shape
    device = keypoints2d.device
    start = torch.randn(count, hypotheses, frames, joints, 3, generator=random, device=device)

    def denoise(noisy: Tensor, t: int) -> Tensor:
        return model.denoise(noisy, condition, torch.full((count,), t, device=device))

    return diffusion.ddim(denoise, start, random, steps, eta)


def from_principal_point(keypoints2d: Tensor, camera: Camera) -> Tensor:
    """What a network sees of keypoints (N, T, J, 2).

    Raises:
        ValueError: for an unfit camera, or keypoints that seem to be in pixels.
    """
    _, center = intrinsics(camera, len(keypoints2d))
    seen = keypoints2d - center.to(keypoints2d)[:, None, None]
    largest = float(seen.nan_to_num(0.0).abs().max())
    if largest > _LARGEST:
        raise ValueError(
            f"keypoints lie up to {largest:.0f} from the principal point: are they pixels? "
            "Convert them and the camera with windows.to_screen or windows.to_plane"
        )
    return seen


def train_lifter(
    model: Denoiser,
    source: Windows,
    recipe: Recipe | None = None,
    seed: int = 0,
    *,
    diffusion: GaussianDiffusion | None = None,
    **watch: Unpack[loop.Watch],
) -> Trained:
    """Train a denoiser on pairs of 2D and 3D (PoSynDA, Eq. 1 and 7 to 9); the model itself learns.

    Args:
        model: its weights that require gradients learn.
        source: windows with 3D.
        recipe: numbers of the training.
        seed: of batches, steps and noise.
        diffusion: default 1,000 steps.
        **watch: checkpoint, progress, callback; see `loop.Watch`.

    Raises:
        ValueError: for windows without 3D, or such as the model cannot lift.
    """
    task = LiftTask(model, source, recipe or Recipe(), seed, diffusion or GaussianDiffusion())
    return task.fit("training the lifter", **watch)


class LiftTask(loop.Saved):
    """Training on pairs, for `train.loop.fit`."""

    parts: tuple[str, ...] = ("learned", "optimizer", "schedule")

    def __init__(
        self,
        network: Denoiser,
        source: Windows,
        recipe: Recipe,
        seed: int,
        diffusion: GaussianDiffusion,
    ) -> None:
        if source.joints3d is None:
            raise ValueError("the source's windows have no 3D: there is nothing to learn from")
        if len(source.skeleton) != network.joints or source.keypoints.shape[1] != network.frames:
            raise ValueError(
                f"windows of {source.keypoints.shape[1]} frames of {source.skeleton.name} for a "
                f"network of {network.frames} frames and {network.joints} joints: sample or cut "
                "such, and convert joints with skeletons.convert"
            )
        self.device = next(network.parameters()).device
        self.network, self.recipe, self.seed = network, recipe, seed
        self.diffusion, self.source = diffusion, source.to(self.device)
        assert self.source.joints3d is not None
        self.poses = self.source.joints3d  # (N, T, J, 3)
        self.centred = from_principal_point(self.source.keypoints, self.source.camera)
        self.learned = loop.Learned(network)
        if not self.learned.weights:
            raise ValueError("no weight requires a gradient: there is nothing to train")
        self.optimizer = torch.optim.Adam(self.learned.weights.values(), recipe.learning_rate)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, recipe.steps)
        rising = torch.optim.lr_scheduler.LinearLR(self.optimizer, 0.05, total_iters=20)
        self.schedule = torch.optim.lr_scheduler.ChainedScheduler([rising, cosine])

    def pairs(self, step: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """A batch: keypoints (B, T, J, 2) from the principal point, poses (B, T, J, 3)."""
        chosen = self.draw(len(self.poses), random)
        return self.centred[chosen], self.poses[chosen]

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Positions (batch,) of windows, with replacement."""
        shape = (self.recipe.batch,)
        return torch.randint(count, shape, generator=random, device=self.device)

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of Adam on noisy poses of one batch (Eq. 7 to 9)."""
        random = runtime.generator((self.seed, 2, step), self.device)
        self.network.train()
        keypoints, poses = self.pairs(step, random)
        uniform = torch.rand(len(poses), generator=random, device=self.device)
        t = (self.diffusion.timesteps * uniform.pow(self.recipe.late)).long()
        t = t.clamp(max=self.diffusion.timesteps - 1)
        noise = torch.randn(poses.shape, generator=random, device=self.device)
        noisy = self.diffusion.q_sample(poses, t, noise)
        found = self.network(noisy[:, None], keypoints, t)[:, 0]  # H = 1
        error = found - poses
        if self.recipe.loss == "squared":
            loss = error.square().sum(-1).mean()
        else:
            loss = error.norm(dim=-1).mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.learned.weights.values(), self.recipe.clip)
        self.optimizer.step()
        self.schedule.step()
        return {"loss": loss}

    def fit(self, label: str, **watch: Unpack[loop.Watch]) -> Trained:
        """Train to the end, or as far as one lets it."""
        history = loop.fit(
            self,
            self.recipe.steps,
            log_every=10,
            label=label,
            identity=self.identity(),
            **watch,
        )
        return Trained(self.network.eval(), history)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint has to have been made with."""
        return {
            "learning": list(self.learned.weights),
            "start": checkpoints.state_hash(self.network.state_dict()),
            "source": checkpoints.state_hash([self.centred, self.poses]),
            "seed": self.seed,
            "timesteps": self.diffusion.timesteps,
            **dataclasses.asdict(self.recipe),
        }
