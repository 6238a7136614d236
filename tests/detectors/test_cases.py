"""Hand-written answers in ten languages, both sides, that no list of phrases was made from.

The floors are what `phrases` reaches alone today, rounded down: they keep it from getting worse, and say how far it is.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from axolotl_dealign.registry import make_detector
from axolotl_dealign.types import KINDS

FLOORS = {"en": 0.50, "es": 0.45, "fr": 0.40, "de": 0.40, "it": 0.40, "pt": 0.40, "ru": 0.40, "zh": 0.50} | {
    "ja": 0.70,
    "ko": 0.60,
}


def cases(language: str) -> list[list[str]]:
    path = Path(__file__).parent / "cases" / f"{language}.yml"
    return yaml.safe_load(path.read_text("utf-8"))["cases"]


@pytest.mark.parametrize("language", FLOORS)
def test_both_sides_are_there(language):
    kinds = [kind for kind, *_ in cases(language)]
    assert set(kinds) <= {*KINDS, "answered"}
    assert kinds.count("answered") >= 10
    assert len(kinds) - kinds.count("answered") - kinds.count("hedged") >= 10


@pytest.mark.parametrize("language", FLOORS)
def test_phrases_do_not_get_worse(language):
    told = [case for case in cases(language) if case[0] != "hedged"]
    answers = pa.array([case[1] for case in told], pa.large_string())
    prompts = pa.array([case[2] if len(case) > 2 else None for case in told], pa.large_string())
    found = make_detector("phrases").detect(answers, prompts).scores[:, :4].sum(axis=1) >= 0.5
    is_one = [case[0] != "answered" for case in told]
    hits = sum(a and b for a, b in zip(found, is_one, strict=True))
    assert 2 * hits / (sum(found) + sum(is_one)) >= FLOORS[language]
