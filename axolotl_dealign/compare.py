"""Train arms and score them: what `axolotl-dealign compare` does, as cells of a grid of arms and seeds.

    DIR/compare.json                     the plan, for the report
    DIR/<arm>/seed-<n>/config.yml        the arm's YAML
                       model/            what `axolotl train` wrote, with the audit in dealign/
                       eval/             what `lm_eval run` wrote
                       train.log, eval.log, train.done, eval.done
    DIR/base/eval/                       the untrained model, scored only
    DIR/report.html, .md, .json

The file system is the state. A step is done when its `.done` file holds the hash of all that went into it; the file is
written last, so that whatever is killed on the way starts again from the beginning of that step.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from axolotl_dealign.audit import write_json, write_text
from axolotl_dealign.config import PLUGIN, check_config, named_in, read_config
from axolotl_dealign.errors import ConfigError, DealignError
from axolotl_dealign.registry import did_you_mean
from axolotl_dealign.tasks import include_path
from axolotl_dealign.types import ARMS, JSON, Arm
from axolotl_dealign.watch import Watch

TRAINED_ARMS: tuple[Arm, ...] = ("aligned", "dealigned", "control")
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


@dataclass(frozen=True)
class Step:
    """One program to run.

    Attributes:
        name: `train` or `eval`.
        cell: The folder of its cell.
        command: The program and its arguments.
        makes: The folder that it writes.
        inputs: Hash of everything that its result depends on.
        config: The YAML to write before it runs.
    """

    name: str
    cell: Path
    command: tuple[str, ...]
    makes: Path
    inputs: str
    config: str | None = None

    @property
    def done(self) -> bool:
        """Whether an earlier run finished this very step."""
        mark = self.cell / f"{self.name}.done"
        try:
            return self.makes.is_dir() and json.loads(mark.read_text("utf-8")).get("inputs") == self.inputs
        except (OSError, ValueError, AttributeError):
            return False

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.cell / f"{self.name}.log"

    def begin(self) -> None:
        """Forget what an earlier, unfinished or outdated run of this step left."""
        (self.cell / f"{self.name}.done").unlink(missing_ok=True)
        shutil.rmtree(self.makes, ignore_errors=True)
        if self.config is not None:
            write_text(self.config, self.cell / "config.yml")

    def finish(self, seconds: float) -> None:
        """Believe the result from now on.

        Raises:
            DealignError: The program ended well and yet wrote nothing.
        """
        if not self.makes.is_dir():
            raise DealignError(f"`{shlex.join(self.command)}` ended well but wrote no {self.makes}; see {self.log}")
        write_json({"inputs": self.inputs, "seconds": round(seconds, 1)}, self.cell / f"{self.name}.done")


@dataclass(frozen=True)
class Cell:
    """One training of one arm, and its scores; of the arm `base` the scores alone."""

    arm: Arm
    seed: int | None
    folder: Path
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """For people."""
        return self.arm if self.seed is None else f"{self.arm} seed {self.seed}"


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

    Raises:
        ConfigError: The YAML, an arm or an argument is wrong.
    """
    cfg = read_config(options.config)
    check_config(cfg)
    if not cfg.get("base_model"):
        raise ConfigError(f"{options.config} has no `base_model`")
    cells = []
    for arm in options.arms:
        if arm == "base":
            folder = options.output / "base"
            score = _eval_step(options, folder, {"pretrained": cfg["base_model"]}, trained="")
            cells.append(Cell(arm, None, folder, (score,)))
            continue
        for seed in options.seeds or (int(cfg.get("seed") or DEFAULT_SEED),):
            folder = options.output / arm / f"seed-{seed}"
            train = _train_step(options, cfg, arm, seed, folder)
            model = {"pretrained": str(train.makes)}
            if cfg.get("adapter"):
                model = {"pretrained": cfg["base_model"], "peft": str(train.makes)}
            cells.append(Cell(arm, seed, folder, (train, _eval_step(options, folder, model, train.inputs))))
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
    arms: dict[str, list[JSON]] = {}
    for cell in cells:
        trained = cell.seed is not None
        here = cell.folder.relative_to(options.output)
        arms.setdefault(cell.arm, []).append(
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
        "command": shlex.join(["axolotl-dealign", *sys.argv[1:]]),
        "arms": arms,
    }


def command_line(cell: Cell) -> str:
    """A cell as one shell line that depends on no other: for Slurm and the like. Its YAML is written now."""
    for step in cell.steps:
        if step.config is not None and not step.done:
            write_text(step.config, cell.folder / "config.yml")
    return " && ".join(shlex.join(step.command) for step in cell.steps)


def _train_step(options: Options, cfg: Mapping[str, Any], arm: Arm, seed: int, folder: Path) -> Step:
    ours = arm_config(cfg, arm, seed, folder)
    watch = Watch.from_settings(check_config(ours))
    text = f"# Written by `axolotl-dealign compare` from {options.config}.\n" + yaml.safe_dump(ours, sort_keys=False)
    launcher = ["--launcher", options.launcher] if options.launcher else []
    after = ["--", *options.launcher_args] if options.launcher_args else []
    command = [str(_program("axolotl")), "train", str(folder / "config.yml"), *launcher, *after]
    data = [
        _contents(Path(str(entry.get("path")))) for entry in cfg.get("datasets") or [] if isinstance(entry, Mapping)
    ]
    versions = {package: _version(package) for package in ("axolotl", "transformers", "peft", "torch")}
    inputs = _hash([text, command, watch.fingerprint, data, _contents(Path(str(cfg["base_model"]))), versions])
    return Step("train", folder, tuple(command), folder / "model", inputs, text)


def _eval_step(options: Options, folder: Path, model: Mapping[str, str], trained: str) -> Step:
    more, theirs = list(options.lm_eval_args), ""
    while "--model_args" in more:  # lm-eval would take the last one, and lose which model it is
        place = more.index("--model_args")
        if place + 1 == len(more):
            raise ConfigError("--lm-eval-args: `--model_args` has no value")
        theirs += "," + more[place + 1]
        del more[place : place + 2]
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf"]
    command += ["--model_args", ",".join(f"{key}={value}" for key, value in model.items()) + theirs]
    command += ["--tasks", options.tasks, "--include_path", str(include_path())]
    command += ["--output_path", str(folder / "eval"), "--log_samples", *more]
    weights = "" if trained else _contents(Path(model["pretrained"]))
    inputs = _hash([command, trained, weights, _version("lm_eval"), _version("axolotl-dealign")])
    return Step("eval", folder, tuple(command), folder / "eval", inputs)


def _program(name: str) -> Path:
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise ConfigError(
            f"no `{name}` beside {sys.executable}; install it there: pip install 'axolotl-dealign[{name}]'"
        )
    return path


def _data_paths(cfg: Mapping[str, Any]) -> list[Path]:
    """The files and folders that the datasets of a config name; what is on a hub is its name alone."""
    paths: list[Path] = []
    for entry in [*(cfg.get("datasets") or []), *(cfg.get("test_datasets") or [])]:
        if isinstance(entry, Mapping):
            files = entry.get("data_files") or []
            paths += [Path(str(name)) for name in [entry.get("path"), *([files] if isinstance(files, str) else files)]]
    return paths


def _contents(path: Path) -> str:
    """What a local file or folder holds: names, sizes and times, which change whenever the bytes do in practice."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return _hash(stats) if stats else str(path)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
