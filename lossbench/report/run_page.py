"""A page for one run: what was trained, how well, where it fails, and whether a threshold would do as well."""

from __future__ import annotations

from collections.abc import Sequence

from ..verdict.comparison import Comparison
from ..verdict.run_sentences import run_sentences
from . import sections
from .figures.one_run import lead_of_run
from .page import Head, made_sections, rendered
from .thumbnails import Gallery

_AGAINST = "What stands against it"
_LIMITS = {
    "interval": "Interval",
    "reference": "Constant answer",
    "failures": _AGAINST,
    "training": _AGAINST,
    "limit": _AGAINST,
}  # kind of a sentence -> heading on the first screen


def run_page(comparison: Comparison, galleries: Sequence[Gallery] = ()) -> str:
    """Return the HTML of a single run.

    Args:
        comparison: judged comparison of that run alone.
        galleries: images to embed.
    """
    decision, *told = run_sentences(comparison)
    head = Head(
        title="lossbench: a run",
        eyebrow="lossbench · run",
        decision=decision.text,
        limits=[(_LIMITS[sentence.kind], sentence.text) for sentence in told if sentence.kind in _LIMITS],
        findings=[sentence.text for sentence in told if sentence.kind not in _LIMITS],
        lead=lead_of_run(comparison),
    )
    made = made_sections(comparison, sections.RUN_SECTIONS, galleries, before="threshold")
    for section in made:  # the picture of the first screen is not repeated
        section["pictures"] = [picture for picture in section["pictures"] if picture.key != head.lead.key]
    return rendered(comparison, head, made)
