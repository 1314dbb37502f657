"""VGGFace2's SENet-50 (Cao et al., 2018): the two layouts of its published weights, and how they want their images.

Both are timm's `legacy_seresnet50` under other names. Each layout has one pure function from timm's name of a tensor
to its own. The pickle (`senet50_{ft,scratch}_weight.pkl`) takes BGR, the Caffe-named `senet50_{ft,scratch}_dag.pth`
takes RGB; both subtract a mean on the scale 0 to 255 and divide by nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import ModelError
from . import SENET_50
from .check_tensors import Form, check_fit
from .preprocessing import SHORT_SIDE_256, Preprocessing

IDENTITIES = 8631
FEATURES = 2048
# The mean is that of the RGB channels; the pickle's documentation gives it in BGR, (91.4953, 103.8827, 131.0912).
PREPROCESSING = Preprocessing(
    mean=(131.0912, 103.8827, 91.4953), std=(1.0, 1.0, 1.0), image_size=224, crop_share=SHORT_SIDE_256
)
FIRST_CONVOLUTION = "layer0.conv1.weight"
COUNTER = "num_batches_tracked"  # of batch normalisation; torch counts there since 0.4.1, and nothing here reads it

# SHA-256 -> name of the published files. None could be had and hashed for this version, so none is known.
KNOWN_DIGESTS: dict[str, str] = {}


def pickle_name(name: str) -> str:
    """A tensor of timm's `legacy_seresnet50` as the pickle calls it.

    Example:
        >>> [pickle_name(n) for n in ("layer0.conv1.weight", "layer3.5.bn2.running_var", "layer1.0.se_module.fc2.bias")]
        ['conv1.weight', 'layer3.5.bn2.running_var', 'layer1.0.conv5.bias']
    """
    name = name.removeprefix("layer0.")
    return name.replace("se_module.fc1", "conv4").replace("se_module.fc2", "conv5")


def dag_name(name: str) -> str:
    """A tensor of timm's `legacy_seresnet50` as the Caffe-named file calls it.

    Example:
        >>> [dag_name(n) for n in ("layer0.bn1.bias", "layer3.5.conv2.weight", "layer1.0.downsample.1.weight")]
        ['conv1_7x7_s2_bn.bias', 'conv4_6_3x3.weight', 'conv2_1_1x1_proj_bn.weight']
    """
    parts = {
        "conv1": "1x1_reduce", "conv2": "3x3", "conv3": "1x1_increase",
        "bn1": "1x1_reduce_bn", "bn2": "3x3_bn", "bn3": "1x1_increase_bn",
        "downsample.0": "1x1_proj", "downsample.1": "1x1_proj_bn",
        "se_module.fc1": "1x1_down", "se_module.fc2": "1x1_up",
    }  # fmt: skip
    module, _, tensor = name.rpartition(".")
    if found := re.fullmatch(r"layer([1-4])\.(\d+)\.(.+)", module):
        layer, block, part = found.groups()
        return f"conv{int(layer) + 1}_{int(block) + 1}_{parts[part]}.{tensor}"
    return f"{ {'layer0.conv1': 'conv1_7x7_s2', 'layer0.bn1': 'conv1_7x7_s2_bn'}[module] }.{tensor}"


@dataclass(frozen=True)
class Layout:
    """How one of the published files names its tensors.

    Attributes:
        kind: its name in records.
        named: timm's name of a tensor -> its own.
        classifier: the layer over identities, which is dropped.
        classifier_sides: what follows (identities, features) in the shape of its weight.
        bgr: whether the first convolution takes blue first.
    """

    kind: str
    named: Callable[[str], str]
    classifier: str
    classifier_sides: tuple[int, ...]
    bgr: bool

    def backbone(self, tensors: Mapping[str, Tensor], forms: Mapping[str, Form], file: str) -> dict[str, Tensor]:
        """The backbone's tensors under timm's names, RGB first, without the classifier.

        Args:
            tensors: of the file.
            forms: of `legacy_seresnet50` without a classifier: timm's name -> form.
            file: what messages call it.

        Raises:
            ModelError: tensors that are missing, unexpected, or of another shape or type.
        """
        names = {self.named(name): name for name in forms if not name.endswith(COUNTER)}
        counters = {self.named(name) for name in forms if name.endswith(COUNTER)}
        found = {name: tensor for name, tensor in tensors.items() if name not in counters}
        weight, bias = f"{self.classifier}.weight", f"{self.classifier}.bias"
        identities = identities_of(found.get(bias))
        expected = {own: forms[name] for own, name in names.items()}
        expected |= {weight: Form((identities, FEATURES, *self.classifier_sides)), bias: Form((identities,))}
        check_fit(found, expected, f"{file} is not VGGFace2's SENet-50 ({self.kind})")
        state = {name: found[own] for own, name in names.items()}
        if self.bgr:
            state[FIRST_CONVOLUTION] = state[FIRST_CONVOLUTION].flip(1)  # the same sums, for RGB
        return state


PICKLE = Layout("vggface2-pickle", pickle_name, "fc", (), bgr=True)
DAG = Layout("vggface2-dag", dag_name, "classifier", (1, 1), bgr=False)
LAYOUTS = (PICKLE, DAG)


def identities_of(bias: Tensor | None) -> int:
    """How many identities the dropped classifier has: any number, since some have trained it further."""
    return len(bias) if bias is not None and bias.ndim == 1 else IDENTITIES


def layout_of(names: Iterable[str], forms: Mapping[str, Form], file: str) -> Layout:
    """The layout in which most of the names are known.

    Raises:
        ModelError: none is, in either.
    """
    given = set(names)
    matches = {layout: len(given.intersection(map(layout.named, forms))) for layout in LAYOUTS}
    best = max(LAYOUTS, key=lambda layout: matches[layout])
    if not matches[best]:
        some = ", ".join(sorted(given)[:3]) or "nothing"
        first = " or ".join(layout.named(FIRST_CONVOLUTION) for layout in LAYOUTS)
        raise ModelError(
            f"{file} is not VGGFace2's SENet-50: it holds {some} and so on; expected the {len(forms)} tensors of "
            f"{SENET_50} under their published names, beginning with {first}"
        )
    return best
