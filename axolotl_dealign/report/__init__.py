"""Results of several arms -> report.html, report.md, report.json.

Light on purpose: the registry imports this module to find the sections, so everything else is imported when used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from axolotl_dealign.hookspecs import hookimpl

if TYPE_CHECKING:
    from axolotl_dealign.report.blocks import Facts, Forest, Quotes, Section, Table
    from axolotl_dealign.report.model import Report
    from axolotl_dealign.report.render import write_report

__all__ = ["Facts", "Forest", "Quotes", "Report", "Section", "Table", "write_report"]

_HERE = "axolotl_dealign.report"


@hookimpl
def register_report_sections() -> list[str]:
    """The built-in sections, in the order in which they stand."""
    return [
        f"{_HERE}.summary:summary",
        f"{_HERE}.sections:benchmarks",
        f"{_HERE}.sections:control",
        f"{_HERE}.declined:safety",
        f"{_HERE}.declined:answers",
        f"{_HERE}.sections:subtasks",
        f"{_HERE}.sections:trainings",
        f"{_HERE}.sections:paper",
        f"{_HERE}.training:removed",
        f"{_HERE}.flipped:flipped",
        f"{_HERE}.training:comparability",
        f"{_HERE}.sections:warnings",
    ]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from axolotl_dealign.report import blocks, model, render

        return getattr({"Report": model, "write_report": render}.get(name, blocks), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
