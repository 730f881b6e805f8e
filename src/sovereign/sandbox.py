"""Runs one function in a child process that first gives up files, network, processes and time. Imports errors and the standard library.

Limits of space and time and the kill of the whole process group always hold. Landlock, seccomp and namespaces are used where the kernel gives
them, bubblewrap where Landlock is missing; `Confined.used` says which were in force for this very run. Refuses to run a target by anything
but its "module:function" name: no code crosses, and nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from sovereign._confined import LINUX, MAGIC, landlock_abi

_BOOT = "import sys; sys.path.append(sys.argv[1]); from sovereign._confined import main; main()"
_SYSTEM_READABLE = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/opt", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
    "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
    "/proc/sys/vm", "/proc/sys/kernel", "/proc/version", "/proc/filesystems", "/sys/devices/system", "/sys/fs/cgroup",
)  # fmt: skip
_WATCH_S = 0.1  # how often processes and resident memory are counted; 0.02 s when forks are allowed
_TAIL_BYTES = 16 * 1024


@dataclass(frozen=True)
class Limits:
    """wall_s and cpu_s seconds; memory_mib resident over all processes (and address space, unless address_space_mib says otherwise: torch and CUDA
    reserve far more than they touch); processes (1: no fork at all), threads; file_mib per written file; open_files; result_mib and
    stderr_mib that the parent accepts."""

    wall_s: float = 60.0
    cpu_s: float | None = None  # None: as wall_s times the four cores a child may use
    memory_mib: int = 2048
    address_space_mib: int | None = None
    processes: int = 1
    threads: int = 64
    file_mib: int = 256
    open_files: int = 256
    result_mib: int = 64
    stderr_mib: int = 16


@dataclass(frozen=True)
class Confined:
    """How a child ended. `reason` is one line, "" when done; `cause` is a code: "" | error | timeout | cpu | memory | processes | output | signal | no_result.

    used: confinement -> "active ...", "absent: ...", "refused ..." or "off"; empty when the child died before it could say.
    """

    result: Any
    state: Literal["done", "failed", "killed", "timeout"]
    reason: str
    stderr_tail: str
    used: dict[str, str] = field(default_factory=dict)
    cause: str = ""
    error_type: str = ""
    wall_s: float = 0.0

    def active(self, part: str) -> bool:
        return self.used.get(part, "").startswith("active")


def run_confined(
    target: str,
    args: Mapping[str, Any] | bytes,
    *,
    limits: Limits | None = None,
    readable: Iterable[Path | str] = (),
    writable: Iterable[Path | str] = (),
    network: bool = False,
    import_from: Iterable[Path | str] = (),
    without: Sequence[str] = (),
) -> Confined:
    """Calls target(**args), or target(args) for bytes, in a confined child; the answer is JSON or bytes. Never raises for what the child does.

    Beside the interpreter and its packages the child reads `readable` and `import_from` and writes `writable` and a scratch folder (its HOME,
    TMPDIR and working directory) that is gone afterwards. `without` turns parts off ("landlock", "seccomp", "namespaces"), for machines where
    one of them misbehaves. Raises ValueError for a target without a colon and TypeError for args that JSON cannot carry.
    """
    module, colon, function = target.partition(":")
    if not (colon and module and function):
        raise ValueError(f"target must be 'module:function', not {target!r}")
    limits = limits or Limits()
    raw = isinstance(args, (bytes, bytearray, memoryview))
    payload = bytes(args) if isinstance(args, (bytes, bytearray, memoryview)) else json.dumps(dict(args), allow_nan=False).encode()
    imports = [str(Path(p).absolute()) for p in import_from]
    with tempfile.TemporaryDirectory(prefix="sovereign-", ignore_cleanup_errors=True) as scratch:
        reads = [*_python_paths(), *_SYSTEM_READABLE, *imports, *(str(Path(p).absolute()) for p in readable)]
        writes = [scratch, "/dev/null", *(str(Path(p).absolute()) for p in writable)]
        wrapper = _bubblewrap(reads, writes, scratch, network=network) if "bubblewrap" not in without and landlock_abi() < 1 else []
        order = {
            "target": target,
            "raw": raw,
            "payload": len(payload),
            "limits": {**asdict(limits), **_derived(limits)},
            "readable": reads,
            "writable": writes,
            "network": network,
            "import_from": imports,
            "without": [*without, *(["namespaces"] if wrapper else [])],
            "bubblewrap": "active" if wrapper else "off",
        }
        command = [*wrapper, sys.executable, "-I", "-X", "utf8", "-c", _BOOT, str(Path(__file__).parents[1])]
        return _Run(command, scratch, limits).go(json.dumps(order).encode() + b"\n" + payload)


def capabilities() -> dict[str, str]:
    """What this machine gives, measured by running a child: part -> "active ..." or why not. For `doctor`."""
    answer = run_confined("sovereign._confined:probe", {}, limits=Limits(wall_s=20))
    parts = dict(answer.used) or {"child": f"failed: {answer.reason}"}
    parts["bubblewrap"] = (
        parts["bubblewrap"] if parts.get("bubblewrap", "off") != "off" else ("present" if _find_bwrap() else "not installed")
    )
    return parts


def _derived(limits: Limits) -> dict[str, float]:
    return {
        "cpu_s": limits.cpu_s if limits.cpu_s is not None else 4 * limits.wall_s,
        "address_space_mib": limits.address_space_mib or limits.memory_mib,
    }


def _python_paths() -> list[str]:
    """Where the interpreter, its libraries and this package lie."""
    executable = Path(sys.executable)
    found = {
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        str(executable.parent),
        str(executable.resolve().parent),
        str(Path(__file__).parents[1]),
    }
    found |= {entry for entry in sys.path if entry and Path(entry).is_absolute() and Path(entry).exists()}
    return sorted(found)


def _find_bwrap() -> str | None:
    return shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")


def _bubblewrap(reads: Sequence[str], writes: Sequence[str], scratch: str, *, network: bool) -> list[str]:
    """The command that wraps the child where Landlock is missing; [] where bubblewrap is missing too."""
    program = _find_bwrap()
    if program is None:
        return []
    command = [program, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    command += [] if network else ["--unshare-net"]
    for path in sorted(set(reads)):
        if not path.startswith(("/proc", "/dev")):
            command += ["--ro-bind-try", path, path]
    for path in writes:
        if not path.startswith("/dev"):
            command += ["--bind-try", path, path]
    return [*command, "--chdir", scratch, "--"]


class _Run:
    """One child from start to its end."""

    def __init__(self, command: list[str], scratch: str, limits: Limits):
        self._limits = limits
        self._watch_s = 0.02 if limits.processes > 1 else _WATCH_S
        self._frames = _Frames(limits.result_mib * 2**20 + 4096)
        self._tail = b""
        self._stderr_bytes = 0
        self._verdict: tuple[Literal["killed", "timeout"], str, str] | None = None  # state, cause, reason
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=scratch,
            env=_environment(scratch),
            start_new_session=True,
            bufsize=0,
        )

    def go(self, message: bytes) -> Confined:
        started = time.monotonic()
        try:
            self._converse(memoryview(message), started + self._limits.wall_s)
        finally:
            self._kill()
            for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
                if stream:
                    stream.close()
        return self._ended(time.monotonic() - started)

    def _converse(self, message: memoryview, deadline: float) -> None:
        """Feeds stdin and drains both outputs until the result is here, the child is gone or a limit is passed."""
        stdin, stdout, stderr = self._child.stdin, self._child.stdout, self._child.stderr
        assert stdin and stdout and stderr  # all three were asked for
        watch = time.monotonic() + self._watch_s
        with selectors.DefaultSelector() as ready:
            os.set_blocking(stdin.fileno(), False)
            ready.register(stdin, selectors.EVENT_WRITE)
            ready.register(stdout, selectors.EVENT_READ)
            ready.register(stderr, selectors.EVENT_READ)
            while self._verdict is None and not self._frames.complete and stdout in ready.get_map():
                now = time.monotonic()
                if now >= deadline:
                    self._verdict = ("timeout", "timeout", f"no answer after {self._limits.wall_s:g} s")
                    return
                if now >= watch:
                    self._count()
                    watch = now + self._watch_s
                for key, _ in ready.select(min(deadline, watch) - now):
                    if key.fileobj is stdin:
                        message = self._feed(stdin, message, ready)
                    else:
                        self._drain(key.fileobj, ready, key.fileobj is stdout)  # type: ignore[arg-type]
            if stderr in ready.get_map():
                self._drain_rest(stderr)

    def _feed(self, stdin: IO[bytes], message: memoryview, ready: selectors.BaseSelector) -> memoryview:
        try:
            message = message[os.write(stdin.fileno(), message[: 2**16]) :]
        except BlockingIOError:
            return message
        except (BrokenPipeError, ConnectionResetError):
            message = message[:0]
        if not message:
            ready.unregister(stdin)
            stdin.close()
        return message

    def _drain(self, stream: IO[bytes], ready: selectors.BaseSelector, is_result: bool) -> None:
        chunk = os.read(stream.fileno(), 2**18)
        if not chunk:
            ready.unregister(stream)
        elif is_result:
            self._frames.feed(chunk)
            if self._frames.too_long:
                self._verdict = ("killed", "output", f"the answer is longer than {self._limits.result_mib} MiB")
        else:
            self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
            self._stderr_bytes += len(chunk)
            if self._stderr_bytes > self._limits.stderr_mib * 2**20:
                self._verdict = ("killed", "output", f"wrote more than {self._limits.stderr_mib} MiB to its output")

    def _drain_rest(self, stderr: IO[bytes]) -> None:
        """What already lies in the pipe, without waiting for more."""
        os.set_blocking(stderr.fileno(), False)
        try:
            while chunk := os.read(stderr.fileno(), 2**16):
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
                self._stderr_bytes += len(chunk)
                if self._stderr_bytes > self._limits.stderr_mib * 2**20:
                    return
        except BlockingIOError:
            return

    def _count(self) -> None:
        """Kills when resident memory or the number of processes passes its limit; RLIMIT_AS and RLIMIT_NPROC cannot see a whole tree."""
        if not LINUX:
            return
        tree = _tree(self._child.pid)
        waiting = 2  # outside the namespace, and its init
        if len(tree) > self._limits.processes + waiting:
            self._verdict = ("killed", "processes", f"more than {self._limits.processes} processes")
            return
        resident = sum(_resident_mib(pid) for pid in tree)
        if resident > self._limits.memory_mib:
            self._verdict = ("killed", "memory", f"more than {self._limits.memory_mib} MiB of memory")

    def _kill(self) -> None:
        """The process group, then whatever of the tree left it; the child's process namespace, if it has one, dies with it."""
        if self._verdict is None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # it answered or closed its output: what it still does has no purpose
                self._child.wait(timeout=0.5)
        strays = _tree(self._child.pid) if LINUX and self._child.poll() is None else []
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        for pid in strays:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self._child.wait()

    def _ended(self, wall_s: float) -> Confined:
        tail = self._tail.decode("utf-8", errors="replace")
        used = self._frames.used
        if self._verdict:
            state, cause, reason = self._verdict
            return Confined(None, state, reason, tail, used, cause, "", wall_s)
        if self._frames.error is not None:
            kind, message = self._frames.error
            cause = "memory" if kind == "MemoryError" else "error"
            return Confined(None, "failed", f"{kind}: {message}", tail, used, cause, kind, wall_s)
        if self._frames.complete:
            return Confined(self._frames.result, "done", "", tail, used, "", "", wall_s)
        code = self._child.returncode
        if code < 0 or code > 128:
            number = -code if code < 0 else code - 128
            cause = "cpu" if number == signal.SIGXCPU else "signal"
            name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
            reason = f"used more than its processor time ({name})" if cause == "cpu" else f"ended by {name}"
            return Confined(None, "killed", reason, tail, used, cause, "", wall_s)
        return Confined(None, "failed", f"ended without an answer (exit status {code})", tail, used, "no_result", "", wall_s)


