"""Files of phrases, and which answers hold phrases of which group.

A file of phrases is YAML:

    language: en
    gate: "sorry|cannot"            # optional; an answer without any of it is not looked at further
    words: {help: "(?:help|assist)"}    # optional; {help} in a pattern stands for this
    phrases:
      - name: cannot-help           # unique in its file
        kind: refusal               # a kind, or `answered` for what speaks against the others
        where: opening              # start | opening (default) | end | anywhere | prompt
        match: "I cannot {help}"    # RE2; case does not count
        sure: true                  # default; false: a hint that counts only beside others
        why: the plain refusal
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from axolotl_dealign.errors import ConfigError
from axolotl_dealign.registry import did_you_mean
from axolotl_dealign.types import KINDS, Kind

Where = Literal["start", "opening", "end", "anywhere", "prompt"]
WHERE: tuple[Where, ...] = get_args(Where)
Says = Kind | Literal["answered"]
SAYS: tuple[Says, ...] = (*KINDS, "answered")
Group = tuple[Says, bool, Where]
"""What phrases say, whether they are sure, and where they count."""

GROUPS: tuple[Group, ...] = tuple((says, sure, where) for where in WHERE for says in SAYS for sure in (True, False))

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Phrase:
    """One phrase and why it is there.

    Attributes:
        name: Unique within its file.
        language: ISO 639-1.
        kind: What an answer that holds it is; `answered`: it speaks against the others.
        where: The part in which it counts.
        match: RE2 without capturing groups; case does not count.
        sure: Whether it says so alone; otherwise only beside others.
        why: What it is meant to catch.
    """

    name: str
    language: str
    kind: Says
    where: Where
    match: str
    sure: bool
    why: str

    @property
    def group(self) -> Group:
        """Where it is counted."""
        return self.kind, self.sure, self.where


@dataclass(frozen=True, slots=True)
class PhraseFile:
    """The phrases of one language.

    Attributes:
        language: ISO 639-1.
        gate: RE2; "" lets everything through.
        phrases: In their order.
    """

    language: str
    gate: str
    phrases: tuple[Phrase, ...]

    def alternation(self, group: Group) -> str:
        """One RE2 for the phrases of a group; "" where it has none."""
        patterns = "|".join(phrase.match for phrase in self.phrases if phrase.group == group)
        return anchored(patterns, group[2]) if patterns else ""


def anchored(pattern: str, where: Where) -> str:
    """The pattern as it is searched for: `start` may follow marks and a short name ("Robot: …", "[Robot] …")."""
    if where != "start":
        return pattern
    # Letters by ranges: the tables of \pL make this pattern a hundred times dearer to compile.
    skip = r"[^a-z0-9\x{C0}-\x{1FFF}\x{3040}-\x{D7FF}]*"
    return rf"\A{skip}(?:[a-z0-9 .#_-]{{1,24}}[\])*]*(?::|[\])]){skip})?(?:{pattern})"


def matches(texts: pa.Array, pattern: str) -> Bools:
    """Which texts match, in any case."""
    return np.asarray(pc.match_substring_regex(texts, pattern, ignore_case=True).to_numpy(zero_copy_only=False), bool)


@lru_cache(maxsize=8)
def load_phrases(languages: tuple[str, ...] | None = None) -> tuple[PhraseFile, ...]:
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
    chosen = sorted(known if languages is None else set(languages))
    return tuple(_read(known[language].read_text("utf-8"), known[language].name) for language in chosen)


def read_phrases(text: str, name: str) -> PhraseFile:
    """Read a file of phrases.

    Args:
        text: Its content.
        name: What errors call it.

    Raises:
        ConfigError: The file does not have the shape shown above, or a pattern is no RE2.
    """
    file = _read(text, name)
    _compile(file.gate, f"{name}: gate")
    for phrase in file.phrases:
        _compile(phrase.match, f"{name}: phrase {phrase.name}")
    return file


def _read(text: str, name: str) -> PhraseFile:
    """Without trying the patterns, which takes longer than all the rest and is done for the shipped ones by a test."""
    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: no YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, Mapping) or not {"language", "phrases"} <= content.keys():
        raise ConfigError(f"{name}: a file of phrases needs the keys `language` and `phrases`")
    if unknown := content.keys() - {"language", "gate", "words", "phrases"}:
        known = ["language", "gate", "words", "phrases"]
        raise ConfigError(f"{name}: unknown key `{sorted(unknown)[0]}`{did_you_mean(sorted(unknown)[0], known)}")
    words: dict[str, str] = {}
    for word, pattern in (content.get("words") or {}).items():
        words[word] = _fill(str(pattern), words, f"{name}: word {word}")
    gate = _fill(str(content.get("gate") or ""), words, f"{name}: gate")
    language = str(content["language"])
    entries = content["phrases"] or []
    phrases = tuple(_phrase(entry, words, language, f"{name}: phrase {i}") for i, entry in enumerate(entries, 1))
    return PhraseFile(language, gate, phrases)


def _phrase(entry: Any, words: Mapping[str, str], language: str, place: str) -> Phrase:
    if not isinstance(entry, Mapping) or not {"name", "kind", "match"} <= entry.keys():
        raise ConfigError(f"{place} needs the keys `name`, `kind` and `match`")
    place += f" ({entry['name']})"
    if unknown := entry.keys() - {"name", "kind", "match", "where", "sure", "why"}:
        known = ["name", "kind", "match", "where", "sure", "why"]
        raise ConfigError(f"{place}: unknown key `{sorted(unknown)[0]}`{did_you_mean(sorted(unknown)[0], known)}")
    where, kind = entry.get("where", "opening"), entry["kind"]
    if kind not in SAYS:
        raise ConfigError(f"{place}: unknown kind `{kind}`{did_you_mean(str(kind), SAYS)}")
    if where not in WHERE:
        raise ConfigError(f"{place}: unknown place `{where}`{did_you_mean(str(where), WHERE)}")
    match = f"(?:{_fill(str(entry['match']), words, place)})"
    sure, why = entry.get("sure", True), str(entry.get("why", ""))
    return Phrase(str(entry["name"]), language, kind, where, match, bool(sure), why)


def _compile(pattern: str, place: str) -> None:
    try:
        pc.match_substring_regex(pa.array([""]), pattern, ignore_case=True)
    except pa.ArrowInvalid as error:
        raise ConfigError(f"{place}: no RE2 ({' '.join(str(error).split())})") from None


def _fill(pattern: str, words: Mapping[str, str], place: str) -> str:
    def word(match: re.Match[str]) -> str:
        if match[1] not in words:
            raise ConfigError(f"{place}: unknown word `{{{match[1]}}}`{did_you_mean(match[1], list(words))}")
        return words[match[1]]

    return re.sub(r"\{([a-z_]+)\}", word, pattern)


def hits(files: Sequence[PhraseFile], texts: Mapping[Where, pa.Array], groups: Sequence[Group] = GROUPS) -> Bools:
    """Which texts hold phrases of which group.

    Args:
        files: The phrases.
        texts: The texts in which each place is looked for: large_string, n each, no nulls. Places that are missing
            are not looked for.
        groups: The groups asked for.

    Returns:
        bool, shape (n, len(groups)).
    """
    count = len(next(iter(texts.values())))
    found = np.zeros((count, len(groups)), bool)
    for file in files:
        for where, column in texts.items():
            wanted = [(i, p) for i, g in enumerate(groups) if g[2] == where and (p := file.alternation(g))]
            if not wanted:
                continue
            rows = np.flatnonzero(matches(column, file.gate)) if file.gate else np.arange(count)
            if not len(rows):
                continue
            some = column if len(rows) == count else column.take(pa.array(rows))
            for i, pattern in wanted:
                found[rows, i] |= matches(some, pattern)
    return found
