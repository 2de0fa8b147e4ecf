"""Features and the loss of Eq. 9: against slow sums, and what must not move does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from posenb.reconstruction.features import READ, PerceptualFeatures, vgg19
from posenb.reconstruction.generation import Reconstructor, Widths
from posenb.reconstruction.losses import reconstruction_loss
from posenb.reconstruction.networks import KeypointDetector


@pytest.fixture(scope="module")
def detector() -> KeypointDetector:
    network = KeypointDetector(size=32, widths=(8, 8, 16, 16))
    network.maps(pictures(8))  # its averages are no longer the ones it starts with
    return network.eval()


@pytest.fixture(scope="module")
def features(detector: KeypointDetector) -> PerceptualFeatures:
    return PerceptualFeatures.of_detector(detector)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A file that is laid out as torchvision's is; all deep weights are one number: small."""
    random = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in vgg19().state_dict().items()}
    state = {
        f"features.{name}": 0.05 * torch.randn(shape, generator=random)
        if int(name.split(".")[0]) < 12
        else torch.zeros(()).expand(shape)
        for name, shape in shapes.items()
    }
    path = tmp_path_factory.mktemp("vgg") / "vgg19-dcbb9e9d.pth"
    torch.save({**state, "classifier.0.weight": torch.zeros(2, 2)}, path)
    return path, state


