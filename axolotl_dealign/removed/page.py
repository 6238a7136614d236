"""A page to review the rows of an audit: one file that loads nothing, sends nothing, and runs only its own script."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.resources import files
from itertools import islice
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from axolotl_dealign import __version__
from axolotl_dealign.audit import whole
from axolotl_dealign.errors import DealignError
from axolotl_dealign.removed.show import around
from axolotl_dealign.report.render import _digest as digest
from axolotl_dealign.report.render import embedded
from axolotl_dealign.report.text import visible
from axolotl_dealign.types import JSON

MOST = 5000
"""Rows on a page unless the user asks for more."""

TEXT = 3000
"""Characters shown of a prompt, of the rest of a row, and of an answer on each side of the match."""


def write_page(rows: Iterable[JSON], output: Path, limit: int | None) -> tuple[int, int]:
    """Write the page.

    Returns:
        How many rows are on it, how many match.

    Raises:
        DealignError: None matches, or the page cannot be written.
    """
    found = iter(rows)
    records = [_record(row) for row in islice(found, MOST if limit is None else limit)]
    if not records:
        raise DealignError("no row of the audit matches; nothing was written")
    total = len(records) + sum(1 for _ in found)
    shared = (files("axolotl_dealign.report") / "templates" / "report.css").read_text("utf-8")
    own = files("axolotl_dealign.removed") / "templates"
    css = shared + (own / "review.css").read_text("utf-8")
    script = (own / "review.js").read_text("utf-8")
    environment = Environment(
        loader=PackageLoader("axolotl_dealign.removed"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    html = environment.get_template("review.html.j2").render(
        total=total,
        shown=len(records),
        records=embedded(records),
        css=Markup(css),
        script=Markup(script),
        csp=f"default-src 'none'; style-src {digest(css)}; script-src {digest(script)}; base-uri 'none'; "
        "form-action 'none'",
        version=__version__,
    )
    whole(output, lambda part: part.write_text(html, "utf-8"))
    return len(records), total


def _record(row: JSON) -> JSON:
    """A row as review.js reads it: h hash, d dataset, k kind, s score, c action, w why, p prompt, a answer in three."""
    why = ": ".join(part for part in (row["_detector"], row["_reason"]) if part)
    return {
        "h": row["_hash"],
        "d": visible(f"{row['_dataset']} ({row['_split']}), row {row['_row']}"),
        "k": row["_kind"],
        "s": row["_score"],
        "c": row["_action"],
        "w": visible(why),
        "p": visible(row["_prompt"] or "", TEXT),
        "a": around(row["_answer"] or "", row["_start"], row["_end"], TEXT),
        "r": visible(json.dumps(row["row"], indent=1, ensure_ascii=False, default=str), TEXT),
    }
