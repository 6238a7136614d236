from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from axolotl_dealign import steps
from axolotl_dealign.errors import StepError
from axolotl_dealign.steps import environment, run_step, tail


def test_a_failing_step_says_its_command_its_code_and_the_end_of_its_log(tmp_path):
    script = "import sys\nfor i in range(100): print('line', i)\nsys.exit(7)"
    with pytest.raises(StepError) as error:
        run_step([sys.executable, "-c", script], tmp_path / "step.log")
    message = str(error.value)
    assert "exited with 7" in message
    assert message.endswith("line 99")
    assert "line 80" in message
    assert "line 10\n" not in message


def test_the_tail_is_plain_text(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\x1b[31mred\x1b[0m\n 10%\r 50%\r100%\n\x07bell\n\n")
    assert tail(log, 5) == "red\n100%\nbell"


def test_the_programs_of_this_python_come_first():
    assert environment()["PATH"].split(os.pathsep)[0] == os.path.dirname(sys.executable)


def gone(pid: int) -> bool:
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")  # ended, and waiting for an init that is slow to notice
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_neither_a_step_nor_what_it_started_outlives_a_killed_parent(tmp_path):
    pids = tmp_path / "pids"
    child = (
        "import os, subprocess, sys, time;"
        "below = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{below.pid}}.'); time.sleep(60)"
    )
    parent = (
        "import sys, pathlib; from axolotl_dealign.steps import run_step;"
        f"run_step([sys.executable, '-c', {child!r}], pathlib.Path({str(tmp_path / 'log')!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    while not (pids.exists() and pids.read_text().endswith(".")):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert all(gone(int(pid)) for pid in pids.read_text().rstrip(".").split())


def test_a_step_waits_for_what_an_earlier_run_left_alive(tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setattr(steps, "_WAIT_SECONDS", 0.3)
    with log.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # As a process that a launcher started in a session of its own: no leash reaches it, but the log is its output.
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=file)
    called: list[str] = []
    try:
        with pytest.raises(StepError, match="an earlier run still writes to"):
            run_step([sys.executable, "-c", ""], log, before=lambda: called.append("before"))
        assert not called
    finally:
        left.kill()
        left.wait()
    run_step([sys.executable, "-c", ""], log, before=lambda: called.append("before"))
    assert called


def test_a_signal_that_ended_a_step_is_its_exit_code(tmp_path):
    with pytest.raises(StepError, match="exited with 137"):
        run_step([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], tmp_path / "log")


def test_a_stopped_step_is_ended(tmp_path):
    def tick(line: str) -> None:
        if line.strip():
            pids.append(int(line))
            raise KeyboardInterrupt

    pids: list[int] = []
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        run_step([sys.executable, "-c", child], tmp_path / "log", on_tick=tick)
    assert gone(pids[0])
