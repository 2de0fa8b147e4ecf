"""Figures of notebook 02 show the numbers that they are given."""

from __future__ import annotations

import pytest
import torch

from posenb.course.flexpose import figures
from posenb.course.teach import cards
from posenb.world import domains
from posenb.world.skeletons import BODY17


def test_anatomy_measures_trunk_knees_and_hips() -> None:
    upright = domains.get("wild").sample(1, seed=0).keypoints.clone()
    x = {"pelvis": (0.5, 0.5), "neck": (0.5, 0.2)}
    x |= {f"{side}_{joint}": (0.5 + shift, y) for side, shift in (("left", 0.1), ("right", -0.1))
          for joint, y in (("hip", 0.5), ("knee", 0.7), ("ankle", 0.9))}  # fmt: skip
    for name, place in x.items():
        upright[0, BODY17.index(name)] = torch.tensor(place)
    tilted, bent, hip = figures.anatomy(upright).values()
    assert (tilted, bent) == (0, 0)
    on_its_side = figures.anatomy(upright.flip(-1))  # x and y exchanged: the trunk lies
    assert list(on_its_side.values()) == pytest.approx([100, 0, hip])
    upright[0, BODY17.index("left_ankle")] = torch.tensor((0.9, 0.7))  # a right angle
    assert figures.anatomy(upright)["knee below 120°, %"] == 50
    parents, children = torch.tensor(BODY17.bones).T
    lengths = (upright[0, children] - upright[0, parents]).norm(dim=-1)
    found = figures.anatomy(upright)["hip, share of bones, %"]
    assert found == pytest.approx(100 * 0.1 / float(lengths.sum()), rel=1e-4)


def test_bars_stand_at_the_cards_means() -> None:
    card = cards.load("flexpose.table1_coco")
    methods = ("source only", "bootstrap of the shots", "LoRA")
    fd, _, _, misread = figures.method_bars(card, methods).axes
    assert [bar.get_width() for bar in fd.patches] == [
        pytest.approx(cards.value(card, "FD", poses=method)) for method in methods
    ]
    drawn = [label.get_text() for label in misread.get_yticklabels()]
    assert drawn == ["source only", "LoRA"]  # no pictures, no misread


def test_every_family_has_its_own_panel() -> None:
    card = cards.load("flexpose.table1")
    families = {
        "a": ("LoRA", "FlexPose"),
        "b": ("AdaGAN",),
        "c": ("FreezeD",),
        "d": ("source only",),
    }
    panels = figures.method_map(card, families).axes
    titles = [axes.get_title() or axes.get_title(loc="left") for axes in panels]
    texts = [{text.get_text() for text in axes.texts} for axes in panels]
    assert dict(zip(titles, texts, strict=True)) == {k: set(v) for k, v in families.items()}


def test_tuning_rings_the_lowest_fd() -> None:
    card = cards.load("flexpose.tuning")
    axes = figures.tuning_map(card, ("LoRA",)).axes[0]
    tried, ring = (points.get_offsets() for points in axes.collections)
    assert ring[0].tolist() == min(tried.tolist())
    assert len(tried) == sum(row["poses"] == "LoRA" for row in card["rows"])


def test_tsne_keeps_the_sets_apart_and_repeats() -> None:
    random = torch.Generator().manual_seed(0)
    sets = {"source": torch.rand(12, 3, 2, generator=random),
            "target": 5 + torch.rand(20, 3, 2, generator=random)}  # fmt: skip
    first, again = (figures.tsne(sets, perplexity=5, seed=1) for _ in range(2))
    assert {name: len(places) for name, places in first.items()} == {"source": 12, "target": 20}
    assert all(torch.equal(first[name], again[name]) for name in sets)
    near = torch.cdist(first["source"], first["source"]).fill_diagonal_(torch.inf).min(1).values
    assert (near < torch.cdist(first["source"], first["target"]).min(1).values).all()
