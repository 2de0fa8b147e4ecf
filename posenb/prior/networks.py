"""The networks of FlexPose's first phase: generator, discriminator, regressor, feature extractor.

The generator is a StyleGAN split as the paper splits it, g = phi . A . f (FlexPose, Eq. 3):
`mapping` is f, `affine` is A, `synthesis` is phi. Styles modulate the convolutions as in
StyleGAN2 (they scale input channels, and demodulation takes the place of AdaIN's normalisation),
because at this size AdaIN did not train on a laptop. A style therefore has one number a channel;
AdaIN's would have two.

Layers are numbered from 1, the coarsest. At 64 pixels there are nine convolutions:
1 at 4 x 4; 2, 3 at 8 x 8; 4, 5 at 16 x 16; 6, 7 at 32 x 32; 8, 9 at 64 x 64. FlexPose's l = 3,
"the third coarsest layer", is the second convolution at 8 x 8. The small 1 x 1 convolutions that
read colours out have styles of their own, which are not numbered and never adapted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posenb.world.drawing import draw_skeletons
from posenb.world.skeletons import BODY17, Skeleton

# Keeps the variance of a standard normal about 1 through a leaky ReLU. It scales weights and biases
# rather than the activation's output: the same function, with one pass fewer over the pixels.
GAIN = math.sqrt(2)
GROUP = 4  # images whose variety the discriminator is told
CHANNELS = {4: 128, 8: 128, 16: 64, 32: 32, 64: 16, 128: 8}


def channels(resolution: int, width: float = 1.0) -> dict[int, int]:
    """Channels at each resolution of a network from 4 up.

    Args:
        resolution: of the images.
        width: factor on the number of channels; they are multiples of 4.

    Raises:
        ValueError: if `resolution` is not one of 8, 16, 32, 64, 128.
    """
    if resolution not in CHANNELS or resolution < 8:
        raise ValueError(f"resolution must be 8, 16, 32, 64 or 128, found {resolution}")
    return {
        size: max(4, 4 * round(width * count / 4))
        for size, count in CHANNELS.items()
        if size <= resolution
    }


class EqualLinear(nn.Module):
    """Linear layer whose weights are scaled in use, not in store (equalised learning rate)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        generator: torch.Generator,
        bias: float = 0.0,
        multiplier: float = 1.0,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, generator=generator) / multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / multiplier))
        self.scale = multiplier / math.sqrt(inputs)
        self.multiplier = multiplier
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (..., outputs) of inputs (..., inputs)."""
        gain = GAIN if self.activate else 1.0
        x = F.linear(x, self.weight * (self.scale * gain), self.bias * (self.multiplier * gain))
        return F.leaky_relu(x, 0.2) if self.activate else x


class EqualConv(nn.Module):
    """Convolution with equalised learning rate and, if wanted, the activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        generator: torch.Generator,
        stride: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.randn(outputs, inputs, kernel, kernel, generator=generator)
        )
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.gain = GAIN if activate else 1.0
        self.scale = self.gain / math.sqrt(inputs * kernel * kernel)
        self.stride, self.padding, self.activate = stride, kernel // 2, activate

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, outputs, h / stride, w / stride) of features (batch, inputs, h, w)."""
        weight, bias = self.weight * self.scale, self.bias * self.gain
        x = F.conv2d(x, weight, bias, self.stride, self.padding)
        return F.leaky_relu(x, 0.2) if self.activate else x


class StyledConv(nn.Module):
    """Convolution modulated by a style: scale input channels, convolve, normalise, add noise.

    Scaling the images' channels and not each image's own weights gives the same result and lets
    one plain convolution serve the whole batch.
    """

    def __init__(
        self, inputs: int, outputs: int, generator: torch.Generator, upsample: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3, generator=generator))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.scale = 1 / math.sqrt(inputs * 9)
        self.upsample = upsample

    def forward(self, x: Tensor, style: Tensor, noise: torch.Generator | None) -> Tensor:
        """Features of features x (batch, inputs, h, w) under a style (batch, inputs).

        Twice the resolution if the layer upsamples; `noise` draws the noise input, None: none.
        """
        weight = self.weight * self.scale
        x = F.conv2d(x * style[:, :, None, None].to(x.dtype), weight, padding=1)
        if self.upsample:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        # The length that a channel has after the modulated convolution, for unit inputs.
        energy = style.float().square() @ weight.square().sum((2, 3)).T  # (batch, outputs)
        demodulation = (GAIN * (energy + 1e-8).rsqrt())[:, :, None, None].to(x.dtype)
        bias = (GAIN * self.bias)[:, None, None].to(x.dtype)
        x = torch.addcmul(bias, x, demodulation)
        if noise is not None:
            field = torch.randn(len(x), 1, *x.shape[2:], generator=noise, device=x.device)
            x = x + (self.noise_strength * field).to(x.dtype)
        return F.leaky_relu(x, 0.2)


class ToColor(nn.Module):
    """1 x 1 modulated convolution that reads red, green and blue out of the features."""

    def __init__(self, inputs: int, style_size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.affine = EqualLinear(style_size, inputs, generator, bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1, generator=generator))
        self.bias = nn.Parameter(torch.zeros(3))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Colours (batch, 3, h, w) of features x (batch, inputs, h, w) under latents w."""
        style = self.affine(w) * self.scale
        return F.conv2d(x * style[:, :, None, None], self.weight, self.bias)


