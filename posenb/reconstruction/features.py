"""phi: features in which a rebuilt picture is compared with the true one (Eq. 9).

The paper takes those of a VGG-19 that was trained on ImageNet. Its weights are 575 MB and not ours
to ship. The detector that is to be corrected has an encoder of its own, which sees people, and is
the default here; who has the file of the VGG-19 gives its path.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from posenb.reconstruction.networks import KeypointDetector

# Channels of the convolutions of VGG-19 (Simonyan and Zisserman 2015, configuration E); 0 is a
# pooling that halves the resolution. Numbers of the layers are those of torchvision's `features`.
VGG19 = (64, 64, 0, 128, 128, 0, *4 * (256,), 0, *4 * (512,), 0, *4 * (512,), 0)
READ = (1, 6, 11, 20, 29)  # the first ReLU of each resolution, as perceptual losses read them
_FILE = "vgg19-dcbb9e9d.pth"


class PerceptualFeatures(nn.Module):
    """phi_i: outputs of some layers of a fixed network.

    It never learns, and stays in evaluation whatever it is a part of: gradients go through it to
    the pictures, and its averages of batches stay as they are.

    Args:
        stages: run one after the other; the output of each is one phi_i.
        mean: subtracted from the pictures' channels first.
        deviation: that they are divided by then.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, stages: Sequence[nn.Module], mean: Sequence[float], deviation: Sequence[float]
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, -1, 1, 1))
        self.requires_grad_(False).eval()

    @classmethod
    def of_detector(cls, detector: KeypointDetector, stages: int = 2) -> Self:
        """The stem and the first stages of a detector's encoder, a copy: it may go on learning.

        It takes pictures of any size.

        Raises:
            ValueError: if the encoder has not so many stages.
        """
        if not 0 <= stages <= len(detector.stages):
            raise ValueError(
                f"this detector has {len(detector.stages)} stages behind its stem, asked: {stages}"
            )
        parts = [detector.stem, *detector.stages[:stages]]
        return cls([copy.deepcopy(part) for part in parts], (0.5,) * 3, (0.5,) * 3)

    @classmethod
    def of_vgg19(cls, path: Path, layers: Sequence[int] = READ) -> Self:
        """Layers of VGG-19 with published weights from a local file; nothing is downloaded.

        Args:
            path: torchvision's state dictionary, whose keys are `features.0.weight` and so on.
            layers: numbers in `features`, ascending, whose outputs are compared. The deeper ones
                need pictures of 16 pixels at least.

        Raises:
            ValueError: if there is no such file, or it holds other weights.
        """
        layers = list(layers)
        if not layers or layers != sorted({*layers}) or not 0 <= layers[0] <= layers[-1] < 37:
            raise ValueError(f"layers of VGG-19 are 0 to 36, ascending, found {layers}")
        network = vgg19()
        network.load_state_dict(_published(path, network.state_dict()))
        starts = [0, *(layer + 1 for layer in layers[:-1])]
        stages = [network[a : b + 1] for a, b in zip(starts, layers, strict=True)]
        return cls(stages, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """phi_i of pictures (N, 3, H, W), RGB in [0, 1]: (N, C, h, w) each, finest first."""
        x = (images - self.mean) / self.deviation
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs


def vgg19() -> nn.Sequential:
    """The convolutional part of VGG-19 without weights: 37 layers, 20,024,384 parameters."""
    layers: list[nn.Module] = []
    channels = 3
    for width in VGG19:
        if width:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def _published(path: Path, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of `features` in a file of torchvision."""
    need = (
        f"expected {_FILE}, which torchvision publishes as VGG19_Weights.IMAGENET1K_V1 (its code "
        "is under the BSD-3 licence; the weights stem from ImageNet, whose terms allow research "
        "that is not commercial): fetch it there yourself and give its path"
    )
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}: {need}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = {name: state[f"features.{name}"] for name in wanted}
        wrong = [name for name, weight in wanted.items() if found[name].shape != weight.shape]
    except Exception as error:  # torch's reader raises nearly anything on other bytes
        raise ValueError(
            f"{path} holds no weights of VGG-19 ({type(error).__name__}: {str(error)[:80]}): {need}"
        ) from error
    if wrong:
        raise ValueError(f"{path}: features.{wrong[0]} has another shape than VGG-19's: {need}")
    return found
