"""The inside of a confined child: gives up rights, then runs one function. Standard library only, loaded by sandbox.run_confined alone.

Everything is best effort and reported back: what the kernel refuses is named in the "used" frame, never assumed. Linux does all of it through
raw system calls, so no optional package is needed; elsewhere only resource limits remain.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import platform
import signal
import struct
import sys
from typing import Any, BinaryIO, NoReturn

MAGIC = b"SVRN"
LINUX = platform.system() == "Linux"
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWPID, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x20000000, 0x08000000
_CLONE_THREAD = 0x00010000
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38

# (x86_64, aarch64) numbers from the kernel's tables; None where an architecture has no such call.
_FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241),
    "kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142),
    "swapon": (167, 224), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265), "io_uring_setup": (425, 425), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "mount_setattr": (442, 442), "acct": (163, 89), "settimeofday": (164, 170), "clock_settime": (227, 112), "sethostname": (170, 161),
    "pidfd_getfd": (438, 438), "quotactl": (179, 60),
}  # fmt: skip
_SOCKET, _CLONE, _CLONE3, _FORK, _VFORK = (41, 198), (56, 220), (435, 435), (57, None), (58, None)
_ARCHES = {"x86_64": (0, 0xC000003E, 126), "aarch64": (1, 0xC00000B7, 91)}  # column, AUDIT_ARCH, capset


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _named(number: int) -> str:
    return errno.errorcode.get(number, str(number))


# --- namespaces ---


def enter_namespaces(*, network: bool) -> str:
    """New user, process and IPC namespaces, and an empty network one unless `network`. Returns "active ..." or why not."""
    uid, gid = os.getuid(), os.getgid()
    flags = _CLONE_NEWUSER | _CLONE_NEWPID | _CLONE_NEWIPC | (0 if network else _CLONE_NEWNET)
    if _libc().unshare(flags) != 0:
        return f"refused by the kernel ({_named(ctypes.get_errno())})"
    try:
        for name, value in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:  # noqa: PTH123 - no pathlib in a 20 ms start
                stream.write(value)
    except OSError as exc:
        return f"active without an identity map ({_named(exc.errno or 0)})"
    return "active"


def become_worker() -> None:
    """Forks twice: the first process waits outside, the second is the namespace's init and reaps, the third runs the target.

    The target must not be init itself, because signals with their default action (a processor-time limit, an abort) do not reach an init.
    Killing the first ends the second, and with it every process of the namespace.
    """
    for _ in range(2):
        pid = os.fork()
        if pid:
            _wait_for(pid)
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _wait_for(pid: int) -> NoReturn:
    """Holds no pipe open, reaps whatever is orphaned, and ends with the child's status; 128 + n stands for signal n, as in a shell."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(16):
        if fd != null:
            os.dup2(null, fd)
    status = 0
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            break
    os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def drop_capabilities() -> None:
    """No capability is left, so that root cannot raise its limits again; no_new_privs keeps an exec from regaining them."""
    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    machine = _ARCHES.get(platform.machine())
    if machine:
        header = struct.pack("=Ii", 0x20080522, 0)
        libc.syscall(machine[2], ctypes.c_char_p(header), ctypes.c_char_p(bytes(24)))


# --- resource limits ---


def limit_resources(limits: dict[str, Any], *, own_user_namespace: bool) -> str:
    """Sets soft and hard limits alike. RLIMIT_NPROC counts the whole user outside a user namespace, so there it is left alone."""
    try:
        import resource
    except ImportError:
        return "absent: no resource module on this system"
    wanted = [
        ("RLIMIT_CORE", 0),
        ("RLIMIT_AS", int(limits["address_space_mib"]) * 2**20),
        ("RLIMIT_FSIZE", int(limits["file_mib"]) * 2**20),
        ("RLIMIT_NOFILE", int(limits["open_files"])),
    ]
    if own_user_namespace:
        wanted.append(("RLIMIT_NPROC", int(limits["processes"]) + int(limits["threads"])))
    done = []
    for name, value in wanted:
        if not hasattr(resource, name):
            continue
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(number, (value, value))
        except (OSError, ValueError):
            continue  # macOS refuses RLIMIT_AS; what is missing from the answer is not in force
        done.append(name.removeprefix("RLIMIT_").lower())
    cpu = max(1, int(limits["cpu_s"] + 0.999))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    return f"active ({', '.join([*done, 'cpu'])})"


# --- Landlock (kernel documentation: userspace-api/landlock) ---

_READ = 0x1 | 0x4 | 0x8  # execute, read file, read directory
_FILE_RIGHTS = 0x1 | 0x2 | 0x4 | 0x4000 | 0x8000


def landlock_abi() -> int:
    """The ABI version of this kernel, 0 where there is none."""
    if not LINUX:
        return 0
    return max(0, int(_libc().syscall(444, None, ctypes.c_size_t(0), 1)))


