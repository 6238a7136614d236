"""Generated programs can neither do harm nor pass without running to their end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from axolotl_dealign.errors import DealignError
from axolotl_dealign.tasks import sandbox

CHECK = "\nassert answer() == 42\n"
ANSWER = "def answer():\n    return 42\n"


def run(program: str, seconds: float = 3.0) -> sandbox.Verdict:
    return sandbox.run(textwrap.dedent(program), seconds)


def kernel_guards() -> bool:
    return not sandbox.guards()["missing"]


needs_kernel = pytest.mark.skipif(
    sys.platform != "linux" or not kernel_guards(), reason="needs Landlock and seccomp, which this system lacks"
)


def test_a_right_program_passes_and_a_wrong_one_does_not():
    assert run(ANSWER + CHECK) == sandbox.Verdict(True, "passed")
    assert run("def answer():\n    return 41\n" + CHECK) == sandbox.Verdict(False, "AssertionError: ")
    assert run("def answer(:\n" + CHECK).reason.startswith("SyntaxError")


def test_libraries_work_and_the_module_is_not_main():
    assert run(
        "import re, math, hashlib, collections, typing, datetime\nimport numpy\nassert numpy.ones(3).sum() == 3"
    ).passed
    assert run("import threading; t = threading.Thread(target=print); t.start(); t.join()").passed
    assert run("assert __name__ != '__main__'; import resource; resource.getrlimit(resource.RLIMIT_AS)").passed


@pytest.mark.parametrize(
    "leave",
    [
        "import os; os._exit(0)",
        "import sys; sys.exit(0)",
        "raise SystemExit",
        "exit()",
        "import os; os.kill(os.getpid(), 15)",
        "import os; os.abort()",
        "import threading, os; threading.Thread(target=lambda: os._exit(0)).start(); import time; time.sleep(2)",
        "import os, sys\nos.closerange(0, 256)",
    ],
)
def test_leaving_before_the_check_is_not_passing(leave):
    verdict = run(f"{leave}\n" + ANSWER + CHECK if "closerange" not in leave else f"{ANSWER}{CHECK}{leave}\n")
    assert not verdict.passed


def test_lines_of_its_own_in_the_report_do_not_make_it_pass():
    forge = "import os\nfor fd in range(3, 256):\n    try: os.write(fd, b'forged\\n')\n    except OSError: pass\n"
    assert not run(forge + ANSWER + CHECK).passed
    assert not run(forge + "os._exit(0)").passed


@pytest.mark.parametrize(
    "endless",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        "import signal; signal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass",
        "import signal; signal.alarm(0); import time; time.sleep(60)",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "'a' * 30 + 'b'\nimport re; re.match(r'(a+)+$', 'a' * 40 + 'b')",
    ],
)
def test_an_endless_program_is_stopped(endless):
    started = time.monotonic()
    verdict = run(endless, seconds=1.0)
    assert verdict == sandbox.Verdict(False, "timed out")
    assert time.monotonic() - started < 20  # far more than the two seconds it takes, for a busy machine


@pytest.mark.parametrize(
    "program",
    [
        "x = bytearray(10 << 30)",
        "import mmap\nx = []\nwhile True: x.append(mmap.mmap(-1, 1 << 30))",
        "x = 'a' * (10 << 30)",
    ],
)
def test_ten_gigabytes_are_refused(program):
    assert run(program, seconds=20).reason.startswith(("MemoryError", "OSError: [Errno 12]"))


def test_output_of_a_gigabyte_goes_nowhere():
    assert run("for _ in range(1024): print('x' * (1 << 20))", seconds=20).passed


def test_a_big_file_is_refused():
    verdict = run("with open('big', 'wb') as file:\n    for _ in range(64): file.write(bytes(1 << 20))", seconds=20)
    assert verdict.reason == "OSError: [Errno 27] File too large"


@pytest.mark.parametrize(
    "program", ["x = 'a\0b'\n" + ANSWER + CHECK, "\0", "# \ud800\nx = 1", "\ufeff" + ANSWER + CHECK, "\x1b[2J"]
)
def test_text_that_is_no_program_fails_quietly(program):
    assert not sandbox.run(program).passed


def test_an_exception_that_cannot_be_printed_is_still_a_failure():
    assert not run("class E(Exception):\n    def __str__(self): raise ValueError\nraise E").passed
    assert "\n" not in run("raise ValueError('two\\nlines' * 1000)").reason
    assert not run("def f(): return f()\nimport sys; sys.setrecursionlimit(10**9); f()").passed


@needs_kernel
def test_no_process_can_be_started():
    for program in (
        "import os; os.fork()",
        "import os\nwhile True: os.fork()",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', ''])",
        "import os; os.execv('/bin/sh', ['sh'])",
        "import os; os.posix_spawn('/bin/sh', ['sh'], {})",
        "import multiprocessing; multiprocessing.Process(target=print).start()",
        "import os; assert os.system('true') == 0",
    ):
        assert not run(program).passed, program


@needs_kernel
def test_no_network():
    for family in ("AF_INET", "AF_INET6", "AF_UNIX"):
        for kind in ("SOCK_STREAM", "SOCK_DGRAM"):
            verdict = run(f"import socket; socket.socket(socket.{family}, socket.{kind})")
            assert verdict.reason == "PermissionError: [Errno 1] Operation not permitted"


def test_the_environment_and_the_files_of_the_parent_cannot_be_read(tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    monkeypatch.setenv("POA_SECRET", "secret")
    assert run(
        "import os; assert not [name for name in os.environ if 'SECRET' in name or name in ('HOME', 'PATH')]"
    ).passed
    for path in (secret, f"/proc/{os.getpid()}/environ", "/proc/self/environ", __file__, "/etc/passwd"):
        assert "Permission" in run(f"open({str(path)!r}, 'rb').read()").reason, path
    assert "Permission" in run(f"import os; os.listdir({str(tmp_path)!r})").reason


def test_it_writes_in_its_own_empty_folder_only(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("whole")
    victim.chmod(0o644)
    assert run(
        "import os; assert os.listdir() == []; open('file', 'w').write('x'); assert os.listdir() == ['file']"
    ).passed
    assert run("import os; assert os.listdir() == []").passed  # nothing is left for the next one
    for program in (
        f"open({str(tmp_path / 'new')!r}, 'w')",
        f"open({str(victim)!r}, 'a')",
        f"import os; os.truncate({str(victim)!r}, 0)",
        f"import os; os.remove({str(victim)!r})",
        f"import os; os.rename({str(victim)!r}, 'mine')",
        f"import os; os.chmod({str(victim)!r}, 0o777)",
        f"import os; os.mkdir({str(tmp_path / 'folder')!r})",
        f"import os; os.symlink('x', {str(tmp_path / 'link')!r})",
        f"import os; os.utime({str(victim)!r}, (0, 0))",
        f"import os; os.link({str(victim)!r}, 'mine')",
        "open('../program.py', 'w')",
        f"import shutil; shutil.rmtree({str(tmp_path)!r})",
    ):
        assert not run(program).passed, program
    assert sorted(tmp_path.iterdir()) == [victim]
    assert victim.read_text() == "whole" and victim.stat().st_mode & 0o777 == 0o644 and victim.stat().st_mtime > 0


def test_it_cannot_reach_its_parent():
    for program in (
        "import os; os.kill(os.getppid(), 9)",
        "import os; os.kill(-1, 9)",
        "import os; os.killpg(os.getpgid(os.getppid()), 9)",
        "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0))",
        "import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
        "import os; os.sched_setaffinity(os.getppid(), {0})",
    ):
        assert not run(program).passed, program


@needs_kernel
def test_limits_and_guards_cannot_be_taken_off():
    for program in (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)",
        "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); assert libc.unshare(0x10000000) == 0",
        "import os; os.setuid(0); os.chroot('.')",
        "import os; os.setresuid(1, 1, 1)",
    ):
        assert not run(program).passed, program


def test_nothing_of_a_program_is_left_running_or_lying_about(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    run("import os; os.mkdir('a'); open('a/b', 'w').write('x'); os.mkdir('c', 0); 1 / 0")
    run("while True: pass", seconds=0.5)
    assert list(tmp_path.iterdir()) == []


def test_where_the_kernel_offers_nothing_python_refuses_the_same(tmp_path):
    """The interpreter hook alone, as on macOS or an old kernel."""
    script = f"""
