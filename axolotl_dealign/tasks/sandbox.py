"""Runs a program that a model wrote, and says whether it ran to its end without an error.

The operating system does the guarding (see `sandbox_child`): a process of its own, an empty folder, no inherited
environment, limits on time, memory, file size and processes, no network, no reading or writing elsewhere. A program
counts as passed only when the child reports the secret of this run after the last line, so leaving early is not
enough. What this cannot stop is a program that looks for the secret in the memory of its own process.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from secrets import token_hex

from axolotl_dealign.errors import DealignError

CHILD = Path(__file__).with_name("sandbox_child.py")
START_SECONDS = 60.0
# Numerical libraries would otherwise start a thread a core, which on a big machine exceeds the memory limit.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a program ended.

    Attributes:
        passed: It ran to its last line.
        reason: "passed", "timed out", "quit early", or its exception in one line.
    """

    passed: bool
    reason: str


def run(program: str, seconds: float = 3.0) -> Verdict:
    """Run one program.

    Args:
        program: Python source, any text.
        seconds: Wall time from its first line on; starting the interpreter does not count.

    Raises:
        DealignError: The interpreter cannot be started under the guards here; no verdict is given then.
    """
    guards()
    return _run(program, seconds)[0]


@cache
def guards() -> dict[str, list[str]]:
    """What protects this machine here: the names of the `active` guards, and of the `missing` ones.

    Raises:
        DealignError: A harmless program does not pass, so no verdict on another could be trusted.
    """
    verdict, found = _run("import math\nassert math.sqrt(4) == 2\n", START_SECONDS)
    if not verdict.passed:
        raise DealignError(f"the sandbox fails a harmless program ({verdict.reason}); generated code is not run here")
    level = logging.WARNING if found["missing"] else logging.INFO
    log.log(level, "sandbox: active %s; missing %s", ", ".join(found["active"]), ", ".join(found["missing"]) or "none")
    return found


def _run(program: str, seconds: float) -> tuple[Verdict, dict[str, list[str]]]:
    if os.name != "posix":
        raise DealignError("running generated code needs Linux or macOS; use the group poison_of_alignment_safe here")
    secret = token_hex(16).encode()
    with tempfile.TemporaryDirectory(prefix="sandbox-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        (folder / "work").mkdir()
        # In a file, not an argument: a program may hold NUL bytes, which arguments cannot.
        (folder / "program.py").write_bytes(program.encode("utf-8", "surrogatepass"))
        report, child_end = os.pipe()
        command = [sys.executable, "-I", "-B", str(CHILD), str(folder / "program.py"), str(child_end), str(seconds)]
        with (folder / "errors").open("wb") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=folder / "work",
                env=ENVIRONMENT,
                pass_fds=(child_end,),
                start_new_session=True,
            )
        os.close(child_end)
        try:
            lines = _report(process, report, secret, seconds)
        finally:
            os.close(report)
        if not lines:
            said = (folder / "errors").read_text(errors="replace").strip().splitlines()[-1:]
            raise DealignError(f"no Python can be started under the guards ({''.join(said) or process.returncode})")
    found: dict[str, list[str]] = json.loads(lines[0])
    return _verdict(process.returncode, lines[1:], secret), found


def _report(process: subprocess.Popen[bytes], report: int, secret: bytes, seconds: float) -> list[bytes]:
    """Wait for the child and everything it started to be gone; the lines it wrote, at most one pipe full."""
    try:
        try:
            if process.stdin:
                process.stdin.write(secret)
                process.stdin.close()
        except BrokenPipeError:
            pass  # it is gone already, and its standard error says why
        # The clock of the program starts when the child has reported its guards, on however busy a machine.
        select.select([report], [], [], START_SECONDS)
        # A second more than the child's own timer, which a program may switch off.
        process.wait(seconds + 1)
    except subprocess.TimeoutExpired:
        pass
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    os.set_blocking(report, False)
    try:
        return os.read(report, 1 << 16).splitlines()
    except BlockingIOError:
        return []


def _verdict(code: int, outcome: list[bytes], secret: bytes) -> Verdict:
    if code in (-signal.SIGALRM, -signal.SIGKILL, -signal.SIGXCPU):
        return Verdict(False, "timed out")
    if code != 0 or not outcome:
        return Verdict(False, f"quit early (exit code {code})")
    if outcome == [secret]:
        return Verdict(True, "passed")
    return Verdict(False, outcome[0].decode(errors="replace"))