def restrict_paths(readable: list[str], writable: list[str], *, network: bool) -> str:
    """Only these trees can be read or written, and no TCP port bound or connected unless `network` (ABI 4 and later)."""
    abi = landlock_abi()
    if abi < 1:
        return "absent: this kernel has no Landlock"
    every = (1 << 13) - 1
    every |= (0x2000 if abi >= 2 else 0) | (0x4000 if abi >= 3 else 0) | (0x8000 if abi >= 5 else 0)
    net = 0x3 if abi >= 4 and not network else 0
    attribute = struct.pack("=QQQ", every, net, 0x3 if abi >= 6 else 0)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    libc = _libc()
    ruleset = libc.syscall(444, ctypes.c_char_p(attribute), ctypes.c_size_t(len(attribute)), 0)
    if ruleset < 0:
        return f"refused by the kernel ({_named(ctypes.get_errno())})"
    for paths, rights in ((readable, _READ), (writable, every)):
        for path in paths:
            try:
                fd = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
            except OSError:
                continue  # a path that does not exist needs no right
            allowed = rights if os.path.isdir(path) else rights & _FILE_RIGHTS  # noqa: PTH112
            rule = struct.pack("=Qi", allowed & every, fd)
            libc.syscall(445, ruleset, 1, ctypes.c_char_p(rule), 0)
            os.close(fd)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(446, ruleset, 0) != 0:
        return f"refused by the kernel ({_named(ctypes.get_errno())})"
    os.close(ruleset)
    return f"active (ABI {abi}{', no TCP' if net else ''})"


# --- seccomp ---


def filter_calls(*, network: bool, forks: bool) -> str:
    """Refuses sockets (unless `network`), new processes (unless `forks`) and what only an escape needs; threads stay possible."""
    machine = _ARCHES.get(platform.machine())
    if machine is None:
        return f"absent: no filter written for {platform.machine()}"
    column, audit_arch, _ = machine
    program = _program(column, audit_arch, network=network, forks=forks)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))

    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    wrapped = Program(len(program), ctypes.cast(code, ctypes.c_void_p))
    if libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(wrapped), 0, 0) != 0:
        return f"refused by the kernel ({_named(ctypes.get_errno())})"
    return "active"


def _program(column: int, audit_arch: int, *, network: bool, forks: bool) -> list[tuple[int, int, int, int]]:
    """Classic BPF over struct seccomp_data: nr at 0, arch at 4, the low half of the first argument at 16."""
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, unknown, kill = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS, 0x80000000
    steps = [(load, 0, 0, 4), (equal, 1, 0, audit_arch), (answer, 0, 0, kill), (load, 0, 0, 0)]
    if column == 0:
        steps += [(at_least, 0, 1, 0x40000000), (answer, 0, 0, refuse)]  # the x32 numbers
    numbers = [pair[column] for pair in _FORBIDDEN.values()]
    numbers += [_SOCKET[column]] if not network else []
    numbers += [_FORK[column], _VFORK[column]] if not forks else []
    for number in numbers:
        if number is not None:
            steps += [(equal, 0, 1, number), (answer, 0, 0, refuse)]
    # clone3 hides its flags behind a pointer; ENOSYS makes the C library fall back to clone, whose flags are visible.
    steps += [(equal, 0, 1, _CLONE3[column] or 0), (answer, 0, 0, unknown)]
    steps += [(equal, 0, 4, _CLONE[column] or 0), (load, 0, 0, 16)]
    steps += [(any_bit, 1, 0, _CLONE_NEWUSER)] if forks else [(any_bit, 0, 1, _CLONE_THREAD)]
    steps += [(answer, 0, 0, allow), (answer, 0, 0, refuse), (answer, 0, 0, allow)]
    return steps


# --- the run ---


def _frame(out: BinaryIO, kind: bytes, payload: bytes) -> None:
    out.write(MAGIC + kind + struct.pack("=Q", len(payload)) + payload)
    out.flush()


def _report_failures(out: BinaryIO) -> None:
    """An exception that the target lets out ends as one line. A hook, because a catch-all would also hide what must end the process."""

    def hook(kind: type[BaseException], value: BaseException, _trace: object) -> None:
        text = " ".join((str(value) or kind.__name__).split())[:2000]
        _frame(out, b"E", json.dumps({"type": kind.__name__, "message": text}).encode())

    sys.excepthook = hook


def _confine(order: dict[str, Any]) -> dict[str, str]:
    without, network = set(order["without"]), bool(order["network"])
    used = {"namespaces": "off", "landlock": "off", "seccomp": "off", "bubblewrap": order.get("bubblewrap", "off")}
    if not LINUX:
        used.update(dict.fromkeys(("namespaces", "landlock", "seccomp"), f"absent: not on {platform.system()}"))
    elif "namespaces" not in without:
        used["namespaces"] = enter_namespaces(network=network)
        if used["namespaces"].startswith("active"):
            become_worker()
    if LINUX:
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        drop_capabilities()
    used["rlimits"] = limit_resources(order["limits"], own_user_namespace=used["namespaces"].startswith("active"))
    if LINUX and "landlock" not in without:
        used["landlock"] = restrict_paths(order["readable"], order["writable"], network=network)
    if LINUX and "seccomp" not in without:
        used["seccomp"] = filter_calls(network=network, forks=order["limits"]["processes"] > 1)
    return used


def main() -> NoReturn:
    """Order (one JSON line) and payload on stdin; frames on the first stdout. What the target prints goes to stderr."""
    source = sys.stdin.buffer
    order = json.loads(source.readline())
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _report_failures(out)
    used = _confine(order)
    _frame(out, b"U", json.dumps(used).encode())
    payload = source.read(order["payload"])
    sys.path[:0] = order["import_from"]
    module, _, function = order["target"].partition(":")
    target = getattr(importlib.import_module(module), function)
    result = target(payload) if order["raw"] else target(**json.loads(payload))
    sys.stdout.flush()
    if isinstance(result, bytes):
        _frame(out, b"B", result)
    else:
        _frame(out, b"J", json.dumps(result, allow_nan=False).encode())
    os._exit(0)


def probe() -> dict[str, Any]:
    """What a confined child sees of itself; `doctor` shows it."""
    return {"python": sys.version.split()[0], "landlock_abi": landlock_abi()}
