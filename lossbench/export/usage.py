"""Code for a model card: how to load an export without lossbench."""

from __future__ import annotations

import json

from torch import nn

from ..harness.evaluation.trained_run import TrainedRun
from ..loss import Loss
from ..models.own_backbones import OWN_BACKBONES
from .formats import Format

_REDUCED = """
if min(image.size) > {source}:
    scaled = [max({source}, round(side * {source} / min(image.size))) for side in image.size]
    image = image.resize(scaled, Image.Resampling.BILINEAR)"""

_DRAFT = """from PIL import Image, ImageOps

image = Image.open("image.jpg")
image.draft(None, ({source}, {source}))  # a JPEG file is decoded at 1/2, 1/4 or 1/8 of its size where that is enough
image = ImageOps.exif_transpose(image).convert("RGB")"""

_WHOLE = """from PIL import Image, ImageOps

image = ImageOps.exif_transpose(Image.open("image.jpg")).convert("RGB")"""

_BY_PILLOW = """
side = {share!r} * min(image.size)
left, top = (image.width - side) / 2, (image.height - side) / 2
box = (left, top, left + side, top + side)
image = image.resize(({size}, {size}), Image.Resampling.BILINEAR, box=box)
images = np.asarray(image).transpose(2, 0, 1)[None]  # (1, 3, {size}, {size}) uint8"""

_BY_TORCH = """
side = max(1, round({share!r} * min(image.size)))
left, top = round((image.width - side) / 2), round((image.height - side) / 2)
square = torch.from_numpy(np.array(image)[top : top + side, left : left + side]).permute(2, 0, 1)[None]
images = torch.nn.functional.interpolate(square, ({size}, {size}), mode="bilinear", antialias=True).numpy()"""

_ONNX = """session = onnxruntime.InferenceSession({file})
(probabilities,) = session.run(["probabilities"], {{"images": images}})"""

_TORCH = """model = torch.export.load({file}).module()
with torch.no_grad():
    probabilities = model(torch.from_numpy(images.copy())).numpy()"""

_TIMM = """weights = load_file({file})
backbone = timm.create_model({model}, num_classes=0{size}).eval()
prefix = "model.backbone."
backbone.load_state_dict({{k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}})
pixels = (torch.from_numpy(images.copy()) - weights["model.mean"]) / weights["model.std"]
with torch.no_grad():
    logits = backbone(pixels) @ weights["model.head.weight"].T + weights["model.head.bias"]
probabilities = (logits - weights["shift"]).softmax(dim=1).numpy()"""


def usage(run: TrainedRun, form: Format, file: str) -> str:
    """Return a Markdown block with code that predicts one image, from `image.jpg` to `probabilities`.

    Args:
        run: the exported run.
        form: format of the export.
        file: name of the exported file.
    """
    image = _image(run)
    name = json.dumps(file)
    if form is Format.ONNX:
        torch_too = "\nimport torch" if run.record.model.reading.is_fast else ""
        return _block(f"import numpy as np\nimport onnxruntime{torch_too}", image, _ONNX.format(file=name))
    if form is Format.TORCH:
        return _block("import numpy as np\nimport torch", image, _TORCH.format(file=name))
    if not scores_are_logits(run) or run.record.model.name in OWN_BACKBONES:
        return (
            f"`{file}` holds the weights alone, and other programs cannot build this model from them: its architecture "
            "or its scores are lossbench's own. Export with `--to onnx` or `--to torch` for a file that needs nothing "
            "else. In lossbench, `lossbench.load_run` loads the run."
        )
    model = json.dumps(run.record.model.name)
    size = f", img_size={run.image_size}" if takes_image_size(run) else ""
    code = _TIMM.format(file=name, model=model, size=size)
    return _block(
        "import numpy as np\nimport timm\nimport torch", image, code, "from safetensors.torch import load_file"
    )


def _image(run: TrainedRun) -> str:
    """Return code that reads `image.jpg` as the run reads its images."""
    reading = run.record.model.reading
    parts = [_DRAFT if reading.smallest_decoded else _WHOLE]
    parts += [_REDUCED] if reading.source_size else []
    parts += [_BY_TORCH if reading.is_fast else _BY_PILLOW]
    return "".join(parts).format(size=run.image_size, share=run.preprocessing.crop_share, source=reading.source_size)


def scores_are_logits(run: TrainedRun) -> bool:
    """Return whether the scores of the run are the logits of a linear head."""
    loss: Loss = run.step.loss
    primary = loss.terms()[loss.primary].loss
    return type(primary).scores is Loss.scores and isinstance(run.step.model.head, nn.Linear)


def takes_image_size(run: TrainedRun) -> bool:
    """Return whether the backbone was built for one image size, as transformers are."""
    return hasattr(run.step.model.backbone, "patch_embed")


def _block(imports: str, image: str, code: str, more: str = "") -> str:
    pillow, _, rest = image.partition("\n\n")
    head = "\n".join(filter(None, (imports, pillow, more)))
    return f"```python\n{head}\n\n{rest}\n{code}\n```"
