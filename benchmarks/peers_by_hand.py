"""Verify the violations of the peers without lossbench: small float64 batches, the peer called as documented.

Each function takes a peer and returns a sentence with numbers; it raises `Unconfirmed` if the peer does nothing wrong.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from peers import Peer
from torch import Tensor

DIM = 3


class Unconfirmed(AssertionError):  # noqa: N818  # says what happened
    """A violation that the kit reports and that is none: a defect of the kit."""


def confirm(peer: Peer, law: str) -> str:
    """What is wrong with a peer, by the check that belongs to a law.

    Raises:
        Unconfirmed: nothing, or there is no check for this law.
    """
    check = OF_PEERS.get((peer.name, law)) or OF_LAWS.get(law)
    if check is None:
        raise Unconfirmed(f"no independent check for law {law}")
    return check(peer)


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise Unconfirmed(message)


def _rows(peer: Peer, size: int, seed: int = 0) -> Tensor:
    """Float64 rows: three logits or three dimensions, of norms near 1."""
    values = [math.sin(1.7 * i + seed) + math.cos(0.9 * i * i) for i in range(size * DIM)]
    return torch.tensor(values, dtype=torch.float64).reshape(size, DIM)


def _value(peer: Peer, inputs: Tensor, labels: list[Any] | Tensor, **hyperparameters: Any) -> float:
    """Of a new instance with three classes, its parameters in the inputs' dtype."""
    loss = peer.build(3, DIM, **hyperparameters).to(inputs.dtype)
    return peer.value(loss, inputs, torch.as_tensor(labels)).item()


def _gradient(peer: Peer, inputs: Tensor, labels: list[int]) -> Tensor:
    leaf = inputs.clone().requires_grad_()
    peer.value(peer.build(3, DIM).to(inputs.dtype), leaf, torch.tensor(labels)).backward()
    assert leaf.grad is not None
    return leaf.grad


def _accepts(peer: Peer, what: str, inputs: Tensor, labels: Any) -> list[str]:
    """A sentence if the call goes through, none if it raises."""
    try:
        return [f"{what} gives {_value(peer, inputs, labels):.4g}"]
    except Exception:
        return []


def no_triplet(labels: list[int]) -> Callable[[Peer], str]:
    """A batch without a triplet costs nothing: the mean over none is NaN."""

    def check(peer: Peer) -> str:
        found = _value(peer, _rows(peer, len(labels)), labels)
        _need(math.isnan(found), f"labels {labels} give {found}")
        return f"labels {labels} hold no triplet, so nothing is wrong with them; float64 gives {found}"

    return check


def half_zeros(peer: Peer) -> str:
    """Zeros have a finite value in float64; in float16 1e-12 is 0, and 0/0 is NaN."""
    zeros, labels = torch.zeros(4, DIM, dtype=torch.float64), [0, 0, 1, 2]
    full, half = _value(peer, zeros, labels), _value(peer, zeros.half(), labels)
    _need(math.isfinite(full) and not abs(half - full) <= 4e-3 * abs(full), f"{half} against {full}")
    return f"zeros give {full:.4g} in float64, {half:.4g} in float16"


def zero_row(peer: Peer) -> str:
    """The gradient of a zero row, beside what a step against it really changes."""
    inputs, labels = _rows(peer, 4), [0, 0, 1, 2]
    inputs[0] = 0
    gradient = _gradient(peer, inputs, labels)[0]
    size = float(gradient.norm())
    stepped = inputs.clone()
    stepped[0] = -1e-3 * gradient / size
    change = abs(_value(peer, stepped, labels) - _value(peer, inputs, labels))
    _need(size > 1e6 and change < 1e2, f"gradient {size}, change {change}")
    return f"a zero row has a gradient of norm {size:.2g}; a step of 1e-3 against it changes the value by {change:.2g}"


