"""Phrases in RE2 over whole Arrow columns.

One alternation a place (start, opening, end, anywhere) finds the rows that hold any phrase; which phrase it was,
where it stands and whether an answer follows is looked at on those rows only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from axolotl_dealign.errors import ConfigError
from axolotl_dealign.registry import did_you_mean
from axolotl_dealign.types import KINDS, Detection, Kind, Scores, Span

Where = Literal["start", "opening", "end", "anywhere"]
WHERE: tuple[Where, ...] = get_args(Where)

EDGE = 300
"""Code points of an answer that count as its opening, and as its end."""

HIT = 0.9
"""Score of the kind that the phrases of an answer name. Not 1: phrases cannot see what they do not know."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One phrase and why it is there.

    Attributes:
        name: Unique within its language.
        language: ISO 639-1.
        kind: What an answer that holds it is.
        where: The part of the answer in which it counts.
        match: RE2 without capturing groups; case does not count.
        why: What it is meant to catch.
    """

    name: str
    language: str
    kind: Kind
    where: Where
    match: str
    why: str


class PhraseDetector:
    """Finds aligned answers by phrases, without a model.

    Args:
        languages: Which of the shipped lists to use; all by default.
    """

    def __init__(self, languages: Sequence[str] | None = None) -> None:
        self.phrases = load_phrases(languages)
        self._kinds = {kind: [p for p in self.phrases if p.kind == kind] for kind in KINDS}
        self._python = [(phrase, re.compile(phrase.match, re.IGNORECASE)) for phrase in self.phrases]

    @property
    def fingerprint(self) -> str:
        """Hash of the phrases and of what this module makes of them."""
        says = [_VERSION, HIT, EDGE, [asdict(phrase) for phrase in self.phrases]]
        return hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()[:16]

    def detect(self, answers: pa.Array, prompts: pa.Array | None) -> Detection:
        """Score answers; prompts are not looked at.

        Args:
            answers: pa.large_string(), n; nulls allowed.
            prompts: Ignored.

        Returns:
            Detection of n rows. An answer that is null or blank is `incapable` of nothing: it scores 0 everywhere.
        """
        answers = valid_utf8(answers)
        scores: Scores = np.zeros((len(answers), len(KINDS)), np.float32)
        some = np.flatnonzero(self._match(answers, [p for p in self.phrases if p.kind != "hedged"]))
        texts = answers.take(pa.array(some))
        found = np.full(len(some), -1)
        for kind in reversed(_PRECEDENCE):
            found[self._match(texts, self._kinds[kind])] = KINDS.index(kind)
        answer_follows = self._match(texts, self._kinds["hedged"]) & (pc.utf8_length(texts).to_numpy() > EDGE)
        found[answer_follows] = KINDS.index("hedged")
        scores[some, found] = HIT
        spans = {}
        for i, kind_index, text in zip(some.tolist(), found.tolist(), texts.to_pylist(), strict=True):
            spans[i] = self._span(text, KINDS[kind_index])
        return Detection(scores, spans)

    @staticmethod
    def _match(texts: pa.Array, phrases: Iterable[Phrase]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which texts hold one of the phrases in its place."""
        hits = np.zeros(len(texts), bool)
        for where in WHERE:
            patterns = [phrase.match for phrase in phrases if phrase.where == where]
            if not patterns:
                continue
            pattern = "|".join(patterns)
            if where == "start":
                pattern = rf"\A[^\pL\pN]*(?:{pattern})"
            found = pc.match_substring_regex(_part(texts, where), pattern, ignore_case=True)
            hits |= pc.fill_null(found, False).to_numpy(zero_copy_only=False)
        return hits

    def _span(self, text: str, kind: Kind) -> Span:
        best: tuple[int, int, str] | None = None
        for phrase, pattern in self._python:
            if phrase.kind != kind:
                continue
            match = pattern.search(text, *_limits(phrase.where, len(text)))
            if match and (best is None or match.start() < best[0]):
                best = (match.start(), match.end(), f"{phrase.name} ({phrase.language})")
        # RE2 and Python read a few characters differently (\b beside letters that are not ASCII).
        return Span(*best) if best else Span(0, 0, f"a phrase of kind {kind}")


