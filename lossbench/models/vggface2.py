"""VGGFace2's SENet-50 (Cao et al., 2018): the layouts of its published weights and their preprocessing.

Both are timm's `legacy_seresnet50` with other tensor names. Each layout has one pure function from timm's name of a
tensor to its own name. The pickle (`senet50_{ft,scratch}_weight.pkl`) uses BGR, the Caffe-named
`senet50_{ft,scratch}_dag.pth` uses RGB; both subtract a mean on the scale 0 to 255 and do not divide. `senet50_256.pth`
and `senet50_128.pth` have the Caffe names and a layer that reduces the features in place of the classifier.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import ModelError, listed
from . import SENET_50
from .check_tensors import Form
from .key_plan import KeyPlan, plan_keys
from .preprocessing import SHORT_SIDE_256, Preprocessing

State = dict[str, Tensor]

# The mean is that of the RGB channels; the pickle's documentation gives it in BGR, (91.4953, 103.8827, 131.0912).
PREPROCESSING = Preprocessing(
    mean=(131.0912, 103.8827, 91.4953), std=(1.0, 1.0, 1.0), image_size=224, crop_share=SHORT_SIDE_256
)
FIRST_CONVOLUTION = "layer0.conv1.weight"

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
        bgr: whether the first convolution takes BGR.
    """

    kind: str
    named: Callable[[str], str]
    classifier: str
    bgr: bool


PICKLE = Layout("vggface2-pickle", pickle_name, "fc", bgr=True)
DAG = Layout("vggface2-dag", dag_name, "classifier", bgr=False)
LAYOUTS = (PICKLE, DAG)


@dataclass(frozen=True)
class Found:
    """The backbone of a SENet-50 in a file.

    Attributes:
        layout: layout of the names.
        plan: plan of the tensors, by the names of the layout.
        timm_names: name in the file -> timm's name of the tensors of the backbone.
        identities: number of people of the dropped classifier; None for a file without one.
        left_out: names of the other dropped tensors, such as those of a layer that reduces the features.
    """

    layout: Layout
    plan: KeyPlan
    timm_names: dict[str, str]
    identities: int | None
    left_out: tuple[str, ...]


def find_backbone(
    tensors: Mapping[str, Tensor], groups: Collection[str], forms: Mapping[str, Form], file: str
) -> Found:
    """Find the backbone in a file, by the layout and prefix that match most of its names.

    Args:
        tensors: tensors of the file.
        groups: as for `plan_keys`.
        forms: expected forms of `legacy_seresnet50` without a classifier, by timm's names.
        file: name of the file in messages.

    Raises:
        ModelError: no layout matches any name.
    """
    plans = {
        layout: plan_keys(tensors, {layout.named(name): form for name, form in forms.items()}, groups=groups)
        for layout in LAYOUTS
    }
    layout = max(LAYOUTS, key=lambda layout: len(plans[layout].taken))
    plan = plans[layout]
    if not plan.taken:
        some = ", ".join(sorted(tensors)[:3]) or "nothing"
        first = " or ".join(layout.named(FIRST_CONVOLUTION) for layout in LAYOUTS)
        raise ModelError(
            f"{file} is not VGGFace2's SENet-50: it contains {some} …; expected the {len(forms)} tensors of "
            f"{SENET_50} under their published names, starting with {first}"
        )
    timm_names = {layout.named(name): name for name in forms}
    classifier = f"{plan.prefix}{layout.classifier}."
    over_people = [tensors[name] for name in plan.left_out if name.startswith(classifier) and tensors[name].ndim]
    return Found(
        layout=layout,
        plan=plan,
        timm_names={name: timm_names[own] for name, own in plan.taken.items()},
        identities=len(over_people[0]) if over_people else None,
        left_out=tuple(name for name in plan.left_out if not name.startswith(classifier)),
    )


def read_backbone(found: Found, tensors: Mapping[str, Tensor], forms: Mapping[str, Form], file: str) -> State:
    """Return the backbone's tensors under timm's names, for RGB, in single precision.

    Args:
        found: result of `find_backbone`.
        tensors, forms, file: as for `find_backbone`.

    Raises:
        ModelError: tensors are missing, have a different shape or dtype, or invalid values.
    """
    layout, plan = found.layout, found.plan
    if wrong := [*plan.differences, *plan.invalid(tensors)]:
        raise ModelError(f"{file} is not VGGFace2's SENet-50 ({layout.kind}):\n{listed(wrong, 10)}")
    own = plan.state(tensors, {layout.named(name): form for name, form in forms.items()})
    state = {name: own[layout.named(name)] for name in forms}
    if layout.bgr:
        state[FIRST_CONVOLUTION] = state[FIRST_CONVOLUTION].flip(1)  # the same sums for RGB
    return state
