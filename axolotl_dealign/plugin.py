"""The Axolotl edge: one line under `plugins:` and aligned answers are gone when the data loads."""

from __future__ import annotations

import difflib
from typing import Any

from axolotl.integrations.base import BasePlugin

from axolotl_dealign import loader
from axolotl_dealign.args import parse
from axolotl_dealign.errors import ConfigError
from axolotl_dealign.watch import Watch


class DealignPlugin(BasePlugin):  # type: ignore[misc]  # axolotl ships no type information
    """Removes aligned answers from whatever Axolotl loads.

    plugins:
      - axolotl_dealign.DealignPlugin
    dealign:            # every key is optional
      arm: dealigned
    """

    def get_input_args(self) -> str:
        """The pydantic model of the `dealign:` block."""
        return "axolotl_dealign.args.DealignArgs"

    @loader.one_line
    def register(self, cfg: dict[str, Any]) -> None:
        """Check the block and wrap Axolotl's loading. Called for every command that loads a config.

        Raises:
            SystemExit: One line, where the block is wrong or this Axolotl does not fit.
        """
        if not loader.named_in(cfg):  # axolotl 0.19 also calls the plugins of configs loaded earlier
            loader.uninstall()
            return
        _refuse_near_misses(cfg)
        Watch.from_settings(parse(cfg.get("dealign")))
        loader.install()

    def on_config_validation_error(self, cfg: dict[str, Any]) -> None:
        """Axolotl rejected the config: take the wraps off again."""
        loader.uninstall()

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        """Leave the loading to Axolotl; two plugins that return data are an error there."""
        return None


def _refuse_near_misses(cfg: dict[str, Any]) -> None:
    """Axolotl drops keys that it does not know without a word; a misspelt `dealign:` would change nothing."""
    for key in cfg:
        if key != "dealign" and ("dealign" in key or difflib.SequenceMatcher(None, key, "dealign").ratio() > 0.8):
            raise ConfigError(f"unknown key `{key}`, did you mean `dealign`?")
    for where in ("datasets", "test_datasets", "pretraining_dataset"):
        entries = cfg.get(where)
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            if isinstance(entry, dict) and "dealign" in entry:
                raise ConfigError(f"`{where}[{index}].dealign` is not read; put its keys into the `dealign:` block")
