"""What the lm-eval tasks need besides their prompts and scores: their place, their rows, their sandbox."""

from __future__ import annotations

from pathlib import Path

from axolotl_dealign.errors import DealignError


def include_path() -> Path:
    """The folder for `lm_eval run --include_path`: inside the wheel, or in the repository of an editable install.

    Raises:
        DealignError: The installation lacks the tasks.
    """
    package = Path(__file__).parent.parent
    for folder in (package / "lm_eval_tasks", package.parent / "lm_eval_tasks"):
        if folder.is_dir():
            return folder
    raise DealignError(f"no lm_eval_tasks beside {package}; reinstall axolotl-dealign")