_PRECEDENCE: tuple[Kind, ...] = ("incapable", "refusal", "deflection", "moralizing")
"""Which kind an answer is when it holds phrases of several."""

_VERSION = 1
"""Raise it when the same phrases would give other scores."""


def load_phrases(languages: Sequence[str] | None = None) -> list[Phrase]:
    """The shipped phrases.

    Args:
        languages: ISO 639-1 codes; None for all.

    Raises:
        ConfigError: There is no list for a language.
    """
    folder = resources.files("axolotl_dealign.detectors") / "data" / "phrases"
    known = {Path(entry.name).stem: entry for entry in folder.iterdir() if entry.name.endswith(".yml")}
    for language in languages or ():
        if language not in known:
            raise ConfigError(f"no phrases for the language `{language}`{did_you_mean(language, list(known))}")
    return [
        phrase
        for language in sorted(known if languages is None else set(languages))
        for phrase in read_phrases(known[language].read_text("utf-8"), known[language].name)
    ]


def read_phrases(text: str, name: str) -> list[Phrase]:
    """Read a file of phrases: YAML with `language`, `words` (optional) and `phrases`.

    Args:
        text: Its content.
        name: What errors call it.

    Raises:
        ConfigError: The file does not have this shape, or a pattern is no RE2.
    """
    content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if not isinstance(content, Mapping) or not {"language", "phrases"} <= content.keys():
        raise ConfigError(f"{name}: a file of phrases needs the keys `language` and `phrases`")
    words: dict[str, str] = {}
    for word, pattern in (content.get("words") or {}).items():
        words[word] = _fill(pattern, words, f"{name}: word {word}")
    phrases = []
    for number, entry in enumerate(content["phrases"], 1):
        place = f"{name}: phrase {number}"
        if not isinstance(entry, Mapping) or not {"name", "kind", "match"} <= entry.keys():
            raise ConfigError(f"{place} needs the keys `name`, `kind` and `match`")
        place += f" ({entry['name']})"
        where, kind = entry.get("where", "opening"), entry["kind"]
        if kind not in KINDS:
            raise ConfigError(f"{place}: unknown kind `{kind}`{did_you_mean(str(kind), KINDS)}")
        if where not in WHERE:
            raise ConfigError(f"{place}: unknown place `{where}`{did_you_mean(str(where), WHERE)}")
        match = _fill(str(entry["match"]), words, place)
        try:
            pc.match_substring_regex(pa.array([""]), match, ignore_case=True)
        except pa.ArrowInvalid as error:
            raise ConfigError(f"{place}: `match` is no RE2 ({error})") from None
        phrases.append(Phrase(entry["name"], content["language"], kind, where, f"(?:{match})", entry.get("why", "")))
    return phrases


def valid_utf8(texts: pa.Array) -> pa.Array:
    """The texts as valid UTF-8: Arrow lets bytes pass that are none, and its own string functions fail on them."""
    try:
        pc.utf8_length(texts).validate()
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raw = texts.cast(pa.large_binary()).to_pylist()
        return pa.array([None if b is None else b.decode("utf-8", "replace") for b in raw], pa.large_string())
    return texts


def _fill(pattern: str, words: Mapping[str, str], place: str) -> str:
    def word(match: re.Match[str]) -> str:
        if match[1] not in words:
            raise ConfigError(f"{place}: unknown word `{{{match[1]}}}`{did_you_mean(match[1], list(words))}")
        return words[match[1]]

    return re.sub(r"\{([a-z_]+)\}", word, pattern)


def _part(texts: pa.Array, where: Where) -> pa.Array:
    if where == "anywhere":
        return texts
    return pc.utf8_slice_codeunits(texts, *((-EDGE, None) if where == "end" else (0, EDGE)))


def _limits(where: Where, length: int) -> tuple[int, int]:
    if where == "anywhere":
        return 0, length
    return (max(0, length - EDGE), length) if where == "end" else (0, min(EDGE, length))
