"""Remove aligned answers from fine-tuning data inside Axolotl, and measure what that did.

Importing this package imports neither Axolotl, lm-eval nor torch.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from axolotl_dealign.hookspecs import Detector, hookimpl
from axolotl_dealign.types import Detection, Span

if TYPE_CHECKING:
    from axolotl_dealign.plugin import DealignPlugin

__all__ = ["DealignPlugin", "Detection", "Detector", "Span", "hookimpl"]

__version__ = version("axolotl-dealign")


def __getattr__(name: str) -> Any:
    # Axolotl imports `axolotl_dealign.DealignPlugin`; everything else must not pay for importing Axolotl.
    if name == "DealignPlugin":
        from axolotl_dealign.plugin import DealignPlugin

        return DealignPlugin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
