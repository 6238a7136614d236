"""The detector of phrases alone: no model, every verdict a phrase that a person can read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from axolotl_dealign.detectors.phrasebook import GROUPS, Bools, PhraseFile, anchored, hits, load_phrases
from axolotl_dealign.detectors.text import EDGE, parts_of, places, straighten
from axolotl_dealign.types import KINDS, Detection, Scores, Span

SURE, HINT = 0.9, 0.25
"""Score of a kind of which an answer holds a phrase that says so alone, or only beside others."""

_FIRST = np.array([1.0, 1.01, 1.01, 1.02, 1.0])
"""Which kind an answer is when it holds phrases of several as sure: the more specific one."""

_VERSION = 2
"""Raise it when the same phrases would give other scores."""


class PhraseDetector:
    """Finds aligned answers by phrases.

    Args:
        languages: Which of the shipped lists to use; all by default.
    """

    def __init__(self, languages: Sequence[str] | None = None) -> None:
        self.files = load_phrases(None if languages is None else tuple(languages))

    @property
    def fingerprint(self) -> str:
        """Hash of the phrases and of what this module makes of them."""
        says = [_VERSION, SURE, HINT, EDGE, [asdict(file) for file in self.files]]
        return hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()[:16]

    def detect(self, answers: pa.Array, prompts: pa.Array | None) -> Detection:
        """Score answers; prompts are not looked at.

        Args:
            answers: pa.large_string(), n; nulls allowed.
            prompts: Ignored.

        Returns:
            Detection of n rows; an answer that is null or blank scores 0 everywhere.
        """
        parts = parts_of(answers)
        found = hits(self.files, {"start": parts.head, "opening": parts.head, "end": parts.tail})
        scores: Scores = np.zeros((len(answers), len(KINDS)), np.float32)
        some = np.flatnonzero(found.any(axis=1))
        if not len(some):
            return Detection(scores)
        take = pa.array(some)
        found = found[some] | hits(self.files, {"anywhere": parts.whole.take(take)})
        long = pc.utf8_length(parts.whole.take(take)).to_numpy() > EDGE
        scores[some] = _weigh(found, long)
        spans = {}
        shown = np.flatnonzero(scores[some].sum(axis=1) >= 0.2)
        texts = parts.whole.take(pa.array(some[shown])).to_pylist()
        for i, text in zip(some[shown].tolist(), texts, strict=True):
            spans[i] = phrase_span(self.files, text, int(scores[i].argmax()))
        return Detection(scores, spans)


def _weigh(found: Bools, long: Bools) -> Scores:
    """Scores of answers by the groups whose phrases they hold.

    Args:
        found: bool, (n, len(GROUPS)).
        long: bool, n: there is room for an answer behind a disclaimer.
    """

    def holds(says: str, sure: bool) -> Bools:
        columns = [i for i, group in enumerate(GROUPS) if group[:2] == (says, sure)]
        return np.asarray(found[:, columns].any(axis=1))

    each = np.stack([np.where(holds(k, True), SURE, np.where(holds(k, False), HINT, 0.0)) for k in KINDS], axis=1)
    against = np.where(holds("answered", True), 0.2, np.where(holds("answered", False), 0.7, 1.0))
    turns = holds("hedged", True) & long
    each *= _FIRST
    each[:, :-1] *= (against * np.where(turns, 0.2, 1.0))[:, None]
    each[:, -1] = np.where(turns, SURE, 0.0)
    # The kinds exclude each other: what several say together is shared out among them.
    together = 1 - np.prod(1 - each, axis=1, keepdims=True)
    share = each**40 / np.maximum((each**40).sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(together * share, np.float32)


def phrase_span(files: Sequence[PhraseFile], text: str, kind: int) -> Span:
    """The first phrase of a kind in a text that was found to hold one.

    Args:
        files: The phrases.
        text: The answer as it came.
        kind: Index into `KINDS`.
    """
    head, tail = text[:EDGE], text[-EDGE:]
    for sure in (True, False):
        for where, part, start in (("opening", head, 0), ("end", tail, len(text) - len(tail)), ("anywhere", text, 0)):
            straight = straighten(part)
            best: tuple[int, int, str] | None = None
            for name, pattern in _python(tuple(files), KINDS[kind], sure, where):
                match = pattern.search(straight)
                if match and (best is None or match.start() < best[0]):
                    best = (match.start(), match.end(), name)
            if best:
                back = places(part, straight)
                begin, end = (back[best[0]], back[best[1]]) if back else (0, len(part))
                return Span(start + begin, start + end, best[2])
    # RE2 and Python read a few characters differently (\b beside letters that are not ASCII).
    return Span(0, 0, f"a phrase of kind {KINDS[kind]}")


@lru_cache(maxsize=256)
def _python(files: tuple[PhraseFile, ...], kind: str, sure: bool, where: str) -> list[tuple[str, re.Pattern[str]]]:
    found = []
    for file in files:
        for phrase in file.phrases:
            place = "opening" if phrase.where == "start" else phrase.where
            if (phrase.kind, phrase.sure, place) == (kind, sure, where):
                pattern = re.sub(
                    r"\\x\{([0-9A-Fa-f]+)\}", lambda m: chr(int(m[1], 16)), anchored(phrase.match, phrase.where)
                )
                found.append((f"{phrase.name} ({file.language})", re.compile(pattern, re.IGNORECASE)))
    return found
