"""VGGFace2's SENet-50 (Cao et al., 2018): the two layouts of its published weights and their preprocessing.

Both are timm's `legacy_seresnet50` with other tensor names. Each layout has one pure function from timm's name of a
tensor to its own name. The pickle (`senet50_{ft,scratch}_weight.pkl`) uses BGR, the Caffe-named
`senet50_{ft,scratch}_dag.pth` uses RGB; both subtract a mean on the scale 0 to 255 and do not divide.
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
COUNTER = "num_batches_tracked"  # counter of batch normalization, written by torch since 0.4.1 and not read here

# Names of the published files by SHA-256. The files were not available to hash for this version.
KNOWN_DIGESTS: dict[str, str] = {}


def pickle_name(name: str) -> str:
    """Return the pickle's name of a tensor of timm's `legacy_seresnet50`.

    Example:
        >>> [pickle_name(n) for n in ("layer0.conv1.weight", "layer3.5.bn2.running_var", "layer1.0.se_module.fc2.bias")]
        ['conv1.weight', 'layer3.5.bn2.running_var', 'layer1.0.conv5.bias']
    """
    name = name.removeprefix("layer0.")
    return name.replace("se_module.fc1", "conv4").replace("se_module.fc2", "conv5")


def dag_name(name: str) -> str:
    """Return the Caffe-named file's name of a tensor of timm's `legacy_seresnet50`.

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
    """The tensor names of one of the published files.

    Attributes:
        kind: name of the layout in records.
        named: function from timm's name of a tensor to the file's name.
        classifier: the layer over people, which is dropped.
        classifier_sides: the dimensions after (people, features) in the shape of its weight.
        bgr: whether the first convolution takes BGR.
    """

    kind: str
    named: Callable[[str], str]
    classifier: str
    classifier_sides: tuple[int, ...]
    bgr: bool

    def backbone(self, tensors: Mapping[str, Tensor], forms: Mapping[str, Form], file: str) -> dict[str, Tensor]:
        """Return the backbone's tensors under timm's names, for RGB, without the classifier.

        Args:
            tensors: tensors of the file.
            forms: expected forms of `legacy_seresnet50` without a classifier, by timm's names.
            file: name of the file in messages.

        Raises:
            ModelError: tensors are missing, unexpected, or have a different shape or dtype.
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
            state[FIRST_CONVOLUTION] = state[FIRST_CONVOLUTION].flip(1)  # the same sums for RGB
        return state


PICKLE = Layout("vggface2-pickle", pickle_name, "fc", (), bgr=True)
DAG = Layout("vggface2-dag", dag_name, "classifier", (1, 1), bgr=False)
LAYOUTS = (PICKLE, DAG)


def identities_of(bias: Tensor | None) -> int:
    """Return the number of people of the dropped classifier, which differs in fine-tuned files."""
    return len(bias) if bias is not None and bias.ndim == 1 else IDENTITIES


def layout_of(names: Iterable[str], forms: Mapping[str, Form], file: str) -> Layout:
    """Return the layout that matches most of the names.

    Raises:
        ModelError: no layout matches any name.
    """
    given = set(names)
    matches = {layout: len(given.intersection(map(layout.named, forms))) for layout in LAYOUTS}
    best = max(LAYOUTS, key=lambda layout: matches[layout])
    if not matches[best]:
        some = ", ".join(sorted(given)[:3]) or "nothing"
        first = " or ".join(layout.named(FIRST_CONVOLUTION) for layout in LAYOUTS)
        raise ModelError(
            f"{file} is not VGGFace2's SENet-50: it contains {some} …; expected the {len(forms)} tensors of "
            f"{SENET_50} under their published names, starting with {first}"
        )
    return best