class Styles(NamedTuple):
    """What phi is given: `layers` are the style codes that tau may change, `colors` are not.

    Attributes:
        layers: one a numbered layer, layers[l - 1] is layer l's, (batch, channels).
        colors: the latent that each resolution's colour read-out sees, (batch, style).
    """

    layers: list[Tensor]
    colors: list[Tensor]


class Generator(nn.Module):
    """Skeleton images from latent codes, g = phi . A . f (FlexPose, Eq. 1 and 3).

    Args:
        resolution: height and width of the images.
        style_size: length of z and w.
        width: factor on the number of channels, and so on the length of the style codes.
        seed: of the initial weights.

    Attributes:
        name: under which it is shipped (set by `load_generator`), else empty.
    """

    w_mean: Tensor
    name: str = ""

    def __init__(
        self, resolution: int = 64, style_size: int = 64, width: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        counts = channels(resolution, width)
        self.resolution, self.style_size, self.width = resolution, style_size, width
        self.f = nn.Sequential(
            *(
                EqualLinear(style_size, style_size, generator, multiplier=0.01, activate=True)
                for _ in range(4)
            )
        )
        self.constant = nn.Parameter(torch.randn(1, counts[4], 4, 4, generator=generator))
        self.register_buffer("w_mean", torch.zeros(style_size))
        self.convolutions = nn.ModuleList()
        self.affines = nn.ModuleList()
        self.colors = nn.ModuleList()
        inputs = counts[4]
        for size, outputs in counts.items():
            widths = [inputs] if size == 4 else [inputs, outputs]
            for number, count in enumerate(widths):
                self.affines.append(EqualLinear(style_size, count, generator, bias=1.0))
                up = size > 4 and number == 0
                self.convolutions.append(StyledConv(count, outputs, generator, upsample=up))
            self.colors.append(ToColor(outputs, style_size, generator))
            inputs = outputs

    @property
    def layers(self) -> int:
        """Number of numbered layers L: 7 at 32 pixels, 9 at 64."""
        return len(self.convolutions)

    def layer_resolution(self, layer: int) -> int:
        """Pixels at which layer 1..L works.

        Raises:
            ValueError: if there is no such layer.
        """
        if not 1 <= layer <= self.layers:
            raise ValueError(f"layer must be 1 to {self.layers}, found {layer}")
        return 4 * 2 ** (layer // 2)

    def sample_z(self, count: int, generator: torch.Generator) -> Tensor:
        """Latent codes (count, style), standard normal, on the generator's device."""
        return torch.randn(count, self.style_size, generator=generator, device=generator.device)

    def mapping(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """f: latent codes z (batch, style) to w (batch, style); z is normalised in length first.

        Args:
            z: latent codes.
            truncation: psi of StyleGAN, w -> mean + psi (w - mean); 1 leaves w as it is.
        """
        w = self.f(z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt())
        return self.w_mean + truncation * (w - self.w_mean) if truncation != 1 else w

    def affine(self, w: Tensor | Sequence[Tensor]) -> Styles:
        """A: w to style codes, one a layer.

        Args:
            w: (batch, style), or one such a layer, coarsest first (style mixing).

        Raises:
            ValueError: if a sequence has not one w a layer.
        """
        each = [w] * self.layers if isinstance(w, Tensor) else list(w)
        if len(each) != self.layers:
            raise ValueError(f"expected {self.layers} w, one a layer, found {len(each)}")
        layers = [affine(code) for affine, code in zip(self.affines, each, strict=True)]
        return Styles(layers, [each[0], *each[2::2]])  # colours see their last layer's w

    def synthesis(self, styles: Styles, noise: torch.Generator | None = None) -> Tensor:
        """phi: style codes to images (batch, 3, S, S), about [0, 1], not clamped.

        Args:
            styles: from `affine`.
            noise: draws the noise inputs; None switches them off, which makes phi a function.
        """
        x = self.constant.expand(len(styles.layers[0]), -1, -1, -1)
        x = self.convolutions[0](x, styles.layers[0], noise)
        image = self.colors[0](x, styles.colors[0])  # read out so far, around 0
        for block in range(1, len(self.colors)):  # a resolution each
            for index in (2 * block - 1, 2 * block):
                x = self.convolutions[index](x, styles.layers[index], noise)
            image = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
            image = image + self.colors[block](x, styles.colors[block])
        return (image + 1) / 2

    def forward(
        self, z: Tensor, truncation: float = 1.0, noise: torch.Generator | None = None
    ) -> Tensor:
        """Images (batch, 3, S, S) of latent codes (batch, style)."""
        return self.synthesis(self.affine(self.mapping(z, truncation)), noise)

    def grow(self, smaller: Generator, fresh: bool = True) -> Generator:
        """Take over the weights of a generator of a lower resolution, and freeze them.

        What poses there are was learned at the lower resolution, and only the new layers are
        trained from here on: that costs less, and poses cannot drift while the discriminator's
        new block learns to see. The layers that FlexPose adapts are not among the new ones.

        Args:
            smaller: the generator that has learned.
            fresh: set the new colour read-outs to zero, so that the images are at first the
                smaller generator's, enlarged.

        Returns:
            This generator.
        """
        self.load_state_dict({**self.state_dict(), **smaller.state_dict()})
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name not in dict(smaller.named_parameters()))
        if fresh:
            with torch.no_grad():
                for color in list(self.colors)[len(smaller.colors) :]:
                    color.get_parameter("weight").zero_()
        return self

    def trunk(self, resolution: int) -> Generator:
        """The generator of a lower resolution that is inside this one, as a copy.

        Raises:
            ValueError: if the resolution is not one of 8, 16, ... up to this generator's.
        """
        if resolution > self.resolution:
            raise ValueError(
                f"a generator of {self.resolution} pixels has no trunk of {resolution} pixels"
            )
        smaller = Generator(resolution, self.style_size, self.width)
        state = self.state_dict()
        smaller.load_state_dict({name: state[name] for name in smaller.state_dict()})
        return smaller


class DiscriminatorBlock(nn.Module):
    """Residual block that halves the resolution."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = EqualConv(inputs, inputs, 3, generator)
        self.second = EqualConv(inputs, outputs, 3, generator, stride=2)
        self.skip = EqualConv(inputs, outputs, 1, generator, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, outputs, h / 2, w / 2) of features (batch, inputs, h, w)."""
        return (self.second(self.first(x)) + self.skip(F.avg_pool2d(x, 2))) / math.sqrt(2)


class Discriminator(nn.Module):
    """Real or generated: a logit an image, with the batch's variety as a clue (StyleGAN2)."""

    def __init__(self, resolution: int = 64, width: float = 1.0, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        counts = channels(resolution, width)
        self.read = EqualConv(3, counts[resolution], 1, generator)
        self.blocks = nn.ModuleDict(
            {
                str(size): DiscriminatorBlock(counts[size], counts[size // 2], generator)
                for size in reversed(counts)
                if size > 4
            }
        )
        self.last = EqualConv(counts[4] + 1, counts[4], 3, generator)
        self.head = nn.Sequential(
            nn.Flatten(),
            EqualLinear(counts[4] * 16, counts[4], generator, activate=True),
            EqualLinear(counts[4], 1, generator),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, 1) of images (batch, 3, S, S) in [0, 1]."""
        x = self.read(images * 2 - 1)
        for block in self.blocks.values():
            x = block(x)
        variety = batch_deviation(x)[:, None, None, None].expand(-1, 1, 4, 4)
        return self.head(self.last(torch.cat([x, variety.to(x.dtype)], dim=1)))

    def grow(self, smaller: Discriminator) -> Discriminator:
        """Take over a lower resolution's weights, all but its first look at colours."""
        state = {k: v for k, v in smaller.state_dict().items() if not k.startswith("read.")}
        self.load_state_dict({**self.state_dict(), **state})
        return self


def batch_deviation(x: Tensor) -> Tensor:
    """Mean standard deviation over groups of images, (batch,); a collapsed generator shows here.

    A group is GROUP images that follow each other, so a batch of real and then generated images
    has no group of both kinds, whose variety would tell nothing.

    Raises:
        ValueError: if the batch cannot be cut into groups.
    """
    if len(x) % GROUP:
        raise ValueError(f"the batch must be a multiple of {GROUP}, found {len(x)}")
    x = x.to(torch.promote_types(x.dtype, torch.float32))  # bfloat16 is too coarse for variances
    groups = x.view(len(x) // GROUP, GROUP, *x.shape[1:])
    deviation = (groups.var(1, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))  # (batch / GROUP,)
    return deviation.repeat_interleave(GROUP)


class KeypointRegressor(nn.Module):
    """beta: skeleton images to keypoints through a tight bottleneck (FlexPose, Sec. 3.4).

    A small hourglass sees the image, draws one heat map a joint, and hands out each map's
    expected place: 2 J numbers, all that is left of the image. Noise has no way through.

    Args:
        joints: number of joints J.
        seed: of the initial weights.
    """

    def __init__(self, joints: int = len(BODY17), seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        widths = (24, 48, 96, 96)
        inputs = (3, *widths)
        self.down = nn.ModuleList(
            ConvNorm(a, b, generator, stride=2) for a, b in zip(inputs, widths, strict=False)
        )
        self.deep = ConvNorm(96, 96, generator)
        self.up = nn.ModuleList(
            ConvNorm(deeper + skip, outputs, generator)
            for deeper, skip, outputs in ((96, 96, 96), (96, 48, 48), (48, 24, 48))
        )
        self.heat = nn.Conv2d(48, joints, 1)
        _initialise(self.heat, generator)

    def heat_maps(self, images: Tensor) -> Tensor:
        """Probabilities over the pixels of a half-size map, (batch, J, S / 2, S / 2).

        Colours outside [0, 1], which generators make, count as 0 or 1.
        """
        skips = []
        x = images.clamp(0, 1) * 2 - 1
        for block in self.down:
            x = block(x)
            skips.append(x)
        x = self.deep(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
        logits = self.heat(x).float()
        return logits.flatten(2).softmax(-1).view_as(logits)

    def forward(self, images: Tensor) -> Tensor:
        """Keypoints (batch, J, 2) in [0, 1] of images (batch, 3, S, S) in about [0, 1].

        S is a multiple of 16; trained at 64.
        """
        maps = self.heat_maps(images)
        height, width = maps.shape[-2:]
        x = (torch.arange(width, device=maps.device) + 0.5) / width
        y = (torch.arange(height, device=maps.device) + 0.5) / height
        # Sums rather than products of matrices, which autocast would round to three digits.
        expected = (maps.sum(-2) * x).sum(-1), (maps.sum(-1) * y).sum(-1)
        return torch.stack(expected, dim=-1)  # (batch, J, 2)


class PerceptualFeatures(nn.Module):
    """Gamma: features in which skeleton images are compared (FlexPose, Eq. 5).

    The paper asks for a pre-trained network and does not say which; VGG trained on photographs is
    the usual choice. Ours, built in the manner of VGG, was trained on skeleton images to tell each
    bone's direction and length and the recorded action, so its features say where limbs are and
    which way they point. Each stage's output is normalised over channels, as in learned
    perceptual metrics, so that no stage drowns the others.

    Args:
        outputs: length of the training head's output.
        seed: of the initial weights.
    """

    def __init__(self, outputs: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        widths = (24, 48, 96, 128)
        self.stages = nn.ModuleList(
            ConvNorm(a, b, generator, stride=2) for a, b in zip((3, *widths), widths, strict=False)
        )
        self.head = nn.Linear(widths[-1] * 16, outputs)
        _initialise(self.head, generator)

    def features(self, images: Tensor) -> list[Tensor]:
        """Normalised feature maps of the four stages, (batch, C, h, w) each."""
        maps = []
        x = images * 2 - 1
        for stage in self.stages:
            x = stage(x)
            maps.append(F.normalize(x.float(), dim=1))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """What the training head tells of images of 64 pixels, (batch, outputs)."""
        x = images * 2 - 1
        for stage in self.stages:
            x = stage(x)
        return self.head(x.flatten(1))


class VggFeatures(nn.Module):
    """The usual choice of Gamma: VGG-16 trained on photographs, after four of its stages.

    Nothing is fetched: torchvision's weights must be in torch's hub folder already.

    Raises:
        ValueError: if torchvision or its weights are not on this machine.
    """

    mean: Tensor
    deviation: Tensor
    STAGES = (4, 9, 16, 23)  # the ReLU that ends each stage

    def __init__(self) -> None:
        super().__init__()
        try:
            from torchvision.models import VGG16_Weights, vgg16
        except ImportError as error:
            raise ValueError(
                "VGG features need torchvision: install it, or use perceptual_features('posenb')"
            ) from error
        weights = VGG16_Weights.IMAGENET1K_V1
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        if not file.is_file():
            raise ValueError(
                f"VGG-16 needs its weights in {file}: put them there, or use "
                "perceptual_features('posenb')"
            )
        self.layers = vgg16(weights=weights).features[: self.STAGES[-1]]
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    def features(self, images: Tensor) -> list[Tensor]:
        """Normalised feature maps of the four stages, (batch, C, h, w) each."""
        x = (images - self.mean) / self.deviation
        maps = []
        for number, layer in enumerate(self.layers, 1):
            x = layer(x)
            if number in self.STAGES:
                maps.append(F.normalize(x, dim=1))
        return maps


class ConvNorm(nn.Module):
    """3 x 3 convolution, batch normalisation, leaky ReLU."""

    def __init__(
        self, inputs: int, outputs: int, generator: torch.Generator, stride: int = 1
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        _initialise(self.convolution, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, outputs, h / stride, w / stride) of features (batch, inputs, h, w)."""
        return F.leaky_relu(self.norm(self.convolution(x)), 0.2)


def rerender(
    images: Tensor, regressor: KeypointRegressor, skeleton: Skeleton = BODY17
) -> tuple[Tensor, Tensor]:
    """Clean images and their keypoints, x = alpha(beta(x~)) (FlexPose, Eq. 8).

    Args:
        images: generated skeleton images x~, (batch, 3, S, S).
        regressor: beta.
        skeleton: what alpha draws.

    Returns:
        Images (batch, 3, S, S) in [0, 1] and keypoints (batch, J, 2) in [0, 1].
    """
    keypoints = regressor(images)
    return draw_skeletons(keypoints, skeleton, images.shape[-1]), keypoints


def _initialise(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    """He initialisation from a local generator."""
    inputs = layer.weight[0].numel()
    with torch.no_grad():
        layer.weight.normal_(0, math.sqrt(2 / inputs), generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