def half_precision(peer: Peer) -> str:
    """Half precision against float64 on the same rounded numbers: the worst of some batches, by each type.

    They are six rows, with a zero row too; or for logits single rows that are labelled right.
    """
    keep_all, drop_first = torch.ones(6, 1), torch.ones(6, 1).index_fill_(0, torch.tensor(0), 0)
    batches = [
        (f"six rows{what} give", mask * _rows(peer, 6, seed), [0, 0, 1, 1, 2, 2])
        for what, mask in (("", keep_all), (", one of them zero,", drop_first))
        for seed in range(20)
    ]
    batches.append(("rows at 0, 0.3 and 1.29 of a line give", torch.eye(3)[:1] * _column(0, 0.3, 1.29), [0, 0, 1]))
    if peer.reads == "logits":
        singles = [4 * row for row in _rows(peer, 40)] + [torch.tensor([z, 0.0, 0.0]).double() for z in (2, 4, 6)]
        batches = [(f"logits [{_listed(z)}] give", z.unsqueeze(0), [int(z.argmax())]) for z in singles]
    worst: dict[torch.dtype, tuple[float, str]] = {}
    for what, batch, own in batches:
        for dtype, tolerance in ((torch.float16, 4e-3), (torch.bfloat16, 2e-2)):
            rounded = batch.to(dtype)
            full = _value(peer, rounded.double(), own)
            try:
                half = _value(peer, rounded, own)
            except Exception:
                continue  # refused, which is not a silent violation
            error = abs(half - full) / (tolerance * max(abs(full), 1e-2))
            error = math.inf if math.isnan(error) else error
            sentence = f"{what} {half:.4g} in {str(dtype).removeprefix('torch.')}, {full:.4g} in float64"
            worst[dtype] = max(worst.get(dtype, (1.0, "")), (error, sentence))
    found = [sentence for _, sentence in worst.values() if sentence]
    _need(bool(found), "half precision agrees with float64")
    return "; ".join(found)


def _column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64).unsqueeze(1)


def _listed(row: Tensor) -> str:
    return ", ".join(f"{number:.3g}" for number in row.tolist())


def autocast_centers(peer: Peer) -> str:
    """Rows an eighth away from their centers: the product x c is rounded to bfloat16, and the squares cancel it."""
    loss, labels = peer.build(3, DIM), torch.tensor([0, 1, 2])
    centers = loss.get_parameter("centers").detach()
    inputs = (centers + 0.125).bfloat16()
    right = float((inputs.double() - centers.double()).square().sum(1).mean())
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(inputs, labels).item()
    _need(abs(found - right) > 2e-2 * right, f"{found} against {right}")
    return f"rows near their centers give {found:.4g} under bfloat16 autocast, {right:.4g} in float64"


def empty(peer: Peer) -> str:
    """A sum over nothing is 0."""
    torch.use_deterministic_algorithms(True)  # memory that nobody wrote is then NaN, and not what lay there before
    try:
        found = _value(peer, torch.zeros(0, DIM, dtype=torch.float64), torch.zeros(0, dtype=torch.int64))
    finally:
        torch.use_deterministic_algorithms(False)
    _need(found != 0, "an empty batch gives 0")
    return f"a batch of none gives {found}"


def unwritten(peer: Peer) -> str:
    """The same; without the deterministic mode, the answer is what lay in memory."""
    return f"{empty(peer)}, filled in by the deterministic mode: the operator returns memory it never wrote"


def extreme(peer: Peer) -> str:
    """Rows of norm 1e20, whose value is finite in float64; and of 1e-20, of which only the direction counts."""
    inputs, labels = _rows(peer, 4), [0, 0, 1, 2]
    full, single = _value(peer, 1e20 * inputs, labels), _value(peer, (1e20 * inputs).float(), labels)
    if not math.isfinite(single):
        _need(math.isfinite(full), f"{single} against {full}")
        return f"rows near 1e20 give {full:.3g} in float64, {single} in float32"
    right, tiny = _value(peer, inputs, labels), _value(peer, 1e-20 * inputs, labels)
    _need(math.isclose(_value(peer, 1e3 * inputs, labels), right), "it does not look at directions alone")
    _need(abs(tiny - right) > 1e-3 * abs(right), f"{tiny} against {right}")
    return f"rows times 1e-20 give {tiny:.4g}, rows as they are {right:.4g}: norms are cut off at 1e-12"


def nan_hidden(peer: Peer) -> str:
    """One NaN among the inputs must be seen in the value."""
    inputs, labels = _rows(peer, 6) + 3, [0, 0, 1, 1, 2, 2]  # moved, so that all lie in nearly one direction
    inputs[0, 0] = math.nan
    found, gradient = _value(peer, inputs, labels), _gradient(peer, inputs, labels)
    _need(math.isfinite(found), f"NaN gives {found}")
    return (
        f"a NaN in row 0 gives {found:.4g}, with NaN in the gradients of {int(gradient.isnan().any(1).sum())} of 6 rows"
    )


