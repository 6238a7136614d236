"""The questions that two arms answered differently, each with both raw answers."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from axolotl_dealign.report.blocks import Flips, Section
from axolotl_dealign.report.model import Report, Result
from axolotl_dealign.report.text import visible
from axolotl_dealign.report.words import count
from axolotl_dealign.results import question, read_line
from axolotl_dealign.types import JSON

MOST = 5000
"""Flipped questions embedded in report.html."""

TEXT = 1500
"""Characters shown of a question and of an answer."""


def flipped(report: Report) -> Section | None:
    """A viewer of flipped questions, of the first training of each arm."""
    if report.main is None:
        return None
    places = [
        (result, i)
        for result in report.results
        if report.main in result.scores
        for i in np.flatnonzero(result.scores[report.main][0] != result.scores[report.reference][0]).tolist()
    ]
    # Evenly over all benchmarks, not the first ones whole.
    chosen = sorted({round(i) for i in np.linspace(0, len(places) - 1, min(len(places), MOST)).tolist()})
    records = [_record(places[i][0], places[i][1], report.main, report.reference) for i in chosen]
    once = " Of the first training of each arm." if report.several else ""
    text = f"{report.main} and {report.reference} score differently on {count(len(places), 'question')}.{once}"
    if len(places) > MOST:
        text += f" {MOST:,} of them are here, evenly over the benchmarks; the samples of lm-eval hold all."
    if not places:
        return Section("flipped", "Flipped questions", [text], {"flipped": 0})
    return Section(
        "flipped",
        "Flipped questions",
        [text, Flips(report.main, report.reference, records, len(places))],
        {"flipped": len(places)},
    )


def _record(result: Result, place: int, first: str, second: str) -> JSON:
    task = result.tasks[place]
    lines = []
    for arm in (first, second):
        part = result.samples[arm][0][task]
        lines.append(read_line(part, result.rows[arm][0][place]))
    return {
        "b": result.benchmark.name,
        "t": task,
        "i": int(lines[0]["doc_id"]),
        "q": visible(_asked(lines[0]), TEXT),
        "a": visible(str(lines[0].get("target", "")), TEXT),
        "x": [_side(result, arm, place, line) for arm, line in zip((first, second), lines, strict=True)],
        "u": _better(result, place, first, second),
    }


def _side(result: Result, arm: str, place: int, line: JSON) -> JSON:
    refused = result.refused[arm][0, place] if arm in result.refused else math.nan
    return {
        "s": float(result.scores[arm][0, place]),
        "r": None if math.isnan(refused) else int(refused > 0),
        "o": visible(_output(line), TEXT),
    }


def _better(result: Result, place: int, first: str, second: str) -> bool:
    return bool((result.scores[first][0, place] > result.scores[second][0, place]) == result.benchmark.higher_is_better)


def _asked(line: JSON) -> str:
    """The end of the prompt: from the question on where it is found, without the shots before it."""
    prompt = _text(next(iter(line["arguments"].values()))["arg_0"])
    asked = question(line)
    start = prompt.rfind(asked) if asked else -1
    if start >= 0:
        return prompt[start:]
    return prompt if len(prompt) <= TEXT else f"…{prompt[-TEXT + 1 :]}"


def _output(line: JSON) -> str:
    """What was generated; of choices scored by likelihood, the most likely."""
    arguments = list(line["arguments"].values())
    if isinstance(arguments[0].get("arg_1"), str) and len(arguments) == len(line["resps"]):
        likelihoods = [float(resp[0][0]) for resp in line["resps"]]
        return f"most likely:{_text(arguments[int(np.argmax(likelihoods))]['arg_1'])}"
    first = line["resps"][0]
    return _text(first[0] if isinstance(first, list) and first else first)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