import sys; sys.path.insert(0, {str(sandbox.CHILD.parent)!r})
import os, sandbox_child
os.chdir(sys.argv[1])
sandbox_child.watch(os.getcwd())
import json, decimal  # still readable
open("mine", "w").write("x"); os.remove("mine"); os.listdir()
open(os.devnull, "w").close()
import socket, subprocess
def refused(do):
    try: do()
    except PermissionError: return
    raise SystemExit(f"allowed: {{do.__code__.co_firstlineno}}")
refused(lambda: socket.socket())
refused(lambda: subprocess.run(["true"]))
refused(lambda: os.fork())
refused(lambda: os.system("true"))
refused(lambda: os.kill(os.getppid(), 0))
refused(lambda: open({str(Path(__file__))!r}))
refused(lambda: open("../new", "w"))
refused(lambda: open(b"../new", "wb"))
refused(lambda: os.open("../new", os.O_CREAT | os.O_WRONLY))
refused(lambda: os.listdir(".."))
refused(lambda: os.mkdir("../new"))
refused(lambda: os.remove({str(Path(__file__))!r}))
refused(lambda: os.rename({str(Path(__file__))!r}, "mine"))
"""
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run([sys.executable, "-I", "-c", script, str(work)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == [work]


def test_a_sandbox_that_cannot_start_gives_no_verdict(monkeypatch, tmp_path):
    broken = tmp_path / "child.py"
    broken.write_text("raise RuntimeError('no start')")
    monkeypatch.setattr(sandbox, "CHILD", broken)
    with pytest.raises(DealignError, match="no Python can be started under the guards .*no start"):
        sandbox.run("pass")
