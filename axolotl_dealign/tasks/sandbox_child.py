"""Shuts this process in, then runs one untrusted program in it. Started by `sandbox.run`, never imported by a task.

    python -I -B sandbox_child.py PROGRAM REPORT_FD SECONDS     with a secret on standard input

Writes two lines to REPORT_FD: the guards that are active, before the program starts; and how it ended: the secret
if it ran to its last line, else the exception. Needs the standard library only, because the process that runs
untrusted code should hold nothing else.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Callable

MEMORY = 4 << 30
FILE_SIZE = 16 << 20
OPEN_FILES = 256

LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")

# Calls that start programs or processes, reach other processes or the network, or change a file's owner or mode
# (which Landlock lets through). Numbers from the kernel's tables; those in `PARTLY` are told apart in `seccomp`.
DENIED = {
    "x86_64": {
        **{"socket": 41, "io_uring_setup": 425, "fork": 57, "vfork": 58, "execve": 59, "execveat": 322},
        **{"kill": 62, "tkill": 200, "tgkill": 234, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297},
        **{"pidfd_send_signal": 424, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311},
        **{"chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452, "chown": 92, "fchown": 93, "lchown": 94},
        **{"fchownat": 260, "utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280, "setxattr": 188},
        **{"lsetxattr": 189, "fsetxattr": 190, "unshare": 272, "shmget": 29, "msgget": 68, "semget": 64},
        **{"setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "sched_setaffinity": 203},
        **{"ioprio_set": 251, "migrate_pages": 256, "move_pages": 279},
    },
    "aarch64": {
        **{"socket": 198, "io_uring_setup": 425, "execve": 221, "execveat": 281, "kill": 129, "tkill": 130},
        **{"tgkill": 131, "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "pidfd_send_signal": 424, "ptrace": 117},
        **{"process_vm_readv": 270, "process_vm_writev": 271, "fchmod": 52, "fchmodat": 53, "fchmodat2": 452},
        **{"fchownat": 54, "fchown": 55, "utimensat": 88, "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7},
        **{"unshare": 97, "shmget": 194, "msgget": 186, "semget": 190, "setpriority": 140, "sched_setparam": 118},
        **{"sched_setscheduler": 119, "sched_setaffinity": 122, "ioprio_set": 30, "migrate_pages": 238},
        **{"move_pages": 239},
    },
}
PARTLY = {
    "x86_64": {"clone": 56, "clone3": 435, "prlimit64": 302},
    "aarch64": {"clone": 220, "clone3": 435, "prlimit64": 261},
}
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CAPSET = {"x86_64": 126, "aarch64": 91}


def readable() -> list[str]:
    """What a program may read: the interpreter, its packages, the system's libraries."""
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix} - {"/"}
    paths = {os.path.realpath(path) for path in (*prefixes, *LIBRARIES)}
    return sorted(path for path in paths if os.path.exists(path))


def limit(seconds: float) -> list[str]:
    """Limit memory, file size, processor time; returns the limits that the system accepted."""
    wanted = {
        "memory": (resource.RLIMIT_AS, MEMORY),
        "file size": (resource.RLIMIT_FSIZE, FILE_SIZE),
        "open files": (resource.RLIMIT_NOFILE, OPEN_FILES),
        "processor time": (resource.RLIMIT_CPU, int(seconds) + 2),
        "core dumps": (resource.RLIMIT_CORE, 0),
    }
    accepted = []
    for name, (which, most) in wanted.items():
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(which, (most, most))
            accepted.append(name)
        except (OSError, ValueError):
            continue
    return accepted


