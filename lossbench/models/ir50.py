"""IR-50, the residual network of face recognition (Deng et al., ArcFace, CVPR 2019), with the names of its tensors.

The names are those of face.evoLVe and of the FER projects that use its checkpoints (`backbone_ir50_ms1m_epoch120.pth`,
`ir50.pth`). Timm does not have this architecture.
"""

from __future__ import annotations

from torch import Tensor, nn

SIDE = 112  # pixels: the last layer is fully connected
FEATURES = 512
# Mean and standard deviation with which the published weights were trained.
SETTINGS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "input_size": (3, SIDE, SIDE)}
_STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))  # channels, blocks


class IR50(nn.Module):
    """IR-50 for images of 112 px: images (B, 3, 112, 112) to features (B, 512).

    Dropout before the last layer is left out, as in every backbone of lossbench.
    """

    pretrained_cfg = SETTINGS

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        blocks, inputs = [], 64
        for channels, count in _STAGES:
            for number in range(count):
                blocks.append(_Block(inputs, channels, stride=2 if number == 0 else 1))
                inputs = channels
        self.body = nn.Sequential(*blocks)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Identity(),  # dropout
            nn.Flatten(),
            nn.Linear(inputs * (SIDE // 16) ** 2, FEATURES),
            nn.BatchNorm1d(FEATURES),
        )

    def group_matcher(self, coarse: bool = False) -> dict[str, object]:
        """Return the groups of layers in timm's form, for learning rates that decrease from layer to layer."""
        return {"stem": r"^input_layer", "blocks": [(r"^body\.(\d+)", None), (r"^output_layer", (99999,))]}

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.output_layer(self.body(self.input_layer(images)))
        return features


class _Block(nn.Module):
    """Normalization, convolution, PReLU, convolution and normalization, added to the input."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer = (
            nn.MaxPool2d(1, stride)
            if inputs == channels
            else nn.Sequential(nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, channels, 3, padding=1, bias=False),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.res_layer(features) + self.shortcut_layer(features)
        return result
