"""Backbones, heads and their initial weights. Names are defined here, without importing torch."""

SENET_TINY = "senet-tiny"
SENET_TINY_IMAGE_SIZE = 48
IR_50 = "ir50"
OWN_MODELS = (SENET_TINY, IR_50)  # models that are not timm's
# The paper's SENet, and the architecture of VGGFace2's SENet-50.
SENET_50 = "legacy_seresnet50"

WEIGHTS_FORMS = "none, imagenet, vggface2:FILE, file:PATH, hf:REPO or run:DIR"
ANY_MODEL = ("file", "hf")  # kinds of `--weights` for any model
_WITH_PATH = ("vggface2", *ANY_MODEL, "run")


def split_weights(spec: str) -> tuple[str, str] | None:
    """Return the kind and path of a `--weights` spec, or None if it has none of the forms.

    Example:
        >>> split_weights("vggface2:senet50_ft_weight.pkl"), split_weights("none"), split_weights("vggface2")
        (('vggface2', 'senet50_ft_weight.pkl'), ('none', ''), None)
    """
    kind, colon, path = spec.partition(":")
    fits = (kind in _WITH_PATH and path.strip()) or (kind in ("none", "imagenet") and not colon)
    return (kind, path) if fits else None


def architecture(model: str) -> str:
    """Return a timm name without the tag of its weights.

    Example:
        >>> architecture("legacy_seresnet50.in1k")
        'legacy_seresnet50'
    """
    return model.partition(".")[0]
