"""A `Report` -> report.html, report.md and report.json."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import click
from jinja2 import Environment
from markupsafe import Markup

from axolotl_dealign import __version__
from axolotl_dealign.registry import report_sections
from axolotl_dealign.report.gather import Source, gather
from axolotl_dealign.report.model import Report, Section, Table
from axolotl_dealign.report.sections import benchmark_table
from axolotl_dealign.report.text import markdown, visible


def write_report(source: Source, output: Path, reference: str | None = None) -> Path:
    """Compare arms, write report.html, report.md and report.json, and print the table that report.md begins with.

    Args:
        source: The output folder of `compare`, or arm -> the lm-eval output folders of its trainings.
        output: The folder for the three files; made if missing.
        reference: The arm that the others are compared with; by default what compare.json says, else `aligned`.

    Returns:
        The path of report.html.

    Raises:
        ConfigError: Fewer than two arms, or no such reference.
        ResultsError: A folder cannot be read, or the arms share no question.
    """
    report = gather(source, reference)
    sections = [section for make in report_sections() if (section := make(report)) is not None]
    data = {
        "version": 1,
        "axolotl_dealign": __version__,
        "reference": report.reference,
        "arms": list(report.arms),
        "command": report.command,
        "sections": {section.name: section.data for section in sections},
    }
    written = {
        "report.json": json.dumps(data, indent=1, ensure_ascii=True, allow_nan=False) + "\n",
        "report.md": as_markdown(sections),
        "report.html": as_html(report, sections),
    }
    output.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        _write(output / name, text)
    click.echo(_plain(benchmark_table(report)))
    return output / "report.html"


def as_markdown(sections: list[Section]) -> str:
    """The sections as Markdown; nothing in a cell is markup."""
    parts = ["# What removing aligned answers did"]
    for section in sections:
        parts.append(f"## {markdown(section.title)}")
        parts += [
            _plain(block, escape=True) if isinstance(block, Table) else markdown(block) for block in section.blocks
        ]
    return "\n\n".join(parts) + "\n"


def as_html(report: Report, sections: list[Section]) -> str:
    """The sections as one HTML file that loads nothing and runs only our script."""
    folder = files("axolotl_dealign.report") / "templates"
    css = (folder / "report.css").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["visible"] = visible
    template = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    digest = b64encode(sha256(css.encode()).digest()).decode()
    return template.render(
        report=report,
        sections=sections,
        css=Markup(css),  # noqa: S704 - our own file
        csp=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        version=__version__,
    )


def _plain(table: Table, escape: bool = False) -> str:
    """A Markdown table with aligned columns: also what the terminal shows."""
    show = markdown if escape else visible
    cells = [[show(cell) for cell in row] for row in [table.columns, *table.rows]]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(table.columns))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
