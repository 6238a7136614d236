"""Flags of the command line and an Axolotl YAML -> settings and what is known of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axolotl_dealign.args import parse
from axolotl_dealign.config import check_config, read_config
from axolotl_dealign.errors import ConfigError
from axolotl_dealign.watch import Watch


@dataclass(frozen=True)
class Described:
    """What the user says of the rows besides where they are.

    Attributes:
        type: Axolotl's `type:`.
        options: The rest of a block under `datasets:`.
        index: Its place there; `control` draws by it.
        split: The only split to take of a dataset with several.
        note: What the user should know of this, in one line; or nothing.
    """

    type: str | Mapping[str, Any] | None = None
    options: Mapping[str, Any] | None = None
    index: int = 0
    split: str | None = None
    note: str = ""


def from_flags(
    flags: Mapping[str, Any], config: Path | None, source: str, dataset_type: str | None, split: str | None
) -> tuple[Watch, Described]:
    """Put the flags over the `dealign:` block of a YAML, and find the rows under its `datasets:`.

    Args:
        flags: Keys of the `dealign:` block; None and empty ones were not given.
        config: The YAML.
        source: The rows, by the path that stands in it.
        dataset_type: Wins over its `type:`.
        split: The only split to take.

    Raises:
        ConfigError: A flag, the YAML or its block is wrong.
    """
    cfg = read_config(config) if config else {}
    check_config(cfg)
    given = {key: value for key, value in flags.items() if value not in (None, [])}
    block = dict(cfg.get("dealign") or {})
    if {"threshold", "preset"} & given.keys():  # one flag replaces both keys
        block = {key: value for key, value in block.items() if key not in ("threshold", "preset")}
    try:
        watch = Watch.from_settings(parse({**block, **given}))
    except ConfigError as error:
        raise ConfigError(_as_flag(str(error), given)) from None
    entries = [entry for entry in cfg.get("datasets") or [] if isinstance(entry, Mapping)]
    for index, entry in enumerate(entries):
        path = str(entry.get("path"))
        if path == source or Path(path).resolve() == Path(source).resolve():
            return watch, Described(dataset_type or entry.get("type"), entry, index, split)
    note = f"{config} has no dataset with the path {source}: its rows are recognised by their columns"
    return watch, Described(dataset_type, split=split, note=note if entries and not dataset_type else "")


def _as_flag(message: str, given: Mapping[str, Any]) -> str:
    """An error about a key of the block, in the words of who gave a flag."""
    for key in given:
        flag = "--detector" if key == "detectors" else f"--{key.replace('_', '-')}"
        message = message.replace(f"dealign.{key}", flag)
    return message