class _Frames:
    """Cuts the child's answer into frames: U used, then one of J JSON, B bytes, E error. Anything else ends as an error."""

    def __init__(self, most: int):
        self._most = most
        self._buffer = bytearray()
        self.used: dict[str, str] = {}
        self.result: Any = None
        self.error: tuple[str, str] | None = None
        self.complete = False
        self.too_long = False

    def feed(self, chunk: bytes) -> None:
        self._buffer += chunk
        while len(self._buffer) >= 13 and not self.complete:
            magic, kind, length = bytes(self._buffer[:4]), bytes(self._buffer[4:5]), struct.unpack("=Q", self._buffer[5:13])[0]
            if magic != MAGIC:
                self.error, self.complete = ("BadFrame", "the answer is not in the agreed form"), True
                return
            if length > self._most:
                self.too_long = True
                return
            if len(self._buffer) < 13 + length:
                return
            self._take(kind, bytes(self._buffer[13 : 13 + length]))
            del self._buffer[: 13 + length]

    def _take(self, kind: bytes, payload: bytes) -> None:
        if kind == b"B":
            self.result, self.complete = payload, True
            return
        try:
            value = json.loads(payload)
            if kind == b"U":
                self.used = {str(k): str(v) for k, v in value.items()}
            elif kind == b"E":
                self.error, self.complete = (str(value["type"]), str(value["message"])), True
            else:
                self.result, self.complete = value, True
        except (ValueError, KeyError, TypeError, AttributeError):
            self.error, self.complete = ("BadFrame", "the answer is not in the agreed form"), True


def _environment(scratch: str) -> dict[str, str]:
    """Built from nothing: keys and tokens of the parent's environment never reach a child."""
    names = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    fixed = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    return {**fixed, **dict.fromkeys(names, scratch), **dict.fromkeys(threads, "1")}


def _tree(root: int) -> list[int]:
    """The process and its descendants, from /proc; those that vanish meanwhile are left out."""
    found: list[int] = []
    queue = [root]
    while queue and len(found) < 10_000:
        pid = queue.pop()
        found.append(pid)
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                queue += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, ValueError):
            continue
    return found


def _resident_mib(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError, IndexError):
        return 0.0
