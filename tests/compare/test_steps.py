from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_step_does_not_outlive_a_killed_parent(tmp_path):
    pid_file = tmp_path / "pid"
    child = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = (
        "import sys, pathlib; from axolotl_dealign.steps import run_step;"
        f"run_step([sys.executable, '-c', {child!r}], pathlib.Path({str(tmp_path / 'log')!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    while not (pid_file.exists() and pid_file.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    status = Path(f"/proc/{pid_file.read_text()}/status")
    for _ in range(100):
        if not status.exists() or "State:\tZ" in status.read_text():
            return
        time.sleep(0.05)
    raise AssertionError("the step is still running")