def shards(peer: Peer) -> str:
    """Weights 1/2, 1, 2: the mean of the halves of a batch against the batch, by the formula."""
    inputs, labels, weight = _rows(peer, 4), [0, 1, 2, 2], [0.5, 1.0, 2.0]

    def formula(part: slice) -> float:
        rows, own = inputs[part].tolist(), labels[part]
        costs = [math.log(sum(map(math.exp, z))) - z[y] for z, y in zip(rows, own, strict=True)]
        total = sum(weight[y] * cost for y, cost in zip(own, costs, strict=True))
        return float(total / sum(weight[y] for y in own))

    whole, halves = _value(peer, inputs, labels), (formula(slice(2)) + formula(slice(2, 4))) / 2
    _need(abs(whole - formula(slice(4))) < 1e-12 and abs(whole - halves) > 1e-3, f"{whole} against {halves}")
    return f"the batch gives {whole:.6g}, the mean of its halves {halves:.6g}: each is divided by its own weights"


def far(peer: Peer) -> str:
    """Rows and centers moved by 1e3: the distances stay."""
    loss, inputs, labels = peer.build(3, DIM), _rows(peer, 4), torch.tensor([0, 0, 1, 2])
    centers = loss.get_parameter("centers")
    centers.data = (centers.detach().double().mul(1024).round() / 1024 + 1000).float()
    batch = (inputs.mul(1024).round() / 1024 + 1000).float()
    right = float((batch.double() - centers.detach().double()[labels]).square().sum(1).mean())
    found = loss(batch, labels).item()
    _need(abs(found - right) > 1e-3 * right, f"{found} against {right}")
    return f"rows and centers near 1000 give {found:.5g} in float32, {right:.5g} as a sum of squares in float64"


def retyped(peer: Peer) -> str:
    """Parameters keep their dtype, whatever the inputs are."""
    loss = peer.build(3, DIM)
    loss(_rows(peer, 4), torch.tensor([0, 0, 1, 2]))
    kinds = {name: parameter.dtype for name, parameter in loss.named_parameters()}
    _need(torch.float64 in kinds.values(), f"parameters are in {kinds}")
    return "; ".join(f"one call with float64 turns {name} from float32 into {kind}" for name, kind in kinds.items())


