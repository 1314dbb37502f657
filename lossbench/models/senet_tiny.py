"""The backbone `senet-tiny`, an SE-ResNet for small images and short runs.

Its layers, names and initial weights are those of timm's `ResNet` with basic blocks [1, 1, 1, 1], a deep stem of width
8, 16 to 128 channels and squeeze-and-excitation; a test compares them. It is defined here because importing timm takes
longer than building and checking this model.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

_STEM, _CHANNELS = 8, (16, 32, 64, 128)


def _convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)


class SqueezeAndExcitation(nn.Module):
    """Scale each channel by a number in (0, 1), computed from the means of all channels (Hu et al., CVPR 2018).

    Args:
        channels: number of channels.
        hidden: channels of the hidden layer.
    """

    def __init__(self, channels: int, hidden: int = 8) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.act = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        means = images.mean((2, 3), keepdim=True)
        scale: Tensor = self.fc2(self.act(self.fc1(means))).sigmoid()
        return images * scale


class Block(nn.Module):
    """Two convolutions and squeeze-and-excitation, added to the input.

    Args:
        inputs: channels of the input.
        outputs: channels of the result.
        stride: factor by which the side of the image shrinks.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        downsample = None
        if stride != 1:  # built first: the order in which weights are drawn is timm's
            downsample = nn.Sequential(_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        self.conv1 = _convolution(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = _convolution(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.se = SqueezeAndExcitation(outputs)
        self.act2 = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, images: Tensor) -> Tensor:
        found = self.act1(self.bn1(self.conv1(images)))
        found = self.se(self.bn2(self.conv2(found)))
        found += images if self.downsample is None else self.downsample(images)
        result: Tensor = self.act2(found)
        return result


class SENetTiny(nn.Module):
    """Map normalized images (B, 3, S, S) to embeddings (B, 128); 0.3 M parameters, made for 48 px.

    Weights are drawn from torch's generator.
    """

    feature_info: ClassVar[list[dict[str, Any]]] = [{"num_chs": 16, "reduction": 2, "module": "act1"}] + [
        {"num_chs": channels, "reduction": 4 * 2**stage, "module": f"layer{stage + 1}"}
        for stage, channels in enumerate(_CHANNELS)
    ]
    """The layers whose results can serve as features, as timm's models list them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            _convolution(3, _STEM, stride=2),
            nn.BatchNorm2d(_STEM),
            nn.ReLU(inplace=True),
            _convolution(_STEM, _STEM),
            nn.BatchNorm2d(_STEM),
            nn.ReLU(inplace=True),
            _convolution(_STEM, _CHANNELS[0]),
        )
        self.bn1 = nn.BatchNorm2d(_CHANNELS[0])
        self.act1 = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(Block(_CHANNELS[0], _CHANNELS[0], 1))
        self.layer2 = nn.Sequential(Block(_CHANNELS[0], _CHANNELS[1], 2))
        self.layer3 = nn.Sequential(Block(_CHANNELS[1], _CHANNELS[2], 2))
        self.layer4 = nn.Sequential(Block(_CHANNELS[2], _CHANNELS[3], 2))
        self.global_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, Block):  # each block starts as the identity
                nn.init.zeros_(module.bn2.weight)

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Return patterns of parameter names by layer, for timm's layer-wise learning rates."""
        return {"stem": r"^conv1|bn1|maxpool", "blocks": r"^layer(\d+)" if coarse else r"^layer(\d+)\.(\d+)"}

    def forward(self, images: Tensor) -> Tensor:
        found = self.maxpool(self.act1(self.bn1(self.conv1(images))))
        found = self.layer4(self.layer3(self.layer2(self.layer1(found))))
        embeddings: Tensor = self.global_pool(found)
        return embeddings