def pictures(count: int, size: int = 32, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_features_are_what_the_encoder_computes(
    detector: KeypointDetector, features: PerceptualFeatures
) -> None:
    images = pictures(2)
    found = features(images)
    stages = detector.encode(images)
    torch.testing.assert_close(found[0], detector.stem(images * 2 - 1))
    torch.testing.assert_close(found[1], stages[0])
    torch.testing.assert_close(found[2], stages[1])
    assert features(pictures(1, 64))[0].shape == (1, 8, 32, 32)  # of any size


def test_features_never_learn_and_are_a_copy(detector: KeypointDetector) -> None:
    features = PerceptualFeatures.of_detector(detector)
    state = {name: value.clone() for name, value in features.state_dict().items()}
    features.train()
    assert not any(module.training for module in features.modules())
    images = pictures(4).requires_grad_()
    sum(part.sum() for part in features(images)).backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert all(p.grad is None for p in features.parameters())
    with torch.no_grad():
        detector.stem[0].weight.mul_(1.0).add_(0.0)
        before = features(pictures(1))[0]
        detector.stem[0].weight.add_(1)
        torch.testing.assert_close(features(pictures(1))[0], before)
        detector.stem[0].weight.sub_(1)
    assert all(torch.equal(state[name], value) for name, value in features.state_dict().items())


def test_the_loss_is_as_a_slow_sum_says(features: PerceptualFeatures) -> None:
    rebuilt, driving = pictures(3, seed=1), pictures(3, seed=2)
    found = reconstruction_loss(rebuilt, driving, features, 0.3, scales=2)
    for pair in range(3):
        layers, pixels = 0.0, 0.0
        for size in (32, 16):
            a, b = (
                F.interpolate(x[pair : pair + 1], (size, size), mode="area")
                for x in (rebuilt, driving)
            )
            pixels += float((a - b).abs().sum()) / (3 * size * size) / 2
            for ours, true in zip(features(a), features(b), strict=True):
                layers += float((ours - true).abs().sum()) / ours.numel() / 2
        assert float(found.features[pair]) == pytest.approx(layers, rel=1e-4)
        assert float(found.pixels[pair]) == pytest.approx(pixels, rel=1e-4)
        assert float(found.total[pair]) == pytest.approx(pixels + 0.3 * layers, rel=1e-4)


def test_a_perfect_picture_costs_nothing_and_a_worse_one_more(
    features: PerceptualFeatures,
) -> None:
    images, noise = pictures(2), pictures(2, seed=3)
    steps = [
        reconstruction_loss(images.lerp(noise, share), images, features).total
        for share in (0.0, 0.1, 0.3)
    ]
    assert (steps[0] == 0).all() and (steps[0] < steps[1]).all() and (steps[1] < steps[2]).all()


def test_gradients_of_the_loss_reach_keypoints_and_nothing_frozen(
    features: PerceptualFeatures,
) -> None:
    network = Reconstructor(size=32, widths=Widths((8, 16), (8, 16))).requires_grad_(False)
    base, driving = (
        (
            0.2 + 0.6 * torch.rand(2, 17, 2, generator=torch.Generator().manual_seed(seed))
        ).requires_grad_()
        for seed in (1, 2)
    )
    true = pictures(2, seed=4).requires_grad_()
    rebuilt = network(pictures(2), base, driving).images
    reconstruction_loss(rebuilt, true, features).total.mean().backward()
    for pose in (base, driving):
        assert pose.grad is not None and pose.grad.isfinite().all()
        assert (pose.grad.abs().sum(-1) > 0).any()
    frozen = [*network.parameters(), *features.parameters()]
    assert all(parameter.grad is None for parameter in frozen)
    assert true.grad is None  # what is to be rebuilt is given


def test_vgg19_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        network = vgg19()
    assert sum(p.numel() for p in network.parameters()) == 20_024_384
    assert len(network) == 37
    numbers = [int(name.split(".")[0]) for name in network.state_dict() if "weight" in name]
    assert numbers == [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert all(isinstance(network[number], torch.nn.ReLU) for number in READ)


def test_layers_of_vgg19_are_as_a_loop_says(published: tuple[Path, dict[str, Tensor]]) -> None:
    path, state = published
    features = PerceptualFeatures.of_vgg19(path, (1, 6, 11))
    images = pictures(1, 16)
    mean, deviation = (
        torch.tensor(x).view(3, 1, 1) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    x, wanted = (images - mean) / deviation, []
    for number in (0, 2, None, 5, 7, None, 10):
        if number is None:
            x = F.max_pool2d(x, 2)
            continue
        weight, bias = (state[f"features.{number}.{part}"] for part in ("weight", "bias"))
        x = F.conv2d(x, weight, bias, padding=1).relu()
        if number in (0, 5, 10):
            wanted.append(x)
    for found, one in zip(features(images), wanted, strict=True):
        torch.testing.assert_close(found, one)
    assert not any(p.requires_grad for p in features.parameters())


def test_files_that_are_not_of_vgg19_are_named(
    tmp_path: Path, published: tuple[Path, dict[str, Tensor]]
) -> None:
    with pytest.raises(ValueError, match=r"no file .*VGG19_Weights.IMAGENET1K_V1.*BSD-3"):
        PerceptualFeatures.of_vgg19(tmp_path / "vgg19.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ValueError, match="holds no weights of VGG-19"):
        PerceptualFeatures.of_vgg19(tmp_path / "text.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"KeyError.*features.0.bias"):
        PerceptualFeatures.of_vgg19(tmp_path / "part.pth")
    torch.save({**published[1], "features.5.bias": torch.zeros(3)}, tmp_path / "shape.pth")
    with pytest.raises(ValueError, match="features.5.bias has another shape"):
        PerceptualFeatures.of_vgg19(tmp_path / "shape.pth")
    for layers in ((), (3, 1), (40,)):
        with pytest.raises(ValueError, match="layers of VGG-19 are 0 to 36"):
            PerceptualFeatures.of_vgg19(published[0], layers)


def test_bad_input_is_named(detector: KeypointDetector, features: PerceptualFeatures) -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 32, 32\) rebuilt for \(1, 3, 32, 32\)"):
        reconstruction_loss(pictures(2), pictures(1), features)
    with pytest.raises(ValueError, match="scales=0"):
        reconstruction_loss(pictures(1), pictures(1), features, scales=0)
    with pytest.raises(ValueError, match="3 stages behind its stem, asked: 4"):
        PerceptualFeatures.of_detector(detector, 4)
