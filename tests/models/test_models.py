"""Models by name: shapes, heads, seeds, and what is refused."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lossbench.errors import ConfigError, ModelError
from lossbench.models import build
from lossbench.models.build import build_model, check_model
from lossbench.models.classifier import Classifier, CosineHead
from lossbench.models.dry_run import embedding_dim_of
from lossbench.models.own_images import own_image_size
from lossbench.models.preprocessing import Preprocessing
from lossbench.models.senet_tiny import SENetTiny
from lossbench.traits import Need

COSINE = frozenset({Need.COSINE_LOGITS})


def images(count: int, size: int) -> Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    return torch.from_numpy(pixels)


def tiny(**options: object) -> Classifier:
    return build_model("senet-tiny", **{"num_classes": 8, "image_size": 48, "seed": 0, **options})  # type: ignore[arg-type]


def test_senet_tiny_is_timm_s_resnet_with_squeeze_and_excitation() -> None:
    from timm.models.resnet import BasicBlock, ResNet

    torch.manual_seed(3)
    theirs = ResNet(
        BasicBlock,
        [1, 1, 1, 1],
        num_classes=0,
        stem_type="deep",
        stem_width=8,
        channels=(16, 32, 64, 128),
        block_args={"attn_layer": "se"},
    )
    torch.manual_seed(3)
    ours = SENetTiny()
    expected, found = theirs.state_dict(), ours.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert theirs.feature_info == ours.feature_info
    assert [theirs.group_matcher(coarse) for coarse in (False, True)] == [
        ours.group_matcher(coarse) for coarse in (False, True)
    ]
    for model in (ours, theirs):  # the last scale of each block is 0 at the start and would hide what is before it
        for name, parameter in model.named_parameters():
            if name.endswith("bn2.weight"):
                nn.init.constant_(parameter, 0.7)
    batch = torch.randn(3, 3, 48, 40).to(memory_format=torch.channels_last)
    for model in (ours, theirs):
        model.train()(batch).square().sum().backward()
    assert torch.equal(ours(batch), theirs(batch))
    gradients = dict(theirs.named_parameters())
    assert all(torch.equal(parameter.grad, gradients[name].grad) for name, parameter in ours.named_parameters())
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in theirs.state_dict().items())


def test_senet_tiny_is_small() -> None:
    assert 250_000 < sum(p.numel() for p in tiny().parameters()) < 350_000
    assert check_model("senet-tiny", 48) == 128
    assert own_image_size("senet-tiny") == 48


@pytest.mark.parametrize(("name", "size"), [("senet-tiny", 48), ("test_resnet", 40), ("test_vit", 32)])
def test_any_model_gives_embeddings_and_the_head_s_logits_of_them(name: str, size: int) -> None:
    model = build_model(name, num_classes=5, image_size=size, seed=0).eval()
    dim = check_model(name, size)
    output = model(images(3, size))
    assert output.embeddings.shape == (3, dim)
    assert output.logits.shape == (3, 5)
    torch.testing.assert_close(output.logits, output.embeddings @ model.head.weight.T + model.head.bias)


def test_the_head_is_applied_once_a_batch() -> None:
    model = tiny()
    calls: list[tuple[int, ...]] = []
    model.head.register_forward_hook(lambda module, inputs, result: calls.append(tuple(inputs[0].shape)))
    model(images(4, 48))
    assert calls == [(4, 128)]


def test_nothing_is_drawn_at_random_in_a_forward_pass() -> None:
    for name in ("test_vit", "test_resnet"):
        model = build_model(name, num_classes=3, image_size=32, seed=0).train()
        drop = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
        assert not any(drop)
        assert torch.equal(model(images(4, 32)).logits, model(images(4, 32)).logits)


def test_a_seed_means_the_same_backbone_whatever_the_head() -> None:
    first, again = tiny(), tiny()
    cosine, more, other = tiny(needs=COSINE), tiny(num_classes=3), tiny(seed=1)
    weights = first.backbone.state_dict()
    for model in (again, cosine, more):
        assert all(torch.equal(weights[name], value) for name, value in model.backbone.state_dict().items())
    torch.manual_seed(1)  # the head has a seed of its own, whatever the backbone drew
    assert torch.equal(first.head.weight, nn.Linear(128, 8).weight)
    assert torch.equal(first.head.weight, again.head.weight)
    assert any(not torch.equal(weights[name], value) for name, value in other.backbone.state_dict().items())
    assert isinstance(cosine.head, CosineHead)
    assert isinstance(first.head, nn.Linear)


def test_cosine_logits_are_cosines() -> None:
    head = CosineHead(6, 4)
    embeddings = 1000 * torch.randn(50, 6)
    logits = head(embeddings)
    expected = nn.functional.cosine_similarity(embeddings.unsqueeze(1), head.weight.unsqueeze(0), dim=2)
    torch.testing.assert_close(logits, expected)
    assert logits.abs().max() <= 1 + 1e-6
    torch.testing.assert_close(head(head.weight * 7).diagonal(), torch.ones(4))
    assert [name for name, _ in head.named_parameters()] == ["weight"]  # no bias
    torch.testing.assert_close(head(torch.zeros(1, 6)), torch.zeros(1, 4))


def test_normalisation_is_part_of_the_model() -> None:
    seen: list[Tensor] = []

    class Looking(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return x.mean(dim=(2, 3))

    wants = Preprocessing(mean=(51, 102, 153), std=(25.5, 51, 127.5), image_size=2)
    model = Classifier(Looking(), nn.Linear(3, 2), wants)
    pixels = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    model(pixels)
    expected = torch.tensor([[[-2.0, 8.0]], [[-2.0, 3.0]], [[-1.2, 0.8]]])
    torch.testing.assert_close(seen[0][0], expected)
    model.double()(pixels)
    assert seen[1].dtype is torch.float64
    assert {"mean", "std"} <= model.state_dict().keys()  # weights carry it


def test_a_timm_model_is_fed_as_its_weights_want_it() -> None:
    import timm

    settings = timm.get_pretrained_cfg("test_vit")
    model = build_model("test_vit", num_classes=2, image_size=32, seed=0)
    assert (model.mean / 255).flatten().tolist() == pytest.approx(settings.mean)
    assert (model.std / 255).flatten().tolist() == pytest.approx(settings.std)
    assert own_image_size("test_vit") == settings.input_size[-1]


def test_timm_s_weights_come_with_timm_s_normalisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the pretrained model by a model of another seed, because the hub is not available."""
    import timm

    from lossbench.harness.weights.start_from import read_weights
    from lossbench.models import weights as weights_module

    pretrained = build_model("test_resnet", num_classes=1, image_size=32, seed=9).backbone
    monkeypatch.setattr(weights_module, "imagenet_backbone", lambda name, size: pretrained)
    weights = read_weights("imagenet", "test_resnet", 32)
    assert weights is not None
    assert (weights.kind, weights.preprocessing.crop_share) == ("imagenet", 1.0)
    settings = timm.get_pretrained_cfg("test_resnet")
    assert [value / 255 for value in weights.preprocessing.mean] == pytest.approx(settings.mean)
    model = build_model("test_resnet", num_classes=3, image_size=32, seed=0, backbone_state=weights.state)
    found, expected = model.backbone.state_dict(), pretrained.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    fresh = build_model("test_resnet", num_classes=3, image_size=32, seed=0)
    assert torch.equal(
        model.head.weight, fresh.head.weight
    )  # the head is the seed's, whatever the backbone starts from
    with pytest.raises(ModelError, match=r"^unknown model 'resnet81'"):
        read_weights("imagenet", "resnet81", None)


