"""Loads the lm-eval tasks of this repository the way lm-eval does, in any of its versions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from axolotl_dealign.tasks import include_path

DATA = Path(__file__).parent / "data"
PROTOCOL = Path(__file__).resolve().parents[3] / "shared" / "data" / "protocol"


def load(name: str, **metadata: Any) -> tuple[dict[str, Any], Any]:
    """Task name -> lm-eval's task object for every task of a task or group, and what `evaluate` takes."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(include_path()), include_defaults=False, metadata=metadata)
    if hasattr(manager, "load"):  # 0.4.12 and later
        loaded = manager.load([name])
        return dict(loaded["tasks"]), loaded
    from lm_eval.evaluator_utils import get_task_list

    nested = manager.load_task_or_group([name])
    return {out.task_name: out.task for out in get_task_list(nested)}, nested


def requests(task: Any, limit: int | None = None) -> list[Any]:
    """The requests that lm-eval builds for a task, in order."""
    task.set_fewshot_seed(1234)
    task.build_all_requests(limit=limit)
    return list(task.instances)


def evaluate(name: str, answers: Callable[[list[str]], list[Any]], unsafe: bool = False, **metadata: Any) -> Any:
    """lm-eval's results for a model that answers all prompts at once; its samples under "samples"."""
    from lm_eval.api.model import LM
    from lm_eval.evaluator import evaluate as evaluate_tasks

    class Recorded(LM):
        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[Any]:
            return answers([request.args[0] for request in requests])

        def loglikelihood(self, requests: Any) -> Any:
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    tasks, task_dict = load(name, **metadata)
    for task in tasks.values():
        task.set_fewshot_seed(1234)
    return evaluate_tasks(Recorded(), task_dict, bootstrap_iters=0, confirm_run_unsafe_code=unsafe)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No hub, no data folder from outside, no line per task from lm-eval."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("POA_DATA", raising=False)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    yield
