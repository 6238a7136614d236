"""Run the cells of a comparison, several at a time where there are several GPUs, and show how far they are."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from axolotl_dealign.audit import write_json
from axolotl_dealign.compare import Cell, Options, Step, index
from axolotl_dealign.errors import DealignError
from axolotl_dealign.steps import run_step


def run(options: Options, cells: Sequence[Cell], jobs: int = 1, gpus: Sequence[str] = ()) -> None:
    """Run every step that is not done.

    Args:
        options: What is compared.
        cells: From `compare.plan`.
        jobs: Cells at a time.
        gpus: CUDA devices to spread the cells over; one cell has one device to itself. Empty: leave it to the programs.

    Raises:
        StepError: A program failed; the cells that were running beside it are stopped too.
        DealignError: Another comparison is writing to the same folder.
    """
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(options.output / ".lock", blocking=False)
        with lock, _ended_by_signals():
            write_json(index(options, cells), options.output / "compare.json")
            _run(cells, jobs, gpus)
    except Timeout:
        raise DealignError(
            f"another `compare` is writing to {options.output}; wait for it, or give another --output"
        ) from None


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM (a scheduler's time limit, say) ends the running steps too, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(cells: Sequence[Cell], jobs: int, gpus: Sequence[str]) -> None:
    board = _Board(cells)
    free: queue.Queue[Mapping[str, str]] = queue.Queue()
    for place in range(jobs):
        free.put({"CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]} if gpus else {})
    stop = threading.Event()

    def work(cell: Cell) -> None:
        device = free.get()
        try:
            for step in cell.steps:
                if stop.is_set():
                    return
                _run_step(cell, step, device, board, stop)
        except BaseException:
            stop.set()  # here, before this thread takes the next cell
            raise
        finally:
            free.put(device)

    with board.shown(), ThreadPoolExecutor(jobs) as pool:
        running: list[Future[None]] = [pool.submit(work, cell) for cell in cells]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
        except BaseException:
            stop.set()
            raise
        if failed := next((future for future in done if future.exception()), None):
            failed.result()


def _run_step(cell: Cell, step: Step, device: Mapping[str, str], board: _Board, stop: threading.Event) -> None:
    if step.done:
        board.say(cell, step, "done before")
        return
    board.say(cell, step, "running")

    def tick(line: str) -> None:
        board.note(cell, line)
        if stop.is_set():
            raise DealignError(f"{cell.name}: stopped, since another cell failed")

    try:
        seconds = run_step(step.command, step.log, device, tick, before=step.begin)
    except BaseException:
        board.say(cell, step, "failed")
        raise
    step.finish(seconds)
    board.say(cell, step, f"done in {_duration(seconds)}")


class _Board:
    """One line a cell. On a terminal the lines are rewritten, elsewhere each change is a line of its own."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.console = Console()
        self.began = time.monotonic()
        self.state = {cell.name: "waiting" for cell in cells}
        self.last = dict.fromkeys(self.state, "")
        self.since = dict.fromkeys(self.state, self.began)
        self.steps = {cell.name: len(cell.steps) for cell in cells}
        self.finished = dict.fromkeys(self.state, 0)
        self.lock = threading.Lock()

    def shown(self) -> Live | nullcontext[None]:
        return Live(get_renderable=self._table, console=self.console) if self.console.is_terminal else nullcontext()

    def say(self, cell: Cell, step: Step, what: str) -> None:
        with self.lock:
            self.state[cell.name] = f"{step.name}: {what}"
            self.since[cell.name] = time.monotonic()
            self.last[cell.name] = ""
            self.finished[cell.name] += what.startswith("done")
            if not self.console.is_terminal:
                total, done = sum(self.steps.values()), sum(self.finished.values())
                where = f", log: {_short(step.log)}" if what == "running" else ""
                self.console.print(
                    f"[{done}/{total}] {cell.name}: {step.name} {what}{where}", markup=False, soft_wrap=True
                )

    def note(self, cell: Cell, line: str) -> None:
        with self.lock:
            self.last[cell.name] = line

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        with self.lock:
            for name, state in self.state.items():
                running = state.endswith("running")
                elapsed = _duration(time.monotonic() - self.since[name]) if running else ""
                table.add_row(
                    name, state, elapsed, Text(self.last[name] if running else "", overflow="ellipsis", no_wrap=True)
                )
            done, total = sum(self.finished.values()), sum(self.steps.values())
            spent = time.monotonic() - self.began
            left = f", about {_duration(spent * (total - done) / done)} left" if done and done < total else ""
            table.add_row(f"{done}/{total} steps", f"{_duration(spent)}{left}")
        return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
