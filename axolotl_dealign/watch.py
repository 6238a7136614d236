"""The settings of a run with what they name: detectors, and the files of rows that a person decided on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

import axolotl_dealign
from axolotl_dealign.args import Dealign
from axolotl_dealign.errors import ConfigError
from axolotl_dealign.hookspecs import Detector
from axolotl_dealign.registry import make_detector

BY_PERSON = "remove_file"
"""Stands in the audit where a detector would, for a row that a person named."""


@dataclass(frozen=True)
class Watch:
    """Who looks, and how.

    Attributes:
        settings: The `dealign:` block.
        detectors: By name.
        keep: Content hashes of rows that stay whatever a detector says.
        remove: Content hashes of rows that go.
    """

    settings: Dealign
    detectors: Mapping[str, Detector]
    keep: frozenset[str] = field(default=frozenset())
    remove: frozenset[str] = field(default=frozenset())

    @classmethod
    def from_settings(cls, settings: Dealign) -> Watch:
        """Make the detectors and read the files that the settings name.

        Raises:
            ConfigError: A detector is not registered, or a file is missing or holds something else than hashes.
        """
        detectors = {name: make_detector(name) for name in settings.detectors}
        keep = _read_hashes("keep_file", settings.keep_file)
        remove = _read_hashes("remove_file", settings.remove_file)
        if both := keep & remove:
            raise ConfigError(
                f"{sorted(both)[0]} stands in both {settings.keep_file} and {settings.remove_file}; take it out of one"
            )
        return cls(settings, detectors, keep, remove)

    @property
    def makers(self) -> list[Detector]:
        """The detectors in their order."""
        return list(self.detectors.values())

    @property
    def names(self) -> list[str]:
        """Their names."""
        return list(self.detectors)

    @property
    def fingerprint(self) -> str:
        """Changes whenever the rows that stay could: settings, detectors, files, version of this package."""
        says = {
            "version": axolotl_dealign.__version__,
            "settings": self.settings.model_dump(exclude={"audit_dir", "keep_file", "remove_file", "report"}),
            "detectors": {name: detector.fingerprint for name, detector in self.detectors.items()},
            "keep": sorted(self.keep),
            "remove": sorted(self.remove),
        }
        return hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()

    @staticmethod
    def named(hashes: npt.NDArray[np.str_], wanted: frozenset[str]) -> npt.NDArray[np.bool_]:
        """Which of the rows with these hashes are in a set."""
        return np.isin(hashes, list(wanted))


def _read_hashes(key: str, path: str | None) -> frozenset[str]:
    if path is None:
        return frozenset()
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError as error:
        raise ConfigError(
            f"dealign.{key}: cannot read {path} ({error.strerror}); relative paths start here: {Path.cwd()}"
        ) from None
    hashes = [(number, line.split("#")[0].strip()) for number, line in enumerate(lines, 1)]
    for number, text in hashes:
        if text and (len(text) != 16 or set(text) - set("0123456789abcdef")):
            raise ConfigError(f"{path}:{number}: `{text[:40]}` is no content hash (16 hex digits, the audit's `_hash`)")
    return frozenset(text for _, text in hashes if text)
