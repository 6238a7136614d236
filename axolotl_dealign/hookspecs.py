"""The whole extension contract on one screen.

A package extends axolotl-dealign by declaring an entry point in the group `axolotl_dealign` that names a
module with functions marked `@axolotl_dealign.hookimpl`:

    [project.entry-points.axolotl_dealign]
    my_package = "my_package.dealign"

    # my_package/dealign.py
    from axolotl_dealign import hookimpl

    @hookimpl
    def register_detectors():
        return {"my_detector": "my_package.detector:MyDetector"}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pluggy

from axolotl_dealign.types import Detection

if TYPE_CHECKING:
    import pyarrow as pa

    from axolotl_dealign.report import Report, Section

PROJECT = "axolotl_dealign"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@runtime_checkable
class Detector(Protocol):
    """Scores answers by kind.

    The same answer must always get the same scores: independent of its neighbours, of the batch, of the order,
    of threads and of the machine.
    """

    @property
    def fingerprint(self) -> str:
        """Changes whenever a verdict could: a hash of rules, weights and settings. Enters Axolotl's data hash."""
        ...

    def detect(self, answers: pa.Array, prompts: pa.Array | None) -> Detection:
        """Score answers.

        Args:
            answers: pa.large_string() array of n answers, no chunks; nulls allowed.
            prompts: pa.large_string() array of the n prompts they answer, nulls where there is none; or None.

        Returns:
            A `Detection` of n rows. Must not raise for any text; what cannot be judged gets a row of NaN.
        """
        ...


@hookspec
def register_detectors() -> Mapping[str, str | Callable[..., Detector]]:  # type: ignore[empty-body]
    """Name the detectors of this package.

    Returns:
        Name -> a callable that makes the detector, or the string "module:attribute" of one, imported when the
        detector is first used. Options that the user gives with the name are passed as keyword arguments.
    """


@hookspec
def register_report_sections() -> Sequence[str | Callable[[Report], Section | None]]:  # type: ignore[empty-body]
    """Add sections to the report, in the order in which they shall stand.

    Returns:
        Functions, or strings "module:attribute" of them, that get the `axolotl_dealign.report.Report` and return
        a `Section`, or None where they have nothing to say.
    """
