"""What an Axolotl YAML says about this plugin, and what it gets wrong that Axolotl would pass over."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from axolotl_dealign.args import Dealign, parse
from axolotl_dealign.errors import ConfigError
from axolotl_dealign.registry import did_you_mean

PLUGIN = "axolotl_dealign.DealignPlugin"
_DATASET_KEYS = ("datasets", "test_datasets", "pretraining_dataset")


def named_in(cfg: Mapping[str, Any]) -> bool:
    """Whether a config's `plugins:` names this plugin, in any spelling that Axolotl accepts."""
    names = (str(name).replace(":", ".") for name in cfg.get("plugins") or [])
    return any(name.startswith("axolotl_dealign.") and name.endswith(".DealignPlugin") for name in names)


def check_config(cfg: Mapping[str, Any]) -> Dealign:
    """Find what Axolotl would drop without a word, and read the `dealign:` block.

    Raises:
        ConfigError: One line: a misspelt key, a key in the wrong place, a setting that is wrong.
    """
    for key in cfg:
        alike = difflib.SequenceMatcher(None, key, "dealign").ratio() > 0.8
        if key != "dealign" and (alike or "dealign" in key):
            raise ConfigError(f"unknown key `{key}`, did you mean `dealign`?")
    paths = []
    for where in _DATASET_KEYS:
        entries = cfg.get(where)
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            if isinstance(entry, Mapping):
                paths.append(str(entry.get("path")))
                if "dealign" in entry:
                    raise ConfigError(
                        f"`{where}[{index}].dealign` is not read; put its keys under `dealign.datasets`, by path"
                    )
    settings = parse(cfg.get("dealign"))
    for path in settings.datasets:
        if path not in paths:
            raise ConfigError(f"dealign.datasets: no dataset has the path `{path}`{did_you_mean(path, paths)}")
    return settings


def read_config(path: Path) -> dict[str, Any]:
    """An Axolotl YAML as it stands.

    Raises:
        ConfigError: It is missing, or no YAML, or no block of keys.
    """
    try:
        cfg = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(cfg, dict):
        raise ConfigError(f"{path} is not an Axolotl config: it holds no keys")
    return cfg
