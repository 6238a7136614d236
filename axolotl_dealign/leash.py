"""Runs one command, and ends all of it when the program that asked for it is gone, however that was killed.

    python leash.py COMMAND…     with a pipe as standard input, whose other end only the asking program holds

A launcher (accelerate, torchrun) starts processes of its own, which no signal reaches when their grandparent is killed
outright. The pipe closes then, whatever happened. Standard library only: it starts in a few milliseconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 10.0


def main(command: list[str]) -> int:
    """Run the command to its end, or to the end of standard input.

    Returns:
        Its exit code; 128 + the signal that ended it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the asking program, which then lets go of the leash
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    watcher = threading.Thread(target=_end_with_stdin, args=[child], daemon=True)
    watcher.start()
    code = child.wait()
    _kill(child.pid, signal.SIGKILL)  # what it left behind in its group, data workers for example
    return code if code >= 0 else 128 - code


def _end_with_stdin(child: subprocess.Popen[bytes]) -> None:
    os.read(0, 1)  # nothing is ever written: this returns when the pipe is closed
    _kill(child.pid, signal.SIGTERM)
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(child.pid, signal.SIGKILL)


def _kill(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
