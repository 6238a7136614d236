"""Rows of an audit on the terminal, or as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from axolotl_dealign.report.text import visible
from axolotl_dealign.types import JSON

AROUND = 400
"""Characters of an answer shown before and after the match."""

PROMPT = 300
"""Characters of a prompt shown."""


def show(rows: Iterable[JSON], limit: int) -> tuple[int, int]:
    """Print rows, and count those behind the limit.

    Returns:
        How many were shown, how many there are.
    """
    console = Console(highlight=False)
    found = 0
    for row in rows:
        found += 1
        if found <= limit:
            console.print(_card(row), soft_wrap=False)
    return min(found, limit), found


def print_json(rows: Iterable[JSON], limit: int | None) -> None:
    """Print rows as a JSON array, one a line."""
    text = "[\n"
    for number, row in enumerate(rows):
        if limit is not None and number >= limit:
            break
        click.echo(text + json.dumps(plain(row), ensure_ascii=True, default=str), nl=False)
        text = ",\n"
    click.echo("[]" if text == "[\n" else "\n]")


def plain(value: Any) -> Any:
    """The same for JSON, which has no NaN and no infinity."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def around(answer: str, start: int, end: int, most: int) -> tuple[str, str, str]:
    """An answer in three parts: before the match, the match, after it; `most` characters of the outer ones.

    What was left out is told; control characters are shown as what they are.
    """
    before, match, after = answer[:start], answer[start:end], answer[end:]
    hidden = max(0, len(before) - most)
    lead = f"[{hidden:,} more characters] … " if hidden else ""
    return lead + visible(before[hidden:]), visible(match, most), visible(after, most)


def _card(row: JSON) -> Text:
    score = "" if row["_score"] is None else f" {row['_score']:.2f}"
    card = Text(f"{row['_kind']}{score}", style="bold")
    card.append(f"  {visible(row['_dataset'])} ({visible(row['_split'])}) row {row['_row']}  {row['_action']}", "none")
    why = ": ".join(part for part in (row["_detector"], row["_reason"]) if part)
    card.append(f"  {visible(why)}  {row['_hash']}\n", style="dim")
    if row["_prompt"]:
        card.append(f"{visible(row['_prompt'], PROMPT)}\n", style="italic dim")
    before, match, after = around(row["_answer"] or "", row["_start"], row["_end"], AROUND)
    card.append(before).append(match, style="black on yellow").append(f"{after}\n")
    return card
