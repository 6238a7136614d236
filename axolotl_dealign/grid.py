"""Run the cells of a comparison, several at a time where there are several GPUs, and show how far they are."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext

from filelock import FileLock, Timeout

from axolotl_dealign.audit import write_json
from axolotl_dealign.cells import Cell, Step
from axolotl_dealign.compare import Options, index
from axolotl_dealign.errors import DealignError
from axolotl_dealign.progress import Board, duration, trained_steps
from axolotl_dealign.steps import end, run_step


def run(
    options: Options, cells: Sequence[Cell], chosen: Sequence[Cell], jobs: int = 1, gpus: Sequence[str] = ()
) -> None:
    """Run every step that is not done.

    Args:
        options: What is compared.
        cells: From `compare.plan`.
        chosen: Those of them to run. A single one may run beside other processes that run others of the same plan.
        jobs: Cells at a time.
        gpus: CUDA devices to spread the cells over; one cell has one device to itself. Empty: leave it to the programs.

    Raises:
        StepError: A program failed; the cells that were running beside it are stopped too.
        DealignError: Another comparison is writing to the same folder.
    """
    options.output.mkdir(parents=True, exist_ok=True)
    lock = FileLock(options.output / ".lock", blocking=False) if len(chosen) == len(cells) else nullcontext()
    try:
        with lock, _ended_by_signals():
            write_json(index(options, cells), options.output / "compare.json")
            _run(chosen, jobs, gpus)
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
    board = Board(cells)
    free: queue.Queue[Mapping[str, str]] = queue.Queue()
    for place in range(jobs):
        free.put(_place(place, jobs, gpus))
    stop = threading.Event()

    def work(cell: Cell) -> None:
        place = free.get()
        try:
            for step in cell.steps:
                if stop.is_set():
                    return
                _run_step(cell, step, place, board, stop)
        except BaseException:
            stop.set()  # here, before this thread takes the next cell
            raise
        finally:
            free.put(place)

    with board.shown(), ThreadPoolExecutor(jobs) as pool:
        running: list[Future[None]] = [pool.submit(work, cell) for cell in cells]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
        except BaseException:
            stop.set()
            raise
        if failed := next((future for future in done if future.exception()), None):
            failed.result()


def _place(place: int, jobs: int, gpus: Sequence[str]) -> dict[str, str]:
    """The variables that keep cells which run at a time out of each other's way."""
    if gpus:
        return {"CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]}
    if jobs > 1 and "OMP_NUM_THREADS" not in os.environ:  # each would start a thread a core, and wait for the others'
        return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))}
    return {}


def _run_step(cell: Cell, step: Step, place: Mapping[str, str], board: Board, stop: threading.Event) -> None:
    if step.done:
        board.say(cell, step, "done before")
        return
    board.say(cell, step, "running")

    def tick(end_of_log: str) -> None:
        board.note(cell, end_of_log)
        if stop.is_set():
            raise DealignError(f"{cell.name}: stopped, since another cell failed")

    try:
        seconds = run_step(step.command, step.log, place, tick, before=step.begin)
        step.finish(seconds, steps=trained_steps(end(step.log, 1 << 20)))
    except BaseException:
        board.say(cell, step, "failed")
        raise
    board.say(cell, step, f"done in {duration(seconds)}")
