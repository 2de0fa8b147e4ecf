"""Command line: `python -m posenb assets build`, `train prior`, `table prior.quality`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from posenb.prior import training
from posenb.train import loop, runtime, sweep
from posenb.world import domains, motion

CHAPTERS = ("prior",)
PRIORS = {name: (name,) for name in domains.names()} | {"union": training.SOURCES}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, 130 if it was interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ValueError, FloatingPointError) as error:
        print(f"posenb: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m posenb", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    assets = commands.add_parser(
        "assets", help="make assets again from the packages they stem from"
    )
    assets.add_argument("what", choices=["build"])
    assets.add_argument("--motion", type=Path, help="folder pybullet_data/data/motions")
    assets.set_defaults(run=_build)

    train = commands.add_parser("train", help="make the shipped weights; resumes if interrupted")
    train.add_argument("chapter", choices=CHAPTERS)
    what = train.add_mutually_exclusive_group(required=True)
    what.add_argument("--domain", choices=PRIORS, help="train the generator of this source")
    what.add_argument("--reader", choices=["regressor", "features"], help="train beta or Gamma")
    train.add_argument("--start", help="shipped prior to start from, for example wild")
    train.add_argument("--small-images", type=int, help="images at 32 pixels, before growing")
    train.add_argument("--images", type=int, help="images at 64 pixels, for the new layers")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--threads", type=int, help="CPU threads (default: torch's own choice)")
    train.add_argument("--compile", action="store_true", help="torch.compile, on CUDA")
    train.add_argument("--folder", type=Path, default=Path("runs/prior"), help="checkpoints")
    train.add_argument("--no-ship", action="store_true", help="leave posenb/assets as it is")
    train.set_defaults(run=_train)

    table = commands.add_parser("table", help="run an experiment and write its result card")
    table.add_argument("name", help="chapter.table, for example prior.quality")
    table.add_argument("--seeds", type=int, nargs="+", help="default: the card's own")
    table.add_argument("--jobs", type=int, default=1, help="processes at a time")
    table.set_defaults(run=_table)
    return parser


def _build(options: argparse.Namespace) -> int:
    print(f"wrote {motion.build(options.motion)}")
    return 0


def _train(options: argparse.Namespace) -> int:
    device = runtime.device()
    threads = options.threads or torch.get_num_threads()
    with runtime.process_group(device), runtime.threads(threads):
        history = _train_reader(options) if options.reader else _train_generator(options)
    return 130 if history.interrupted else 0


def recipe(options: argparse.Namespace) -> training.PriorRecipe:
    """The recipe that `train prior --domain ...` asks for."""
    changes = {"small_images": options.small_images, "images": options.images}
    return training.PriorRecipe(
        sources=PRIORS[options.domain],
        seed=options.seed,
        start=options.start,
        **{name: value for name, value in changes.items() if value is not None},
    )


def _train_generator(options: argparse.Namespace) -> loop.History:
    wanted, folder = recipe(options), options.folder / options.domain
    _, history = training.train_prior(wanted, folder, compiled=options.compile)
    if _may_ship(options, history):
        training.ship_prior(wanted, folder, runtime.device(), options.domain)
    return history


def _train_reader(options: argparse.Namespace) -> loop.History:
    task, history = training.train_reader(options.reader, options.folder, seed=options.seed)
    if _may_ship(options, history):
        training.ship_reader(options.reader, task, history)
    return history


def _may_ship(options: argparse.Namespace, history: loop.History) -> bool:
    """Whether the weights are finished and wanted, and this is the process that writes them."""
    return not history.interrupted and not options.no_ship and runtime.process().rank == 0


def _table(options: argparse.Namespace) -> int:
    chapter, _, name = options.name.partition(".")
    if chapter not in CHAPTERS:
        raise ValueError(f"there is no chapter {chapter!r}; there are: {', '.join(CHAPTERS)}")
    tables = importlib.import_module(f"posenb.{chapter}.tables").TABLES
    if name not in tables:
        raise ValueError(f"{chapter} has no table {name!r}; it has: {', '.join(tables)}")
    seeds = {} if options.seeds is None else {"seeds": options.seeds}
    tables[name](jobs=options.jobs, **seeds)
    print(f"wrote {sweep.card_path(options.name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