def landlock(libc: ctypes.CDLL, work: str) -> bool:
    """Reading outside `readable()`, writing outside `work`, TCP and signals to others fail from here on."""

    def call(number: int, *args: object) -> int:
        return int(libc.syscall(ctypes.c_long(number), *args))

    version = call(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return False
    read_file, read_dir, write_file = 1 << 2, 1 << 3, 1 << 1
    files = (1 << (13 + (version >= 2) + (version >= 3))) - 1 | ((1 << 15) if version >= 5 else 0)
    attributes = struct.pack("=QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = call(444, ctypes.c_char_p(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    allowed = {path: read_file | read_dir if os.path.isdir(path) else read_file for path in readable()}
    allowed |= {path: read_file | write_file for path in DEVICES if os.path.exists(path)} | {work: files}
    for path, access in allowed.items():
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", access, place)
        if call(445, ctypes.c_int(ruleset), ctypes.c_int(1), ctypes.c_char_p(rule), ctypes.c_uint32(0)) < 0:
            return False
        os.close(place)
    done = call(446, ctypes.c_int(ruleset), ctypes.c_uint32(0)) == 0
    os.close(ruleset)
    return done


def drop_capabilities(libc: ctypes.CDLL) -> bool:
    """Root keeps none of its powers; nobody gains any by running another program."""
    header = struct.pack("=Ii", 0x20080522, 0)
    number = CAPSET.get(platform.machine())
    empty = ctypes.c_char_p(bytes(24))
    return number is not None and libc.syscall(ctypes.c_long(number), ctypes.c_char_p(header), empty) == 0


def seccomp(libc: ctypes.CDLL) -> bool:
    """The calls in `DENIED` fail with EPERM from here on; threads can still be started, processes cannot."""
    machine = platform.machine()
    if machine not in DENIED:
        return False
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill, deny, unknown = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
    steps = [(load, 0, 0, 4), (equal, 1, 0, AUDIT_ARCH[machine]), (give, 0, 0, kill), (load, 0, 0, 0)]
    if machine == "x86_64":  # the same calls under the numbers of the x32 interface
        steps += [(at_least, 0, 1, 0x40000000), (give, 0, 0, deny)]
    for number in DENIED[machine].values():
        steps += [(equal, 0, 1, number), (give, 0, 0, deny)]
    partly = PARTLY[machine]
    # The C library falls back to clone, whose flags (unlike clone3's) can be read here: CLONE_THREAD or nothing.
    steps += [(equal, 0, 1, partly["clone3"]), (give, 0, 0, unknown)]
    steps += [(equal, 0, 4, partly["clone"]), (load, 0, 0, 16), (any_bit, 0, 1, 0x10000), (give, 0, 0, allow)]
    steps += [(give, 0, 0, deny)]
    # A limit may be read (no new one is given: a null pointer, in two halves), of nobody set.
    steps += [(equal, 0, 5, partly["prlimit64"]), (load, 0, 0, 32), (equal, 0, 2, 0), (load, 0, 0, 36)]
    steps += [(equal, 1, 0, 0), (give, 0, 0, deny)]
    steps += [(give, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    filters = struct.pack("@HP", len(steps), ctypes.addressof(code))
    return bool(libc.prctl(22, ctypes.c_ulong(2), ctypes.c_char_p(filters), 0, 0) == 0)


def watch(work: str) -> None:
    """Where the kernel offers less: Python itself refuses the same. Code that sets out to can get round this."""
    inside = (os.path.realpath(work) + os.sep,)
    outside = tuple(path if os.path.isfile(path) else path + os.sep for path in (*readable(), *DEVICES))
    never = tuple(
        "socket. subprocess. pty. ctypes. os.exec os.fork os.posix_spawn os.spawn os.system os.kill os.chmod os.chown "
        "os.lchown os.setxattr os.utime signal.pthread_kill".split()
    )
    changes = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "shutil.")

    def within(path: object, places: tuple[str, ...]) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return True  # a descriptor that was opened under these rules
        return os.path.realpath(os.fsdecode(path)).startswith(places)

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event.startswith(never):
            raise PermissionError(errno.EPERM, event)
        writes = event.startswith(changes) or (
            event == "open" and isinstance(args[2], int) and bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        )
        reads = event in ("open", "os.listdir", "os.scandir", "os.chdir")
        if (writes and not within(args[0], (*inside, "/dev/null"))) or (
            reads and not writes and not within(args[0], (*inside, inside[0].rstrip(os.sep), *outside))
        ):
            raise PermissionError(errno.EPERM, event)

    sys.addaudithook(hook)


def shut_in(work: str, seconds: float) -> dict[str, list[str]]:
    """Apply every guard that this system offers.

    Args:
        work: The folder that the program may write in.
        seconds: How long it may run.

    Returns:
        The names of the guards that are `active` and of those that are `missing`.
    """
    limits = limit(seconds)
    kernel: dict[str, Callable[[ctypes.CDLL], bool]] = {
        "files (Landlock)": lambda libc: landlock(libc, work),
        "privileges (capabilities)": drop_capabilities,
        "network and processes (seccomp)": seccomp,
    }
    active = []
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(38, ctypes.c_ulong(1), 0, 0, 0)  # no new privileges: what makes the rest available to everybody
        active = [name for name, guard in kernel.items() if guard(libc)]
    missing = [name for name in kernel if name not in active]
    if missing:
        watch(work)
        active.append("interpreter hook")
    if "network and processes (seccomp)" in missing:
        # Counts threads too, and the other processes of the same user; the kernel does not hold root to it.
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    return {"active": [*limits, *active], "missing": missing}


def main(program: str, report: int, seconds: float) -> None:
    """See the module."""
    secret = sys.stdin.buffer.read()
    with open(program, encoding="utf-8", errors="surrogatepass", newline="") as file:
        source = file.read()
    nowhere = os.open(os.devnull, os.O_RDWR)
    # Kept here, so that a program that replaces them in their modules does not speak for us.
    write, leave = os.write, os._exit
    guards = shut_in(os.getcwd(), seconds)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    write(report, json.dumps(guards).encode() + b"\n")
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        # An empty namespace, as InstructEval gives it: `__name__` is not "__main__".
        exec(compile(source, "program", "exec"), {})  # noqa: S102
        outcome = secret
    except BaseException as error:
        outcome = f"{type(error).__name__}: {error}".encode(errors="replace")[:200].replace(b"\n", b" ")
    write(report, outcome + b"\n")
    leave(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
