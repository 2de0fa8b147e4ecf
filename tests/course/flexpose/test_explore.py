"""The explorer of notebook 02 works at every corner of its controls, quickly, and follows them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from posenb import assets, flexpose, prior
from posenb.course.flexpose import explore
from posenb.course.show import explorer
from posenb.course.show.style import new_figure
from posenb.experiments.flexpose import shipping
from posenb.flexpose import weights
from posenb.flexpose.adapt import Recipe
from posenb.flexpose.networks import StyleTransfer
from posenb.flexpose.weights import VARIANTS, Variant
from posenb.measure.distributions import frechet_distance
from posenb.train import runtime
from posenb.train.checkpoints import PROVENANCE
from posenb.world import domains

HOME = explorer.home(explore.CONTROLS)
EVERYTHING = HOME | {"objective": explore.ALL, "layers": explore.ALL, "shots": explore.ALL}


@pytest.fixture(autouse=True, scope="module")
def tiny_asset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Small random changes in the place of learned ones, in an assets folder of their own."""
    source, regressor = prior.load_generator("wild"), prior.load_regressor()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets, "FOLDER", tmp_path_factory.mktemp("assets"))
        shipping.save_taus(random_taus(source), dict.fromkeys(PROVENANCE, "a test"))
        networks = source, regressor, weights.load_taus(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explore, "_networks", lambda: networks)
        yield


def random_taus(source: prior.Generator) -> dict[Variant, StyleTransfer]:
    widths = [len(affine.get_parameter("bias")) for affine in source.affines]
    random = torch.Generator().manual_seed(0)
    taus = {}
    for variant in VARIANTS:
        taus[variant] = StyleTransfer(widths, variant.layers)
        for weight in taus[variant].parameters():
            weight.data += 0.05 * torch.randn(weight.shape, generator=random)
    return taus


@pytest.mark.slow
def test_every_corner_of_the_controls() -> None:
    seen = set()
    for parameters in explorer.corners(explore.CONTROLS):
        state = explore.compute(parameters)
        count = 1 + len(state.variants)
        assert state.images.shape == (count, 3, 64, 64)
        assert state.keypoints.shape == (count, 17, 2)
        assert state.images.isfinite().all() and state.keypoints.isfinite().all()
        assert len(state.shifts) == len(state.variants)
        if parameters["amount"] == 0:
            assert all(shift < 0.01 for shift in state.shifts)
        seen.update(state.variants)
    assert seen == set(VARIANTS)


def test_the_choices_pick_what_is_shown() -> None:
    assert explore.compute(EVERYTHING).variants == VARIANTS
    assert explore.compute(HOME).variants == tuple(v for v in VARIANTS if v.shots == 30)
    one = explore.compute(EVERYTHING | {"layers": "2"})
    assert one.variants == (Variant(layers=(2,)),)
    assert explore.compute(HOME | {"objective": "paper"}).variants == (Variant("paper"),)
    assert explore.compute(EVERYTHING | {"layers": "2", "shots": "60"}).variants == ()


def test_the_images_are_those_of_the_adapted_generators() -> None:
    source, _, adapted = explore._networks()
    for amount in (0.0, 0.5, 1.0):
        state = explore.compute(EVERYTHING | {"amount": amount, "truncation": 0.7, "seed": 3})
        z = source.sample_z(1, runtime.generator(3))
        wanted = [source(z, 0.7), *(n.between(amount)(z, 0.7) for n in adapted.values())]
        torch.testing.assert_close(state.images, torch.cat(wanted), atol=1e-4, rtol=0)


def test_more_of_tau_moves_further() -> None:
    ways = [sum(explore.compute(HOME | {"amount": a}).shifts) for a in (0.0, 0.3, 1.0)]
    assert ways == sorted(ways) and ways[2] > ways[1] + 0.1


@pytest.mark.parametrize(
    "change", [{}, {"shots": explore.ALL}, {"objective": "paper", "layers": "1"}]
)
def test_draw_shows_an_image_and_a_pose_each(change: dict[str, Any]) -> None:
    state, figure = explore.compute(HOME | change), new_figure(12, 4.2)
    explore.draw(state, figure)
    assert len(figure.axes) == 2 * (1 + len(state.variants))
    title = figure.get_suptitle()
    assert ("% of the image" in title) == bool(state.variants)
    figure.draw_without_rendering()


def test_one_setting_is_quick() -> None:
    explore.compute(HOME)
    start = time.process_time()
    explore.compute(HOME)
    assert time.process_time() - start < 0.3 * torch.get_num_threads() + 0.3


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"amount": 1.5}, "amount"),
        ({"truncation": -1.0}, "truncation"),
        ({"objective": "luck"}, "objective"),
        ({"layers": "9"}, "layers"),
        ({"shots": 30}, "shots"),
        ({"seed": "three"}, "seed"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_bad_parameters_are_named(change: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        explore.compute(HOME | change)


def test_taus_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = prior.load_generator("wild")
    taus = random_taus(source)
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    shipping.save_taus(dict(reversed(taus.items())), dict.fromkeys(PROVENANCE, "a test"))
    loaded = weights.load_taus(source)
    assert tuple(loaded) == VARIANTS
    for variant, network in loaded.items():
        assert not any(weight.requires_grad for weight in network.parameters())
        for layer in variant.layers:
            ours = network.transfer.blocks[str(layer)].get_parameter("u")
            theirs = taus[variant].blocks[str(layer)].get_parameter("u")
            torch.testing.assert_close(ours, theirs.detach(), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="does not fit this generator"):
        weights.load_taus(prior.Generator(16, width=0.25))


def test_what_is_no_matrix_is_not_shipped() -> None:
    curved = StyleTransfer((4, 4), (1, 2), linear=False)
    shifted = StyleTransfer((4, 4), (1, 2), bias=True)
    provenance = dict.fromkeys(PROVENANCE, "a test")
    for transfer in (curved, shifted):
        with pytest.raises(ValueError, match="is no matrix"):
            shipping.save_taus({Variant(layers=(1, 2)): transfer}, provenance)
    with pytest.raises(ValueError, match=r"at the layers \(1, 2\)"):
        shipping.save_taus({Variant(layers=(1,)): StyleTransfer((4, 4), (1, 2))}, provenance)


def test_variants_are_known_by_their_names() -> None:
    assert [Variant.of(variant.key) for variant in VARIANTS] == list(VARIANTS)
    assert len(set(VARIANTS)) == 9 and Variant().key == "distribution/1-2-3/30"
    with pytest.raises(ValueError, match="luck"):
        Variant.of("luck/1/30")


@pytest.mark.slow
def test_a_film_looks_every_few_steps() -> None:
    source, regressor = prior.load_generator("wild"), prior.load_regressor()
    real = domains.get("lab").sample(200, 0).keypoints
    film = explore.Film(source, regressor, source.sample_z(2, runtime.generator(5)), real, every=10)
    guides = flexpose.few_shot(domains.get("lab").sample(600, 0), 1, seed=0)
    flexpose.adapt(source, guides, recipe=Recipe(20, 8), progress=False, callback=film)
    assert film.steps == [0, 10, 20] == list(film.frames)
    with torch.no_grad():
        assert torch.equal(film.frames[0], source(film.z).clamp(0, 1))
    assert not torch.equal(film.frames[10], film.frames[20])
    assert film.distances[0] == pytest.approx(
        frechet_distance(real, prior.sample(source, regressor, 256, seed=9))
    )
