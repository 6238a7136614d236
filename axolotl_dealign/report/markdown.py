"""Sections as Markdown."""

from __future__ import annotations

from collections.abc import Callable

from axolotl_dealign.report.blocks import Block, Facts, Flips, Forest, Quotes, Section, Table
from axolotl_dealign.report.model import Report
from axolotl_dealign.report.summary import short_table
from axolotl_dealign.report.text import markdown, visible
from axolotl_dealign.report.words import count, with_interval


def as_markdown(title: str, report: Report, sections: list[Section]) -> str:
    """The report, beginning with the short table; nothing that a row or a model says is markup."""
    parts = [f"# {title}", plain_table(short_table(report), markdown)]
    for section in sections:
        parts.append(f"## {markdown(section.title)}")
        parts += [_block(block) for block in section.blocks if block != short_table(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain_table(table: Table, show: Callable[[str], str] = visible) -> str:
    """A Markdown table with columns of even width: also what the terminal shows."""
    right = [column.startswith(">") for column in table.columns]
    cells = [[show(cell) for cell in row] for row in [[c.removeprefix(">") for c in table.columns], *table.rows]]
    cells = [[" ".join(cell.split()) for cell in row] for row in cells]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(right))]
    lines = [
        "| " + " | ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)) + " |"
        for row in cells
    ]
    rule = "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True))
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def _block(block: Block) -> str:
    match block:
        case str():
            return markdown(block)
        case Table():
            caption = f"**{markdown(block.caption)}**\n\n" if block.caption else ""
            return caption + plain_table(block, markdown)
        case Forest():
            rows = [[p.label, p.arm, *p.cells, with_interval(p.effect), p.p] for p in block.points]
            columns = ["", "difference", *(f">{column}" for column in block.columns), ">points (95 %)", ">p"]
            return _block(Table(columns, rows, block.caption))
        case Facts():
            return "\n".join(
                f"- **{markdown(f.question)}** {markdown(f.answer)}. {markdown(f.detail)}" for f in block.facts
            )
        case Quotes():
            return "\n".join(f"- {markdown(q.title)}: {markdown(visible(q.text, 300))}" for q in block.quotes)
        case Flips():
            return f"The viewer in report.html shows {count(len(block.records), 'question')} with both answers."