def memory(peer: Peer) -> str:
    """Bytes that autograd keeps for the backward pass, at B and 2B."""

    def kept(size: int) -> int:
        found: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            found[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        inputs = _rows(peer, size).requires_grad_()
        labels = torch.arange(size) % 4
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            peer.value(peer.build(4, DIM), inputs, labels)
        return sum(found.values())

    small, large = kept(32), kept(64)
    exponent = math.log2(large / small)
    _need(exponent > 2.3, f"grows as B^{exponent:.2f}")
    return f"kept for backward: {small:,} bytes at B = 32, {large:,} at B = 64: B^{exponent:.1f}"


def wrong_labels(peer: Peer) -> str:
    """Labels that are no class of three."""
    inputs, found = _rows(peer, 4), []
    pairs = not peer.sized and peer.reads == "embeddings"  # which can't know how many classes there are
    for label in (-100,) if pairs else (3, -1, -100):
        found += _accepts(peer, f"label {label}", inputs, [0, 0, 1, label])
    _need(bool(found), "wrong labels are refused")
    right = _value(peer, inputs[:3], [0, 0, 1])
    return f"{', '.join(found)}; without that row it is {right:.4g}" + (
        f", with one more class {_value(peer, inputs, [0, 0, 1, 2]):.4g}" if pairs else ""
    )


def float_labels(peer: Peer) -> str:
    """Labels that are no whole numbers."""
    inputs = _rows(peer, 4)
    found = _accepts(peer, "labels [0.9, 0.9, 1.9, 1.2]", inputs, [0.9, 0.9, 1.9, 1.2])
    _need(bool(found), "labels of 0.9 are refused")
    return f"{found[0]}; [0, 0, 1, 1] gives {_value(peer, inputs, [0, 0, 1, 1]):.4g}"


def lengths(peer: Peer) -> str:
    """More labels than rows, and fewer."""
    inputs = _rows(peer, 4)
    found = _accepts(peer, "3 labels for 4 rows", inputs, [0, 0, 1])
    found += _accepts(peer, "1 label for 2 rows", inputs[:2], [0])
    found += _accepts(peer, "2 labels for 1 row", inputs[:1], [0, 1])
    _need(bool(found), "unequal lengths are refused")
    return ", ".join(found)


def rank(peer: Peer) -> str:
    """Inputs that are no matrix, labels that are no vector."""
    inputs = _rows(peer, 1)
    found = _accepts(peer, "labels of shape (1, 1)", inputs, [[0]]) if peer.name != "timm SoftTarget" else []
    found += _accepts(peer, "inputs of shape (3,)", inputs[0], [0]) + _accepts(
        peer, "inputs of shape (1,)", inputs[0, :1], [0]
    )
    found += _accepts(peer, "inputs of shape (1, 3, 1)", inputs.unsqueeze(2), [0])
    _need(bool(found), "wrong ranks are refused")
    return ", ".join(found)


def triplet_rank(peer: Peer) -> str:
    """Rows that are matrices: a distance is taken along the last axis of each."""
    inputs, labels = _rows(peer, 4), [0, 0, 1, 1]
    found = _accepts(peer, "inputs of shape (4, 3, 1)", inputs.unsqueeze(2), labels)
    _need(bool(found), "three axes are refused")
    return f"{found[0]}; inputs of shape (4, 3) give {_value(peer, inputs, labels):.4g}"


def hyperparameters(peer: Peer) -> str:
    """NaN for numbers, and "no" for flags, which then counts as yes."""
    kinds = inspect.getmro(peer.make) if isinstance(peer.make, type) else (peer.make,)  # some hand **kwargs on
    parameters = [p for kind in kinds for p in inspect.signature(kind).parameters.values()]
    names = {p.name: p.default for p in parameters if isinstance(p.default, bool | int | float)}
    names = names or {"label_smoothing": 0.0}  # a peer that fixes its own
    inputs, labels, found = _rows(peer, 4), [0, 0, 1, 2], []
    for name, default in names.items():
        try:
            value = _value(peer, inputs, labels, **{name: "no" if isinstance(default, bool) else math.nan})
            found.append(f"{name}={'no' if isinstance(default, bool) else 'nan'} gives {value:.4g}")
        except Exception:
            continue  # refused, at whichever time
    _need(bool(found), "bad hyper-parameters are refused")
    return f"{', '.join(found)}; the defaults {_value(peer, inputs, labels):.4g}"


def vector(peer: Peer) -> str:
    """A reduction that it does not know, and one that it should."""
    shapes = {}
    for word in ("sum", "no-such-word"):
        loss = peer.build(3, DIM, reduction=word)
        shapes[word] = tuple(peer.value(loss, _rows(peer, 4), torch.tensor([0, 0, 1, 2])).shape)
    _need(any(shapes.values()), f"shapes {shapes}")
    return f"with a batch of 4 the value has, by reduction, the shape {shapes}"


def rounds(peer: Peer) -> str:
    """log sum exp z - z_y + 2 (1 - p_y) over scalars, against the peer's float64."""
    z, y = [0.0, 0.25, -0.5], 2
    p = math.exp(z[y]) / sum(map(math.exp, z))
    right = -math.log(p) + 2 * (1 - p)
    found = _value(peer, torch.tensor([z], dtype=torch.float64), [y])
    _need(1e-10 < abs(found - right) < 1e-6, f"{found} against {right}")
    return f"float64 logits give {found:.10g}, by the formula {right:.10g}: it computes in float32"


OF_LAWS: Mapping[str, Callable[[Peer], str]] = {
    "all-zero": half_zeros,
    "one-zero-row": zero_row,
    "empty-batch": empty,
    "extreme-norms": extreme,
    "nan-surfaces": nan_hidden,
    "mean-of-rows": shards,
    "float32-far-from-the-origin": far,
    "half-precision": half_precision,
    "forward-changes-no-state": retyped,
    "equal-shards": shards,
    "memory-growth": memory,
    "label-out-of-range": wrong_labels,
    "float-labels": float_labels,
    "unequal-lengths": lengths,
    "wrong-rank": rank,
    "bad-hyperparameters": hyperparameters,
    "unknown-option": vector,
}
"""Law -> what confirms a violation by any peer."""

OF_PEERS: Mapping[tuple[str, str], Callable[[Peer], str]] = {
    **{
        ("timm PolyCE", law): rounds
        for law in (
            "gradient-of-inputs",
            "order-of-rows",
            "mean-of-rows",
            "renamed-classes",
            "only-equality-of-labels",
            "shift-of-logits",
            "larger-true-logit",
            "repeated-batch",
            "equal-shards",
        )
    },
    **{
        ("nn.Triplet", law): no_triplet([0])
        for law in ("gradient-of-inputs", "large-logits", "all-zero", "one-zero-row", "equal-rows", "batch-of-one")
    },
    ("nn.Triplet", "one-class"): no_triplet([0, 0]),
    ("nn.Triplet", "all-classes-distinct"): no_triplet([0, 1]),
    ("nn.Triplet", "absent-class"): no_triplet([1, 1]),
    ("nn.Triplet", "wrong-rank"): triplet_rank,
    ("nn.MultiMargin", "empty-batch"): unwritten,
    ("KZ Center", "half-precision"): autocast_centers,
}
"""(peer, law) -> what confirms it instead."""
