"""Train arms and score them: what `axolotl-dealign compare` does, as cells of a grid of arms and seeds.

    DIR/compare.json                     the plan, for the report
    DIR/<arm>/seed-<n>/config.yml        the arm's YAML
                       model/            what `axolotl train` wrote, with the audit in dealign/
                       eval/             what `lm_eval run` wrote
                       train.log, eval.log, train.done, eval.done
    DIR/base/eval/                       the untrained model, scored only
    DIR/report.html, .md, .json

`cells` knows when a step is done, `grid` runs the steps.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from axolotl_dealign.cells import Cell, Step, contents, digest, versions
from axolotl_dealign.config import PLUGIN, check_config, named_in, read_config
from axolotl_dealign.errors import ConfigError
from axolotl_dealign.registry import did_you_mean
from axolotl_dealign.scoring import base_model, score_step, trained_model
from axolotl_dealign.types import ARMS, JSON, Arm
from axolotl_dealign.watch import Watch

DEFAULT_SEED = 42
"""Axolotl's own default for `seed`."""


@dataclass(frozen=True)
class Options:
    """What a comparison is of.

    Attributes:
        config: The user's Axolotl YAML.
        output: DIR.
        arms: In the order of the report.
        seeds: Axolotl's `seed` of each training of an arm; by default the one in the YAML.
        tasks: As for `lm_eval run --tasks`.
        reference: The arm that the others are compared with.
        launcher: `axolotl train --launcher`; None for Axolotl's default.
        launcher_args: Arguments for that launcher.
        lm_eval_args: More arguments for `lm_eval run`.
        match: `epochs`: every arm sees its own data as often. `steps`: every arm is trained as many steps as the
            reference arm, so that an arm with fewer rows sees them more often.
    """

    config: Path
    output: Path
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    tasks: str
    reference: str = "aligned"
    launcher: str | None = None
    launcher_args: tuple[str, ...] = ()
    lm_eval_args: tuple[str, ...] = ()
    match: Literal["epochs", "steps"] = "epochs"


def parse_arms(text: str) -> tuple[Arm, ...]:
    """Read `--arms base,aligned,…`.

    Raises:
        ConfigError: An arm is unknown, named twice, or cannot be trained.
    """
    arms: list[Arm] = []
    for word in text.split(","):
        arm = next((known for known in ARMS if known == word.strip()), None)
        if arm is None:
            raise ConfigError(f"--arms: unknown arm `{word.strip()}`{did_you_mean(word.strip(), ARMS)}")
        if arm in arms:
            raise ConfigError(f"--arms: `{arm}` is named twice")
        arms.append(arm)
    return tuple(arms)


def plan(options: Options) -> list[Cell]:
    """The cells of a comparison, in the order in which they run.

    With `match="steps"` a cell can only be planned to its end when the reference arm has been trained: until then the
    others have no `max_steps`.

    Raises:
        ConfigError: The YAML, an arm or an argument is wrong.
    """
    cfg = read_config(options.config)
    check_config(cfg)
    if not cfg.get("base_model"):
        raise ConfigError(f"{options.config} has no `base_model`")
    seeds = options.seeds or (int(cfg.get("seed") or DEFAULT_SEED),)
    trained = [(arm, seed) for arm in options.arms if arm != "base" for seed in seeds]
    steps = None
    if options.match == "steps" and trained and not cfg.get("max_steps"):
        # The first cell of the reference arm sets the pace of all the others.
        pace = next(((arm, seed) for arm, seed in trained if arm == options.reference), trained[0])
        trained.sort(key=lambda cell: cell != pace)
        first = _trained_cell(options, cfg, *pace, None)
        steps = first.steps[0].mark.get("steps") if first.steps[0].done else None
    cells = [_base_cell(options, cfg)] if "base" in options.arms else []
    for place, (arm, seed) in enumerate(trained):
        cells.append(_trained_cell(options, cfg, arm, seed, steps if place else None))
    return cells


def arm_config(cfg: Mapping[str, Any], arm: Arm, seed: int, folder: Path) -> JSON:
    """The user's config as one training of one arm.

    Its outputs go into the cell; nothing is pushed to a hub, where the arms would overwrite each other.
    """
    ours = dict(cfg)
    if not named_in(cfg):
        ours["plugins"] = [*(cfg.get("plugins") or []), PLUGIN]
    ours["dealign"] = {**(cfg.get("dealign") or {}), "arm": arm}
    ours["dealign"].pop("audit_dir", None)
    ours["seed"] = seed
    ours["output_dir"] = str(folder / "model")
    ours["dataset_prepared_path"] = str(folder / "prepared")
    for key in ("hub_model_id", "push_dataset_to_hub", "resume_from_checkpoint", "auto_resume_from_checkpoints"):
        ours.pop(key, None)
    for key in ("wandb_name", "mlflow_run_name", "trackio_run_name"):
        if ours.get(key):
            ours[key] = f"{ours[key]}-{arm}-{seed}"
    return ours


