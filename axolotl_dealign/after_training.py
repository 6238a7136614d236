"""`dealign.report`: score the model that was just trained, once, and write the report into `output_dir`.

Whatever fails here never fails the training: the line says what happened, and the command to run by hand.
"""

from __future__ import annotations

import gc
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from axolotl_dealign import audit
from axolotl_dealign.args import Dealign
from axolotl_dealign.errors import DealignError
from axolotl_dealign.report import write_report
from axolotl_dealign.results import read_run
from axolotl_dealign.scoring import lm_eval_command, trained_model
from axolotl_dealign.steps import run_step

LOG = logging.getLogger(__name__)

EVAL = "dealign-eval"
"""Folder in `output_dir` that lm-eval writes to."""


def score_and_report(cfg: Mapping[str, Any], settings: Dealign, audit_dir: Path) -> None:
    """Run lm-eval on the trained model and compare it with earlier ones.

    Args:
        cfg: Axolotl's config.
        settings: The `dealign:` block; does nothing without its `report`.
        audit_dir: Where the audit of this training lies.
    """
    wanted = settings.report
    if wanted is None or int(os.environ.get("RANK", "0")) != 0:
        return
    output = Path(cfg.get("output_dir") or "./model-out")
    try:
        command = lm_eval_command(
            trained_model(cfg, output), ",".join(wanted.tasks), output / EVAL, shlex.split(wanted.lm_eval_args)
        )
    except (DealignError, ValueError) as error:
        LOG.error("dealign: no report: %s", error)
        return
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # The other ranks would wait for this one until their collective operations time out.
        LOG.warning("dealign: several processes trained, so that none scores; run: %s", shlex.join(command))
        return
    try:
        _free_gpu()
        shutil.rmtree(output / EVAL, ignore_errors=True)
        LOG.info("dealign: scoring the trained model on %s, log: %s", ", ".join(wanted.tasks), output / f"{EVAL}.log")
        without = [word for name in _launcher_variables() for word in ("-u", name)]
        run_step(["env", *without, *command], output / f"{EVAL}.log")
        _log_scores(output / EVAL)
        arms: dict[str, list[Path]] = {settings.arm: [output / EVAL]}
        for arm, folder in (_earlier(Path(path)) for path in wanted.compare_with):
            arms.setdefault(arm, []).append(folder)
        reference = wanted.reference or ("aligned" if "aligned" in arms else next(iter(arms)))
        LOG.info("dealign: %s", write_report(arms, output, reference))
    except Exception as error:  # the training is done and saved; nothing may take that away
        LOG.error("dealign: no report: %s\nThe model is trained. To score it: %s", error, shlex.join(command))


def _earlier(path: Path) -> tuple[str, Path]:
    """The arm and the scores of an earlier training, by its `output_dir`."""
    arm = audit.read_summary(path / "dealign").get("arm")
    if not (path / EVAL).is_dir():
        raise DealignError(f"dealign.report.compare_with: no {EVAL} in {path}; train it with `dealign.report` too")
    return str(arm), path / EVAL


def _free_gpu() -> None:
    """Axolotl still holds what it trained; lm-eval needs the room."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _launcher_variables() -> list[str]:
    """What accelerate and torchrun leave in the environment: lm-eval must not think that it is one of several."""
    names = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
    return sorted(names & os.environ.keys()) + [name for name in os.environ if name.startswith("TORCHELASTIC_")]


def _log_scores(folder: Path) -> None:
    """Hand the scores to a tracker whose run is still open."""
    scores = {
        f"dealign/eval/{task}/{metric.split(',')[0]}": value
        for task, metrics in read_run(folder).reported.items()
        for metric, value in metrics.items()
    }
    wandb, mlflow = sys.modules.get("wandb"), sys.modules.get("mlflow")
    if wandb is not None and wandb.run is not None:
        wandb.log(scores)
    elif mlflow is not None and mlflow.active_run() is not None:
        mlflow.log_metrics({name.replace(",", "_"): value for name, value in scores.items()})
    else:
        LOG.info("dealign: no tracker's run is open; the scores are in %s", folder)