@pytest.mark.parametrize(("name", "meant"), [("resnet81", "resnet18"), ("senet_tiny", "senet-tiny")])
def test_an_unknown_model_offers_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(ModelError, match=rf"^unknown model '{name}'. Did you mean .*'{meant}'"):
        check_model(name, 48)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("senet-tiny", 16, "images of 16 px are too small for 'senet-tiny', .* pass --image-size 32 or more"),
        ("legacy_seresnet50", 20, "images of 20 px are too small for 'legacy_seresnet50'"),
        ("test_vit", 33, "'test_vit'"),  # no multiple of its patch
    ],
)
def test_a_size_that_the_model_cannot_process_is_refused(name: str, size: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_model(name, size)


def test_a_model_without_one_vector_per_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(build, "_timm_backbone", lambda name, size, pretrained: nn.Conv2d(3, 4, 3))
    with pytest.raises(ConfigError, match=r"'test_resnet' returns features of shape \(1, 4, 46, 46\)"):
        check_model("test_resnet", 48)


def test_weights_that_cannot_be_loaded_are_one_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The hub's client warns before each of its five retries."""
    import timm

    def offline(name: str, **settings: object) -> nn.Module:
        for _ in range(5):
            logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s")
        raise OSError("We couldn't connect to the hub")

    logging.getLogger("huggingface_hub").setLevel(logging.WARNING)
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ModelError) as failure:
        build.imagenet_backbone("test_resnet", 32)
    assert str(failure.value).splitlines() == [
        "the ImageNet weights of 'test_resnet' cannot be loaded: We couldn't connect to the hub",
        "They come from timm's hub or cache; without a network, pass --weights none",
    ]
    assert capfd.readouterr() == ("", "")


def test_a_refusal_gives_sizes_that_work_even_if_the_model_gives_no_reason() -> None:
    """As halonet_h1, whose own error at 96 px is an assertion without a text."""

    class Picky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, images: Tensor) -> Tensor:
            if images.shape[-1] % 64:
                raise AssertionError
            return images.mean((2, 3)) + self.weight

    with pytest.raises(ModelError) as refusal:
        embedding_dim_of("picky", Picky(), 96)
    said = str(refusal.value)
    assert "cannot process images of 96 px (its own size is unknown): AssertionError" in said
    assert "Pass a size that fits with --image-size (64, 128, 192), or another --model" in said


def test_the_only_size_that_a_model_can_process_is_found() -> None:
    with pytest.raises(
        ModelError, match=r"AssertionError\nPass a size that fits with --image-size \(256\), or another"
    ):
        check_model("halonet_h1", 96)
