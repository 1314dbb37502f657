"""Write files of random numbers with exactly the names, shapes and dtypes of VGGFace2's SENet-50.

    python benchmarks/made_weights.py senet50_made_weight.pkl [--layout pickle|dag] [--seed 0]

They replace the published weights where these are not available. Written from the published layouts and not from
lossbench's key maps, so that tests can compare the two.
"""

from __future__ import annotations

import argparse
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
IDENTITIES = 8631
BLOCKS = (3, 4, 6, 3)
# Module names in each layout; L and b count layers and blocks as the layout does.
NAMES = {
    "pickle": {
        "stem": "conv1", "stem_bn": "bn1", "classifier": "fc",
        "conv1": "layer{L}.{b}.conv1", "bn1": "layer{L}.{b}.bn1",
        "conv2": "layer{L}.{b}.conv2", "bn2": "layer{L}.{b}.bn2",
        "conv3": "layer{L}.{b}.conv3", "bn3": "layer{L}.{b}.bn3",
        "squeeze": "layer{L}.{b}.conv4", "excite": "layer{L}.{b}.conv5",
        "shortcut": "layer{L}.{b}.downsample.0", "shortcut_bn": "layer{L}.{b}.downsample.1",
    },
    "dag": {
        "stem": "conv1_7x7_s2", "stem_bn": "conv1_7x7_s2_bn", "classifier": "classifier",
        "conv1": "conv{L}_{b}_1x1_reduce", "bn1": "conv{L}_{b}_1x1_reduce_bn",
        "conv2": "conv{L}_{b}_3x3", "bn2": "conv{L}_{b}_3x3_bn",
        "conv3": "conv{L}_{b}_1x1_increase", "bn3": "conv{L}_{b}_1x1_increase_bn",
        "squeeze": "conv{L}_{b}_1x1_down", "excite": "conv{L}_{b}_1x1_up",
        "shortcut": "conv{L}_{b}_1x1_proj", "shortcut_bn": "conv{L}_{b}_1x1_proj_bn",
    },
}  # fmt: skip


def module_name(layout: str, part: str, layer: int = 0, block: int = 0) -> str:
    """Return the name of a module: `layer` from 0 to 3, `block` from 0."""
    first = {"pickle": (1, 0), "dag": (2, 1)}[layout]
    return NAMES[layout][part].format(L=layer + first[0], b=block + first[1])


def made_arrays(layout: str, *, identities: int = IDENTITIES, seed: int = 0) -> dict[str, Array]:
    """Return 331 arrays: He-uniform convolutions, and batch-normalization statistics that are not the identity.

    Args:
        layout: "pickle" or "dag".
        identities: rows of the classifier; VGGFace2 has 8,631.
        seed: random seed; both layouts have the same numbers except for the channel order of the first convolution.
    """
    draw = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}

    def scaled(name: str, shape: tuple[int, ...], gain: float = 2.0) -> None:
        array = draw.random(shape, np.float32)
        array -= np.float32(0.5)
        array *= np.float32((12 * gain / np.prod(shape[1:])) ** 0.5)
        arrays[name] = array

    def uniform(name: str, size: int, low: float, high: float) -> None:
        arrays[name] = draw.uniform(low, high, size).astype(np.float32)

    def norm(name: str, size: int, scale: float = 1.0) -> None:
        uniform(f"{name}.weight", size, 0.5 * scale, 1.5 * scale)
        uniform(f"{name}.bias", size, -0.5, 0.5)
        uniform(f"{name}.running_mean", size, -0.5, 0.5)
        uniform(f"{name}.running_var", size, 0.5, 1.5)

    scaled(f"{module_name(layout, 'stem')}.weight", (64, 3, 7, 7), gain=2.0 / 60**2)  # input images have values 0..255
    norm(module_name(layout, "stem_bn"), 64)
    inputs = 64
    for layer, block in blocks():
        width = 64 * 2**layer
        name = {part: module_name(layout, part, layer, block) for part in NAMES[layout]}
        for part, sides in (("1", (width, inputs, 1, 1)), ("2", (width, width, 3, 3)), ("3", (4 * width, width, 1, 1))):
            scaled(f"{name[f'conv{part}']}.weight", sides)
            norm(name[f"bn{part}"], sides[0], 0.3 if part == "3" else 1.0)  # 16 residual blocks are added
        for part, sides in (("squeeze", (width // 4, 4 * width, 1, 1)), ("excite", (4 * width, width // 4, 1, 1))):
            scaled(f"{name[part]}.weight", sides, gain=0.5)  # gates that are neither open nor closed
            uniform(f"{name[part]}.bias", sides[0], -0.5, 0.5)
        if block == 0:
            scaled(f"{name['shortcut']}.weight", (4 * width, inputs, 1, 1))
            norm(name["shortcut_bn"], 4 * width)
        inputs = 4 * width
    classifier = module_name(layout, "classifier")
    scaled(f"{classifier}.weight", (identities, inputs, *((1, 1) if layout == "dag" else ())))
    uniform(f"{classifier}.bias", identities, -0.1, 0.1)
    return arrays


def blocks() -> Iterator[tuple[int, int]]:
    """Yield the layer and number of each of the 16 blocks, both from 0."""
    return ((layer, block) for layer, count in enumerate(BLOCKS) for block in range(count))


def python2_pickle(arrays: dict[str, Array]) -> bytes:
    """Return a pickle as Python 2 writes it at protocol 2: byte strings everywhere, and NumPy's old module name."""
    parts = [b"\x80\x02}("]
    for name, array in arrays.items():
        parts += [_string(name.encode()), *_array(array)]
    return b"".join([*parts, b"u."])


def _array(array: Array) -> list[bytes]:
    dtype = b"cnumpy\ndtype\n" + _string(b"f4") + b"K\x00K\x01\x87R(K\x03" + _string(b"<") + b"NNNJ\xff\xff\xff\xff"
    dtype += b"J\xff\xff\xff\xffK\x00tb"
    shape = b"(" + b"".join(b"J" + struct.pack("<i", side) for side in array.shape) + b"t"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _string(b"b") + b"\x87R"
    return [made, b"(K\x01", shape, dtype, b"\x89", _string(array.astype("<f4").tobytes()), b"tb"]


def _string(content: bytes) -> bytes:
    short = len(content) < 256
    return (b"U" + bytes([len(content)]) if short else b"T" + struct.pack("<i", len(content))) + content


def write_made_weights(path: Path, layout: str = "pickle", **options: Any) -> Path:
    """Write a file of `made_arrays(layout, **options)` in the form of its published counterpart."""
    arrays = made_arrays(layout, **options)
    if layout == "pickle":
        path.write_bytes(python2_pickle(arrays))
    else:
        import torch

        state = {name: torch.from_numpy(array) for name, array in arrays.items()}
        torch.save(state, path, _use_new_zipfile_serialization=False)  # published before torch wrote archives
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layout", choices=NAMES, default="pickle")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write_made_weights(arguments.out, arguments.layout, seed=arguments.seed)


if __name__ == "__main__":
    main()