def index(options: Options, cells: Sequence[Cell]) -> JSON:
    """The content of compare.json: where the report finds what."""
    arms: dict[str, list[JSON]] = {arm: [] for arm in options.arms}
    for cell in cells:
        trained = cell.seed is not None
        here = cell.folder.relative_to(options.output)
        arms[cell.arm].append(
            {
                "seed": cell.seed,
                "eval": str(here / "eval"),
                "audit": str(here / "model" / "dealign") if trained else None,
                "config": str(here / "config.yml") if trained else None,
                "model": str(here / "model") if trained else None,
            }
        )
    return {
        "version": 1,
        "reference": options.reference if options.reference in arms else next(iter(arms)),
        "tasks": options.tasks.split(","),
        "match": options.match,
        "command": shlex.join(["axolotl-dealign", *sys.argv[1:]]),
        "arms": arms,
    }


def command_line(options: Options, cell: Cell) -> str:
    """One cell as a shell line that depends on no other: for Slurm and the like."""
    words = ["axolotl-dealign", "compare", str(options.config), "--output", str(options.output)]
    words += ["--arms", ",".join(options.arms), "--tasks", options.tasks, "--reference", options.reference]
    words += ["--seeds", ",".join(map(str, options.seeds))] if options.seeds else []
    words += ["--launcher", options.launcher] if options.launcher else []
    words += ["--launcher-args", shlex.join(options.launcher_args)] if options.launcher_args else []
    words += ["--match", options.match] if options.match != "epochs" else []
    words += ["--lm-eval-args", shlex.join(options.lm_eval_args)] if options.lm_eval_args else []
    return shlex.join([*words, "--cell", cell.name])


def _base_cell(options: Options, cfg: Mapping[str, Any]) -> Cell:
    folder = options.output / "base"
    inputs = {"base model": contents(Path(str(cfg["base_model"])))}
    score = score_step(folder, base_model(cfg), options.tasks, options.lm_eval_args, inputs)
    return Cell("base", None, folder, (score,))


def _trained_cell(options: Options, cfg: Mapping[str, Any], arm: Arm, seed: int, steps: int | None) -> Cell:
    folder = options.output / arm / f"seed-{seed}"
    train = _train_step(options, cfg, arm, seed, folder, steps)
    model = trained_model(cfg, train.makes, options.lm_eval_args)
    score = score_step(folder, model, options.tasks, options.lm_eval_args, {"training": digest(train.inputs)})
    return Cell(arm, seed, folder, (train, score))


def _train_step(options: Options, cfg: Mapping[str, Any], arm: Arm, seed: int, folder: Path, steps: int | None) -> Step:
    ours = arm_config(cfg, arm, seed, folder)
    if steps is not None:
        ours["max_steps"] = steps
    watch = Watch.from_settings(check_config(ours))
    launcher = ["--launcher", options.launcher] if options.launcher else []
    after = ["--", *options.launcher_args] if options.launcher_args else []
    places = ("output_dir", "dataset_prepared_path")  # a comparison may be moved
    return Step(
        name="train",
        cell=folder,
        command=(str(_program("axolotl")), "train", str(folder / "config.yml"), *launcher, *after),
        makes=folder / "model",
        inputs={
            "the YAML": digest({key: value for key, value in ours.items() if key not in places}),
            "the launcher": digest([launcher, after]),
            "detectors": watch.fingerprint,
            "base model": contents(Path(str(cfg["base_model"]))),
            **{f"data {path}": contents(path) for path in _data_paths(cfg)},
            **versions("axolotl", "transformers", "peft", "trl", "torch"),
        },
        config=f"# Written by `axolotl-dealign compare` from {options.config}.\n"
        + yaml.safe_dump(ours, sort_keys=False),
        # Axolotl 0.19 only logs that it could not load a plugin, and trains on everything. A stream may have no audit.
        proof="*" if cfg.get("streaming") or cfg.get("pretraining_dataset") else "dealign/summary.json",
        proves="without an audit: the plugin did not run",
    )


def _data_paths(cfg: Mapping[str, Any]) -> Iterator[Path]:
    """The files and folders that the datasets of a config name."""
    for where in ("datasets", "test_datasets", "pretraining_dataset"):
        entries = cfg.get(where)
        for entry in entries if isinstance(entries, list) else [entries]:
            if isinstance(entry, Mapping):
                files = entry.get("data_files") or []
                named = [entry.get("path"), *([files] if isinstance(files, str) else files)]
                yield from (Path(str(name)) for name in named if name)
            elif isinstance(entry, str):
                yield Path(entry)


def _program(name: str) -> Path:
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise ConfigError(
            f"no `{name}` beside {sys.executable}; install it there: pip install 'axolotl-dealign[{name}]'"
        )
    return path
