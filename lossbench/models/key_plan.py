"""Match the tensors of a file with those of a backbone: which are taken, left out, missing or of another shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError, some
from .check_tensors import Form, form_problem, value_problem

# Steps in front of a backbone's names that wrappers of models add: DataParallel, torch.compile, and heads around it.
_WRAPPERS = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.")
_MOST_WRAPPERS = 3  # of one name
_COUNTER = "num_batches_tracked"  # counter of batch normalization, written by torch since 0.4.1; it starts at 0
_SHOWN = 10  # names in one message


@dataclass(frozen=True, kw_only=True)
class KeyPlan:
    """The tensors of a file beside those of a backbone.

    Attributes:
        prefix: start of the names in the file that the backbone's names follow, such as "state_dict.module.".
        others: other prefixes under which the file has as many of the backbone's tensors.
        taken: name in the file -> name in the backbone.
        left_out: names in the file that the backbone does not have, such as those of a classifier.
        missing: names in the backbone that the file does not have.
        mismatched: name in the file -> what differs from the backbone's tensor.
    """

    prefix: str
    others: tuple[str, ...]
    taken: dict[str, str]
    left_out: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: dict[str, str]

    @property
    def fills(self) -> bool:
        """Whether the backbone receives all of its tensors from the file."""
        return not self.missing and not self.mismatched

    @property
    def differences(self) -> list[str]:
        """What the backbone does not receive, one phrase per tensor."""
        return [*(f"{name} is missing" for name in self.missing), *self.mismatched.values()]

    def invalid(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Return the taken tensors with non-finite values or negative variances, one phrase per tensor."""
        return [problem for name in self.taken if (problem := value_problem(name, tensors[name]))]

    def state(self, tensors: Mapping[str, Tensor], forms: Mapping[str, Form]) -> dict[str, Tensor]:
        """Return the taken tensors under the backbone's names in the backbone's precision, and counters of 0.

        Args:
            tensors: tensors of the file.
            forms: expected forms by the backbone's names.
        """
        state = {own: tensors[name].to(_widened(tensors[name].dtype)) for name, own in self.taken.items()}
        counters = {n: torch.zeros(f.shape, dtype=f.dtype) for n, f in forms.items() if n.endswith(_COUNTER)}
        return state | counters

    def summary(self) -> str:
        """Return the plan in one sentence.

        Example:
            >>> plan_keys({"module.a": torch.zeros(2), "module.fc": torch.zeros(2)}, {"a": Form((2,))}).summary()
            "1 tensor taken, without the prefix 'module.'; 1 left out (module.fc)"
        """
        parts = [f"{len(self.taken):,} tensor{'s' * (len(self.taken) != 1)} taken"]
        if self.prefix:
            parts[0] += f", without the prefix {self.prefix!r}"
        for names, what in (
            (self.left_out, "left out"),
            (self.missing, "missing"),
            ((*self.mismatched,), "mismatched"),
        ):
            if names:
                parts.append(f"{len(names):,} {what} ({some(names, 4)})")
        if self.others:
            parts.append(f"as many are under {' and '.join(map(repr, self.others))}: see --weights-prefix")
        return "; ".join(parts)

    def content(self) -> dict[str, Any]:
        """Return the plan for a record."""
        return {
            "prefix": self.prefix or None,
            "taken": len(self.taken),
            "left_out": self.left_out,
            "missing": self.missing,
            "mismatched": (*self.mismatched.values(),),
        }


def plan_keys(
    tensors: Mapping[str, Tensor],
    forms: Mapping[str, Form],
    *,
    groups: Collection[str] = (),
    prefix: str | None = None,
) -> KeyPlan:
    """Plan which tensors of a file fill a backbone.

    Without `prefix`, the prefix is the one under which most of the backbone's tensors are found in their shapes: a
    group of the file, wrappers such as "module." and "backbone.", or both. Of equally good ones, averaged weights (a
    group with "ema" in its name) come first, as in timm, and then the shortest.

    Args:
        tensors: tensors of the file; those of a group are named "group.tensor".
        forms: expected forms by the backbone's names.
        groups: names of the dictionaries of tensors within the file, such as "state_dict".
        prefix: start of the names in the file; None to find it.

    Raises:
        ModelError: no name starts with `prefix`.
    """
    wanted = {name: form for name, form in forms.items() if not name.endswith(_COUNTER)}
    given = [name for name in tensors if not name.endswith(_COUNTER)]
    if prefix is not None and not any(name.startswith(prefix) for name in given):
        starts = sorted({name.partition(".")[0] + "." for name in given if "." in name})
        raise ModelError(f"no tensor's name starts with {prefix!r}; the names start with {some(starts, _SHOWN)}")
    possible = _prefixes(given, groups) if prefix is None else [prefix]
    fitting = {p: sum(_fits(tensors.get(p + name), form) for name, form in wanted.items()) for p in possible}
    named = {p: sum(p + name in tensors for name in wanted) for p in possible}
    best = max(possible, key=lambda p: (fitting[p], named[p], "ema" in p.lower(), -len(p)))
    found = {name: best + name for name in wanted if best + name in tensors}
    forms_found = {full: Form(tuple(tensors[full].shape), _widened(tensors[full].dtype)) for full in found.values()}
    problems = {
        full: problem
        for name, full in found.items()
        if (problem := form_problem(full, forms_found[full], wanted[name]))
    }
    return KeyPlan(
        prefix=best,
        others=tuple(p for p in possible if p != best and fitting[p] == fitting[best] > 0),
        taken={full: name for name, full in found.items() if full not in problems},
        left_out=tuple(sorted(set(given) - set(found.values()))),
        missing=tuple(name for name in wanted if name not in found),
        mismatched=problems,
    )


def most_common_prefix(names: Iterable[str], forms: Mapping[str, Form]) -> tuple[str, int]:
    """Return the start of names, up to a dot, that most of the backbone's names follow, and their number.

    Example:
        >>> most_common_prefix(["student.a", "student.b", "head.a"], {"a": Form((2,)), "b": Form((2,))})
        ('student.', 2)
    """
    found = Counter[str]()
    for name in names:
        dots = [place for place, letter in enumerate(name) if letter == "."]
        found.update(name[: dot + 1] for dot in dots if name[dot + 1 :] in forms)
    return max(found.items(), key=lambda item: (item[1], -len(item[0])), default=("", 0))


def _widened(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _fits(tensor: Tensor | None, form: Form) -> bool:
    return tensor is not None and tuple(tensor.shape) == form.shape


def _prefixes(names: Iterable[str], groups: Collection[str]) -> list[str]:
    """Return the possible prefixes: a group or none, followed by up to `_MOST_WRAPPERS` wrappers."""
    names = list(names)
    possible = dict.fromkeys(["", *(f"{group}." for group in groups)])
    latest = list(possible)
    for _ in range(_MOST_WRAPPERS):
        longer = dict.fromkeys(start + wrapper for start in latest for wrapper in _WRAPPERS)
        latest = [p for p in longer if p not in possible and any(name.startswith(p) for name in names)]
        possible |= dict.fromkeys(latest)
    return list(possible)
