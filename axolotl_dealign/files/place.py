"""Where an output goes: one writer at a time, and the output is whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from axolotl_dealign.errors import DealignError


@contextmanager
def only_writer(path: Path, waiting: Callable[[], object]) -> Iterator[None]:
    """Hold the lock of an output.

    Args:
        path: The output. The lock is a hidden file beside it, which stays: taking it away would let two in.
        waiting: Called when another process has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """A hidden path beside an output to write it at. What a killed run left there is taken away first.

    Only with the lock of `path`.
    """
    part = path.with_name(f".{path.name}.part")
    remove(part)
    try:
        yield part
    finally:
        remove(part)


def move(part: Path, path: Path) -> None:
    """Put a whole output where it belongs, in place of an earlier one."""
    if part.is_dir() and path.exists():
        # A folder cannot be replaced in one step. Killed between the two, the output is missing, not half there.
        old = path.with_name(f".{path.name}.old")
        remove(old)
        path.rename(old)
        part.rename(path)
        remove(old)
    else:
        os.replace(part, path)


def remove(path: Path) -> None:
    """Take a file or folder away, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What a full disk or a missing right raises, as one line."""
    try:
        yield
    except OSError as error:
        why = error.strerror or " ".join(str(error).split())
        raise DealignError(
            f"cannot write {path}: {why}; nothing was changed, and nothing half-written is left"
        ) from error
