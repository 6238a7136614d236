"""Results of several arms -> report.html, report.md, report.json.

Light on purpose: the registry imports this module to find the sections, so everything else is imported when used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from axolotl_dealign.hookspecs import hookimpl

if TYPE_CHECKING:
    from axolotl_dealign.report.model import Report, Section, Table
    from axolotl_dealign.report.render import write_report

__all__ = ["Report", "Section", "Table", "write_report"]


@hookimpl
def register_report_sections() -> list[str]:
    """The built-in sections, in the order in which they stand."""
    here = "axolotl_dealign.report.sections"
    return [f"{here}:{name}" for name in ("benchmarks", "control", "refusals", "removed", "settings", "warnings")]


def __getattr__(name: str) -> Any:
    if name == "write_report":
        from axolotl_dealign.report.render import write_report

        return write_report
    if name in __all__:
        from axolotl_dealign.report import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
