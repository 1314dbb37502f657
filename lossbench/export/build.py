"""Build the bytes of an export, and load them again the way their users do."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from ..errors import ModelError, brief, missing_package
from .formats import Format

Floats = npt.NDArray[np.float32]
Predict = Callable[[Tensor], Floats]

ABOUT = "lossbench.json"  # of a .pt2 file
_IMAGES, _PROBABILITIES = "images", "probabilities"
_MOST_BYTES = 2 * 10**9  # of an ONNX file: the limit of protocol buffers


def built(form: Format, module: nn.Module, image_size: int, about: dict[str, Any]) -> bytes:
    """Return the content of the exported file.

    Args:
        form: format of the file.
        module: module from (N, 3, S, S) uint8 images to (N, C) probabilities, on the CPU.
        image_size: S in pixels.
        about: description of the model, stored in the file as JSON.

    Raises:
        ModelError: the module cannot be exported.
        ConfigError: a package that the format needs is not installed.
    """
    if form is Format.SAFETENSORS:
        state = {name: tensor.contiguous().clone() for name, tensor in module.state_dict().items()}
        return to_safetensors(state, {name: _text(value) for name, value in about.items()})
    if form is Format.ONNX:
        require_onnx()
    with _quietly():
        program = _traced(module, image_size)
        return _as_onnx(program, about) if form is Format.ONNX else _as_torch(program, about)


def loaded(form: Format, content: bytes, module: Callable[[], nn.Module]) -> Predict:
    """Return a function that predicts with an exported file, independent of the module that was exported.

    Args:
        form: format of the file.
        content: content of the file.
        module: builds a module that the weights of a safetensors file fit.
    """
    if form is Format.ONNX:
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return lambda images: np.asarray(session.run([_PROBABILITIES], {_IMAGES: images.numpy()})[0])
    if form is Format.TORCH:
        with _quietly():
            fresh: nn.Module = torch.export.load(io.BytesIO(content)).module()
    else:
        fresh = module()
        fresh.load_state_dict(from_safetensors(content))

    def predict(images: Tensor) -> Floats:
        with torch.no_grad():
            return np.asarray(fresh(images).numpy())

    return predict


def require_onnx() -> None:
    """Raise an error if a package for ONNX is missing.

    Raises:
        ConfigError: with the command that installs it.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_package("ONNX files", "export", error) from error


def _traced(module: nn.Module, image_size: int) -> torch.export.ExportedProgram:
    """Return the program of a module for any number of images.

    Raises:
        ModelError: torch.export cannot follow the module, or it depends on the number of images.
    """
    images = torch.zeros(2, 3, image_size, image_size, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1)
    try:
        return torch.export.export(module, (images,), dynamic_shapes={_IMAGES: {0: batch}}, strict=False)
    except Exception as error:  # of many kinds: the model and the loss are anybody's code
        raise ModelError(
            f"torch.export cannot follow this model for any number of images ({brief(error)}). "
            "Pass --to safetensors for the weights alone"
        ) from error


def _as_torch(program: torch.export.ExportedProgram, about: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={ABOUT: json.dumps(about)})
    return file.getvalue()


def _as_onnx(program: torch.export.ExportedProgram, about: dict[str, Any]) -> bytes:
    import onnx

    try:
        exported = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[_IMAGES],
            output_names=[_PROBABILITIES],
            external_data=False,
            verbose=False,
        )
    except Exception as error:  # as in `_traced`
        raise ModelError(f"torch.onnx cannot convert this model ({brief(error)}). Pass --to torch") from error
    assert exported is not None
    model = exported.model_proto
    for stale in (*model.graph.input, *model.graph.output, *model.graph.node, *model.graph.value_info):
        del stale.metadata_props[:]  # paths and stack traces of the machine that exported
    onnx.helper.set_model_props(model, {name: _text(value) for name, value in about.items()})
    if model.ByteSize() > _MOST_BYTES:
        raise ModelError(f"the ONNX file would have {model.ByteSize():,} bytes, and its format allows 2 GB")
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence the notes of the exporters about their own internals."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
