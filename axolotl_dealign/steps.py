"""Run a long program with its output in a log, and say what happened when it fails."""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from axolotl_dealign.errors import StepError

TAIL_LINES = 25
_POLL_SECONDS = 0.5
# Colours and cursor movements, and whatever else a terminal would act on.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def run_step(
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    on_tick: Callable[[str], None] | None = None,
) -> float:
    """Run a program to its end.

    Args:
        command: The program and its arguments.
        log: File that gets everything it prints.
        env: Variables to set over this process's own.
        on_tick: Called now and then with the last line of the log.

    Returns:
        Seconds that it took.

    Raises:
        StepError: It ended with another exit code than 0; holds the command, the code and the end of the log.
    """
    began = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment(), **(env or {})},
            start_new_session=True,  # so that its own children (launchers, data workers) end with it
            preexec_fn=_die_with_parent,
        )
        try:
            while process.poll() is None:
                time.sleep(_POLL_SECONDS)
                if on_tick is not None:
                    on_tick(last_line(log))
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        raise StepError(
            f"`{shlex.join(command)}` exited with {process.returncode}; the end of {log}:\n{tail(log, TAIL_LINES)}"
        )
    return time.monotonic() - began


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
    """The last lines of a log, as plain text."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 400 * lines))
        text = file.read().decode("utf-8", "replace")
    # A progress bar rewrites its line after a carriage return; the last state is what a reader wants.
    plain = (_CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2]).rstrip() for line in text.split("\n"))
    return "\n".join([line for line in plain if line][-lines:])


def last_line(log: Path) -> str:
    """The last line of a log, as plain text; empty where there is none yet."""
    return tail(log, 1)


_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Where this program is killed outright, nothing of it may go on writing beside the next run."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=10)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return
