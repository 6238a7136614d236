"""The built-in detectors, named as strings so that none is imported before it is used."""

from __future__ import annotations

from axolotl_dealign.hookspecs import hookimpl


@hookimpl
def register_detectors() -> dict[str, str]:
    """Built-in detectors by name."""
    return {"phrases": "axolotl_dealign.detectors.phrases:PhraseDetector"}
