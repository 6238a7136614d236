"""A `Report` -> report.html, report.md, report.json and the plots."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import click
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from axolotl_dealign import __version__
from axolotl_dealign.errors import PluginError
from axolotl_dealign.registry import report_sections
from axolotl_dealign.report.blocks import Forest, Section
from axolotl_dealign.report.gather import Source, gather
from axolotl_dealign.report.markdown import as_markdown, plain_table
from axolotl_dealign.report.model import Report
from axolotl_dealign.report.plots import draw, layout
from axolotl_dealign.report.summary import short_table
from axolotl_dealign.report.text import visible

TITLE = "What removing aligned answers did"


def write_report(source: Source, output: Path, reference: str | None = None) -> Path:
    """Compare arms, write the report, and print the table that report.md begins with.

    Args:
        source: The output folder of `compare`, or arm -> the lm-eval output folders of its trainings. One arm alone
            is reported without a comparison.
        output: The folder for report.html, report.md, report.json and the plots (report-*.svg, report-*.png); made
            if missing.
        reference: The arm that the others are compared with; by default what compare.json says, else `aligned`, or
            the only arm.

    Returns:
        The path of report.html.

    Raises:
        ConfigError: No arm, or no such reference.
        ResultsError: A folder cannot be read, or the arms share no question.
        PluginError: An extension's section fails or is none.
    """
    report = gather(source, reference)
    sections = _sections(report)
    written = {
        "report.json": as_json(report, sections).encode(),
        "report.md": as_markdown(TITLE, report, sections).encode(),
        "report.html": as_html(report, sections).encode(),
    }
    for forest in [b for section in sections for b in section.blocks if isinstance(b, Forest) and b.name]:
        written |= {f"report-{forest.name}.{kind}": data for kind, data in draw(forest)}
    output.mkdir(parents=True, exist_ok=True)
    for name, content in written.items():
        _write(output / name, content)
    click.echo(plain_table(short_table(report)))
    return output / "report.html"


def as_json(report: Report, sections: list[Section]) -> str:
    """What schema.json describes."""
    data = {
        "version": 1,
        "axolotl_dealign": __version__,
        "reference": report.reference,
        "main": report.main,
        "arms": {arm: [str(t.run.folder) for t in trainings] for arm, trainings in report.arms.items()},
        "command": report.command,
        "sections": {section.name: section.data for section in sections},
    }
    try:
        return json.dumps(data, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise PluginError(f"a report section holds data that is not JSON ({error})") from error


def as_html(report: Report, sections: list[Section]) -> str:
    """One HTML file that loads nothing, sends nothing, and runs only our own script."""
    templates = files("axolotl_dealign.report") / "templates"
    css, script = ((templates / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    environment = Environment(
        loader=PackageLoader("axolotl_dealign.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": visible, "layout": layout, "embedded": embedded, "kind": _kind}
    environment.filters["breakable"] = lambda text: escape(text).replace("_", Markup("_<wbr>"))
    environment.filters["unbroken"] = lambda text: text.replace(" − ", "\u00a0−\u00a0")
    return environment.get_template("report.html.j2").render(
        title=TITLE,
        report=report,
        sections=sections,
        css=Markup(css),
        script=Markup(script),
        csp=f"default-src 'none'; style-src {_digest(css)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'",
        version=__version__,
    )


def embedded(value: object) -> Markup:
    """JSON that can stand in a script element: no character in it ends the element or begins a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(re.sub(r"[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text))


def _sections(report: Report) -> list[Section]:
    """Every registered section that has something to say."""
    sections: list[Section] = []
    for make in report_sections():
        name = f"{getattr(make, '__module__', '')}:{getattr(make, '__qualname__', make)}"
        if name.startswith("axolotl_dealign."):
            section = make(report)
        else:
            try:
                section = make(report)
            except Exception as error:
                raise PluginError(
                    f"the report section {name} fails ({type(error).__name__}: {error}); mend or uninstall its package"
                ) from error
        if section is None:
            continue
        if not isinstance(section, Section) or not re.fullmatch(r"[a-z][a-z0-9_-]*", section.name):
            raise PluginError(
                f"the report section {name} returns no axolotl_dealign.report.Section with a slug as name"
            )
        if section.name in {other.name for other in sections}:
            raise PluginError(f"the report section {name} takes the name `{section.name}`, which is taken; rename it")
        sections.append(section)
    return sections


def _kind(block: object) -> str:
    return "text" if isinstance(block, str) else type(block).__name__.lower()


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
