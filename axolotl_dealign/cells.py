"""The cells of a comparison and their steps; what went into a step, and whether it is done.

The file system is the state. A step is done when its `.done` file holds the hashes of all that went into it; the file
is written last, so that whatever is killed on the way starts again from the beginning of that step.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from axolotl_dealign.audit import write_json, write_text
from axolotl_dealign.errors import StepError
from axolotl_dealign.types import JSON, Arm


@dataclass(frozen=True)
class Step:
    """One program to run.

    Attributes:
        name: `train` or `eval`.
        cell: The folder of its cell.
        command: The program and its arguments.
        makes: The folder that it writes.
        inputs: What its result depends on -> hash.
        config: The YAML to write before it runs.
        proof: Pattern of a file that must lie in `makes` when it has ended well.
        proves: What it means when there is none.
    """

    name: str
    cell: Path
    command: tuple[str, ...]
    makes: Path
    inputs: Mapping[str, str]
    config: str | None = None
    proof: str = "*"
    proves: str = "it wrote nothing"

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.cell / f"{self.name}.log"

    @property
    def mark(self) -> JSON:
        """What an earlier run left in the `.done` file; empty where there is none."""
        try:
            mark = json.loads((self.cell / f"{self.name}.done").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return mark if isinstance(mark, dict) else {}

    @property
    def done(self) -> bool:
        """Whether an earlier run finished this very step."""
        return self.makes.is_dir() and self.mark.get("inputs") == dict(self.inputs)

    @property
    def state(self) -> str:
        """For people: done, or why it is to do."""
        if self.done:
            return "done"
        before = self.mark.get("inputs")
        if not isinstance(before, dict) or not self.makes.is_dir():
            return "to do"
        changed = sorted(key for key in {*before, *self.inputs} if before.get(key) != self.inputs.get(key))
        return f"to do again: changed {', '.join(changed)}"

    def begin(self) -> None:
        """Forget what an earlier, unfinished or outdated run of this step left."""
        (self.cell / f"{self.name}.done").unlink(missing_ok=True)
        shutil.rmtree(self.makes, ignore_errors=True)
        if self.config is not None:
            write_text(self.config, self.cell / "config.yml")

    def finish(self, seconds: float, **more: object) -> None:
        """Believe the result from now on.

        Raises:
            StepError: The program ended well and yet did not do what it is for.
        """
        if not any(self.makes.rglob(self.proof)):
            raise StepError(f"`{shlex.join(self.command)}` ended well, but {self.proves}; see {self.log}")
        mark = {"inputs": dict(self.inputs), "seconds": round(seconds, 1), **more}
        write_json(mark, self.cell / f"{self.name}.done")


@dataclass(frozen=True)
class Cell:
    """One training of one arm, and its scores; of the arm `base` the scores alone."""

    arm: Arm
    seed: int | None
    folder: Path
    steps: tuple[Step, ...] = field(default=())

    @property
    def name(self) -> str:
        """For people, and for `--cell`."""
        return self.arm if self.seed is None else f"{self.arm}/seed-{self.seed}"


def contents(path: Path) -> str:
    """What a local file or folder holds: names, sizes and times, which change whenever the bytes do in practice.

    What is on a hub is its name alone.
    """
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return digest(stats) if stats else str(path)


def digest(value: object) -> str:
    """A hash of any JSON-like value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def versions(*packages: str) -> dict[str, str]:
    """The installed versions of packages, as inputs; `none` where one is missing."""
    return {f"version of {package}": _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
