"""How the shipped lifters are made (`python -m posenb train lifter`).

They are the very lifters that the tables start from, with the same checkpoints: who has made a
table ships without training again, and the other way round.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path

from posenb.experiments import shipping
from posenb.experiments.posynda.bench import RUNS, SOURCE, TEACHING, Bench, Scale
from posenb.experiments.posynda.tables import METHODS
from posenb.measure.keypoints import mpjpe
from posenb.posynda import windows
from posenb.posynda.diffusion import GaussianDiffusion
from posenb.posynda.networks import Denoiser, merged
from posenb.posynda.weights import asset
from posenb.train import checkpoints, loop, runtime

METHOD = "ours, varied"  # of METHODS: how a lifter is adapted before it is shipped
TOLERANCE = 0.1  # mm: half precision may change the test error by less


@dataclass(frozen=True)
class Plan:
    """Which lifter is to be made.

    Attributes:
        denoiser: of one of the scale's lifters.
        target: domain that it is adapted to without labels, or None: it knows the source only.
        seed: of everything.
        scale: how large everything is.
    """

    denoiser: str = "MixSTE"
    target: str | None = None
    seed: int = 0
    scale: Scale = TEACHING

    def __post_init__(self) -> None:
        """Check what would otherwise fail late.

        Raises:
            ValueError: for an unknown denoiser or target, or a diffusion other than `lift`'s.
        """
        if self.denoiser not in self.scale.lifters:
            raise ValueError(
                f"denoiser must be one of {', '.join(self.scale.lifters)}, found {self.denoiser!r}"
            )
        if self.target is not None:
            windows.domain(self.target)
        usual, found = GaussianDiffusion().timesteps, self.bench().diffusion.timesteps
        if found != usual:
            raise ValueError(
                f"lifters of {found} timesteps are not shipped: `lift` takes "
                f"{usual} unless it is told"
            )

    @property
    def name(self) -> str:
        """What `load_lifter` knows it by."""
        return "_".join([self.denoiser.lower(), *([self.target] if self.target else [])])

    def bench(self, folder: Path = RUNS) -> Bench:
        """What it is made on, with the checkpoints in a folder."""
        return Bench(self.seed, self.scale, folder).of(self.scale.lifters[self.denoiser])

    @property
    def command(self) -> str:
        """What makes it."""
        target = ["--target", self.target] if self.target else []
        return shipping.command("lifter", "--denoiser", self.denoiser, *target, "--seed", self.seed)


@dataclass(frozen=True)
class Made:
    """A lifter that is finished.

    Attributes:
        plan: what was asked for.
        model: with LoRA merged.
        losses: last row of the history of its last training.
        seconds: wall time of its trainings together.
        data_hash: of all that it learned from.
    """

    plan: Plan
    model: Denoiser
    losses: dict[str, float]
    seconds: float
    data_hash: str


@runtime.threads(1)
def train_lifter(plan: Plan, folder: Path = RUNS, progress: bool = True) -> Made:
    """Make a lifter; goes on from the checkpoints of the tables, and repeats nothing finished.

    On one CPU thread, as the tables do: another number sums in another order.

    Args:
        plan: which.
        folder: where the checkpoints are.
        progress: show a bar while it learns from the source.

    Raises:
        Interrupted: if a training was; the next call goes on with it.
    """
    bench = plan.bench(folder)
    model = bench.start(progress)
    kept = loop.load_state(bench.checkpoint())
    seconds, hashes = kept["seconds"], [kept["identity"]["source"]]
    if plan.target is not None:
        path = folder / f"{asset(plan.name)}_seed{plan.seed}.pt"
        model = bench.adapt(METHODS[METHOD], bench.pool(plan.target), path)
        kept = loop.load_state(path)
        seconds, hashes = seconds + kept["seconds"], [*hashes, kept["identity"]["target"]]
    data_hash = hashes[0] if len(hashes) == 1 else checkpoints.state_hash(hashes)
    return Made(plan, merged(model).eval(), kept["rows"][-1], seconds, data_hash)


def ship_lifter(made: Made, folder: Path | None = None) -> None:
    """Write a finished lifter as an asset; `folder` as in `checkpoints.save_weights`.

    In half precision, if that changes the error on test people by less than TOLERANCE.
    """
    plan = made.plan
    error = {"float32": error_mm(made.model, plan)}
    error["float16"] = error_mm(copy.deepcopy(made.model).half().float(), plan)
    half = abs(error["float16"] - error["float32"]) < TOLERANCE
    configuration = {
        "lifter": asdict(plan.bench().lifter),
        "scale": {k: v for k, v in asdict(plan.scale).items() if k not in ("mixste", "videopose")},
        "source": SOURCE,
        "target": plan.target,
        "adaptation": plan.target and asdict(plan.bench().sized(METHODS[METHOD])),
    }
    device = next(made.model.parameters()).device
    made_of = (configuration, plan.seed, made.data_hash, made.losses, device, made.seconds)
    record = shipping.record(plan.command, *made_of) | {"test_mpjpe_mm": error}
    checkpoints.save_weights(asset(plan.name), made.model.state_dict(), record, half, folder)


def error_mm(model: Denoiser, plan: Plan) -> float:
    """MPJPE in mm of the mean hypothesis, on test people of the target, or of the source."""
    bench = plan.bench()
    some = bench.test(plan.target or SOURCE)
    assert some.joints3d is not None
    return 1000 * float(mpjpe(bench.lift(model, some).mean(1), some.joints3d))
