"""Run a long program with its output in a log, and say what happened when it fails."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from axolotl_dealign.errors import StepError

TAIL_LINES = 25
_POLL_SECONDS = 0.5
_WAIT_SECONDS = 20.0
"""How long an earlier run may take to end after its parent was killed: the grace of the leash, and some."""
_LEASH = Path(__file__).with_name("leash.py")
# Colours and cursor movements, and whatever else a terminal would act on.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def run_step(
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    on_tick: Callable[[str], None] | None = None,
    before: Callable[[], None] | None = None,
) -> float:
    """Run a program to its end.

    Args:
        command: The program and its arguments.
        log: File that gets everything it prints. Locked as long as anything writes to it.
        env: Variables to set over this process's own.
        on_tick: Called now and then with the end of the log, as plain lines.
        before: Called once it is certain that no earlier run of this step is alive.

    Returns:
        Seconds that it took.

    Raises:
        StepError: It ended with another exit code than 0; holds the command, the code and the end of the log. Or
            an earlier run still writes to the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with _locked(log) as file:
        if before is not None:
            before()
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-I", str(_LEASH), *command],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment(), **(env or {})},
        )
        try:
            while True:
                try:
                    process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if on_tick is not None:
                        on_tick(end(log))
        finally:
            assert process.stdin is not None
            process.stdin.close()  # the leash ends what still runs
            process.wait()
    if process.returncode:
        raise StepError(
            f"`{shlex.join(command)}` exited with {process.returncode}; the end of {log}:\n{tail(log, TAIL_LINES)}"
        )
    return time.monotonic() - began


@contextmanager
def _locked(log: Path) -> Iterator[IO[bytes]]:
    """Open a log that nobody else writes to.

    The lock belongs to the open file, which every process that a step starts inherits as its output: it is free again
    only when the last of them has ended, even if all that stood between was killed.
    """
    with log.open("ab") as file:
        last = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > last:
                    raise StepError(f"an earlier run still writes to {log}; wait for its end, or end it") from None
                time.sleep(0.2)
        file.truncate(0)
        yield file


def environment() -> dict[str, str]:
    """What every step needs: the programs of this Python first on PATH.

    `axolotl train` runs `accelerate` from PATH, which is another one, or none, where this Python's environment is not
    activated.
    """
    found = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
    }
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        # Axolotl's telemetry waits at exit, seen for minutes and without end, for a host that cannot be reached.
        found["AXOLOTL_DO_NOT_TRACK"] = os.environ.get("AXOLOTL_DO_NOT_TRACK", "1")
    return found


def tail(log: Path, lines: int) -> str:
    """The last lines of a log, as plain text; of a progress bar, which rewrites its line, the last state."""
    states = (line.rstrip("\r").rpartition("\r")[2] for line in _end(log, 400 * lines).split("\n"))
    plain = [line for state in states if (line := _CONTROL.sub("", state).rstrip())]
    return "\n".join(plain[-lines:])


def end(log: Path, size: int = 4096) -> str:
    """The last bytes of a log, as plain lines; of a progress bar every state."""
    return _CONTROL.sub("", _end(log, size).replace("\r", "\n"))


def _end(log: Path, size: int) -> str:
    with log.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - size))
        return file.read().decode("utf-8", "replace")
