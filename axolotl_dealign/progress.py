"""How far the cells of a comparison are, read from the logs of their programs.

On a terminal one line a cell, rewritten in place; elsewhere each change is a line of its own, and every minute one
line for each cell that runs.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from axolotl_dealign.cells import Cell, Step

# tqdm's bar, as Trainer and lm-eval print it: 17/320 [00:04<01:12, …
_BAR = re.compile(r"(\d+)/(\d+) \[[\d:]+<([\d:?]+)")
_LOSS = re.compile(r"'loss': '?([-\d.e]+)")
# Trainer's own bar is the one without a title; writing the model has one.
_STEPS = re.compile(r"^ *\d+%\|[^|]*\| *(\d+)/\d+ \[", re.MULTILINE)
_HEARTBEAT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Progress:
    """What the end of a log tells.

    Attributes:
        done: Steps or requests done; None before the first.
        total: Of how many.
        left: Time left by the program's own estimate, as it prints it.
        loss: The last training loss, as it is printed.
        line: The last line.
    """

    done: int | None = None
    total: int | None = None
    left: str = ""
    loss: str = ""
    line: str = ""


def read_progress(end_of_log: str) -> Progress:
    """Read the end of a log of `axolotl train` or `lm_eval run`, as plain lines."""
    bars, losses = _BAR.findall(end_of_log), _LOSS.findall(end_of_log)
    done, total, left = bars[-1] if bars else (None, None, "")
    return Progress(
        done=None if done is None else int(done),
        total=None if total is None else int(total),
        left="" if "?" in left else left,
        loss=losses[-1] if losses else "",
        line=next((line.strip() for line in reversed(end_of_log.splitlines()) if line.strip()), ""),
    )


def trained_steps(log: str) -> int | None:
    """How many optimizer steps a training took, by its log; None where it does not say."""
    training, ended, _ = log.rpartition("{'train_runtime'")
    found = _STEPS.findall(training)
    return int(found[-1]) if ended and found else None


class Board:
    """Shows how far the cells are."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._console = Console()
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._state = {cell.name: "waiting" for cell in cells}
        self._progress = {cell.name: Progress() for cell in cells}
        self._since = dict.fromkeys(self._state, self._began)
        self._spoke = dict.fromkeys(self._state, self._began)
        self._total = sum(len(cell.steps) for cell in cells)
        self._done = 0

    def shown(self) -> Live | nullcontext[None]:
        """Show the board as long as this context lasts."""
        return Live(get_renderable=self._table, console=self._console) if self._console.is_terminal else nullcontext()

    def say(self, cell: Cell, step: Step, what: str) -> None:
        """A step has changed: `running`, `done …` or `failed`."""
        with self._lock:
            self._state[cell.name] = f"{step.name}: {what}"
            self._since[cell.name] = self._spoke[cell.name] = time.monotonic()
            self._progress[cell.name] = Progress()
            self._done += what.startswith("done")
            if not self._console.is_terminal:
                where = f", log: {_short(step.log)}" if what == "running" else ""
                self._print(f"{cell.name}: {step.name} {what}{where}")

    def note(self, cell: Cell, end_of_log: str) -> None:
        """A step goes on."""
        progress = read_progress(end_of_log)
        with self._lock:
            self._progress[cell.name] = progress
            now = time.monotonic()
            if not self._console.is_terminal and now - self._spoke[cell.name] >= _HEARTBEAT_SECONDS:
                self._spoke[cell.name] = now
                elapsed = duration(now - self._since[cell.name])
                self._print(f"{cell.name}: {self._state[cell.name]} for {elapsed}{_in_words(progress)}")

    def _print(self, text: str) -> None:
        self._console.print(f"[{self._done}/{self._total}] {text}", markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        for name in ("cell", "state", "elapsed", "progress"):
            table.add_column(name, no_wrap=True)
        table.add_column("line", no_wrap=True, overflow="ellipsis", ratio=1)
        with self._lock:
            for name, state in self._state.items():
                running, progress = state.endswith("running"), self._progress[name]
                elapsed = duration(time.monotonic() - self._since[name]) if running else ""
                cells = (state, elapsed, _in_words(progress).removeprefix(", "), progress.line if running else "")
                table.add_row(name, *(Text(cell) for cell in cells))
            spent = time.monotonic() - self._began
            table.add_row(f"{self._done}/{self._total} steps", duration(spent))
        return table


def duration(seconds: float) -> str:
    """Seconds in words."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _in_words(progress: Progress) -> str:
    parts = [
        f"{progress.done}/{progress.total}" if progress.total else "",
        f"{progress.left} left" if progress.left else "",
        f"loss {progress.loss}" if progress.loss else "",
    ]
    return "".join(f", {part}" for part in parts if part)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
