"""Check a whole Axolotl config, as its YAML says it: what the plugin does at start, and `axolotl-dealign check`."""

from __future__ import annotations

import difflib
import importlib.util
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


def check_file(path: Path) -> str:
    """Make sure that `axolotl train` on a config will run with the plugin.

    Returns:
        One line that says what was checked.

    Raises:
        ConfigError: The plugin line is missing or misspelt, or the block is wrong.
        AxolotlError: Axolotl is missing or does not fit.
    """
    cfg = read_config(path)
    if not named_in(cfg):
        block = " (its `dealign:` block alone changes nothing)" if "dealign" in cfg else ""
        raise ConfigError(f"{path}: the plugin line is missing{block}; add to it: plugins: [{PLUGIN}]")
    settings = check_config(cfg)
    if importlib.util.find_spec("axolotl") is None:
        raise ConfigError(f"axolotl is not installed beside this package, so that {path} cannot be trained here")
    # Imported here: Axolotl takes seconds, and every line above can be said without it.
    from axolotl_dealign.loader import check_fit
    from axolotl_dealign.watch import Watch

    version = check_fit()
    watch = Watch.from_settings(settings)
    return (
        f"{path}: arm `{settings.arm}`, threshold {settings.cut}, detectors {', '.join(watch.names)}, "
        f"axolotl {version}: fits"
    )
