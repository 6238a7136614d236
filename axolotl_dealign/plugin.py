"""The Axolotl edge: one line under `plugins:` and aligned answers are gone when the data loads."""

from __future__ import annotations

import logging
from typing import Any

from axolotl.integrations.base import BasePlugin
from transformers import TrainerCallback

from axolotl_dealign import audit, loader
from axolotl_dealign.after_training import score_and_report
from axolotl_dealign.args import parse
from axolotl_dealign.config import check_config, named_in
from axolotl_dealign.errors import DealignError
from axolotl_dealign.summary import metrics
from axolotl_dealign.watch import Watch

LOG = logging.getLogger(__name__)


class DealignPlugin(BasePlugin):  # type: ignore[misc]  # axolotl ships no type information
    """Removes aligned answers from whatever Axolotl loads.

    plugins:
      - axolotl_dealign.DealignPlugin
    dealign:            # every key is optional
      arm: dealigned
    """

    trained = False
    """Whether a training ended well since the last report."""

    def get_input_args(self) -> str:
        """The pydantic model of the `dealign:` block."""
        return "axolotl_dealign.args.DealignArgs"

    @loader.one_line
    def register(self, cfg: dict[str, Any]) -> None:
        """Check the block and wrap Axolotl's loading. Called for every command that loads a config.

        Raises:
            SystemExit: One line, where the block is wrong or this Axolotl does not fit.
        """
        if not named_in(cfg):  # axolotl 0.19 also calls the plugins of configs loaded earlier
            loader.uninstall()
            return
        Watch.from_settings(check_config(cfg))
        loader.install()

    def on_config_validation_error(self, cfg: dict[str, Any]) -> None:
        """Axolotl rejected the config: take the wraps off again."""
        loader.uninstall()

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        """Leave the loading to Axolotl; two plugins that return data are an error there."""
        return None

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[TrainerCallback]:
        """Report the counts as `dealign/*` wherever this run logs: wandb, mlflow, tensorboard, trackio."""
        return [_LogCounts(self, cfg, trainer)] if named_in(cfg) else []

    def post_train_unload(self, cfg: Any) -> None:
        """Score and report, where `dealign.report` says so. Axolotl 0.21 comes here after a failed training too."""
        if named_in(cfg) and self.trained:
            self.trained = False
            score_and_report(cfg, parse(cfg.get("dealign")), loader.audit_dir(cfg))


class _LogCounts(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
    """Logs the counts once, when the loggers are up. They come from disk: another process may have done the work."""

    def __init__(self, plugin: DealignPlugin, cfg: Any, trainer: Any) -> None:
        self.plugin, self.folder, self.trainer = plugin, loader.audit_dir(cfg), trainer

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.plugin.trained = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        try:
            self.trainer.log(metrics(audit.read_summary(self.folder)))
        except DealignError as error:  # counts that cannot be read must not stop a training
            LOG.warning("dealign: nothing to report, %s", error)
