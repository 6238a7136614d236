"""What is asked of lm-eval: one model, scored on the tasks, with every sample kept."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from axolotl_dealign.cells import Step, contents, digest, versions
from axolotl_dealign.errors import ConfigError
from axolotl_dealign.tasks import include_path

OURS = ("--tasks", "-t", "--output_path", "-o", "--log_samples", "-s", "--config", "-C")
"""Arguments of lm-eval that say what a cell is."""


def lm_eval_command(model: Mapping[str, str], tasks: str, output: Path, arguments: Sequence[str]) -> list[str]:
    """The command that scores one model and keeps its samples.

    Args:
        model: `--model_args` that say which model it is.
        tasks: As for `lm_eval run --tasks`; ours are included.
        output: Folder for the results.
        arguments: The user's own; a `--model_args` among them is added to ours.

    Raises:
        ConfigError: An argument is ours to set, or has no value.
    """
    if wrong := [word for word in arguments if word.partition("=")[0] in OURS]:
        raise ConfigError(f"arguments for lm-eval: `{wrong[0]}` is set by axolotl-dealign itself; leave it out")
    more, theirs = list(arguments), ""
    while "--model_args" in more:  # lm-eval would take the last one, and lose which model it is
        place = more.index("--model_args")
        if place + 1 == len(more):
            raise ConfigError("arguments for lm-eval: `--model_args` has no value")
        theirs += "," + more[place + 1]
        del more[place : place + 2]
    if comma := [value for value in model.values() if "," in value]:
        raise ConfigError(f"lm-eval takes no model with a comma in its path; rename {comma[0]}")
    model_args = ",".join(f"{key}={value}" for key, value in model.items()) + theirs
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", model_args]
    command += ["--tasks", tasks, "--include_path", str(include_path())]
    return [*command, "--output_path", str(output), "--log_samples", *more]


def score_step(
    folder: Path, model: Mapping[str, str], tasks: str, arguments: Sequence[str], inputs: Mapping[str, str]
) -> Step:
    """Score one model into `folder`/eval.

    Args:
        folder: The cell.
        model: `--model_args` that say which model it is.
        tasks: As for `lm_eval run --tasks`.
        arguments: The user's own.
        inputs: What the model itself depends on.

    Raises:
        ConfigError: An argument is ours to set, or has no value.
    """
    return Step(
        name="eval",
        cell=folder,
        command=tuple(lm_eval_command(model, tasks, folder / "eval", arguments)),
        makes=folder / "eval",
        inputs={
            **inputs,
            "the tasks": tasks,
            "the files of our tasks": contents(include_path()),
            "the arguments of lm-eval": digest([sorted(model), list(arguments)]),
            **versions("lm_eval", "transformers", "peft", "axolotl-dealign"),
        },
        proof="samples_*.jsonl",
        proves="without samples",
    )


def base_model(cfg: Mapping[str, Any]) -> dict[str, str]:
    """The untrained model of an Axolotl config, as `--model_args`."""
    named = {
        "pretrained": cfg["base_model"],
        "revision": cfg.get("revision_of_model"),
        "tokenizer": cfg.get("tokenizer_config"),
        "trust_remote_code": cfg.get("trust_remote_code"),
    }
    return {key: str(value) for key, value in named.items() if value}


def trained_model(cfg: Mapping[str, Any], output: Path, arguments: Sequence[str] = ()) -> dict[str, str]:
    """What Axolotl trained into `output`, as `--model_args`: a whole model, or an adapter on the untrained one."""
    if not cfg.get("adapter"):
        code = {"trust_remote_code": "True"} if cfg.get("trust_remote_code") else {}
        return {"pretrained": str(output), **code}
    return {**base_model(cfg), "lora_local_path" if "vllm" in arguments else "peft": str(output)}


def check_tasks(tasks: str, arguments: Sequence[str]) -> None:
    """Make sure that lm-eval knows the tasks: it would say so only after the first training.

    Raises:
        ConfigError: lm-eval is missing, or does not know a task.
    """
    if find_spec("lm_eval") is None:
        raise ConfigError(
            f"lm-eval is not installed for {sys.executable}; install it there: pip install 'axolotl-dealign[lm-eval]'"
        )
    if "--include_path" in arguments:  # tasks that cannot be seen from here
        return
    from lm_eval.tasks import TaskManager

    unknown = [name for name in tasks.split(",") if not Path(name).is_file()]
    known: list[str] = []
    for defaults in (False, True):  # to list all of lm-eval's own tasks takes seconds
        manager = TaskManager(include_path=str(include_path()), include_defaults=defaults)
        unknown = [name for name in unknown if not manager.match_tasks([name])]
        known = manager.all_tasks
        if not unknown:
            return
    near = difflib.get_close_matches(unknown[0], known, n=1)
    hint = f", did you mean `{near[0]}`?" if near else ""
    raise ConfigError(f"--tasks: lm-eval knows no `{unknown[0]}`{hint}; see `axolotl-dealign tasks --list`")
