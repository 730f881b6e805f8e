"""A confined child gives its answer, or is stopped and says how; each test guards one way out of it."""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from sovereign import sandbox
from sovereign.sandbox import Confined, Limits, capabilities, run_confined

HERE = Path(__file__).parent
LIMITS = Limits(wall_s=15, memory_mib=256, file_mib=8)
NONE_OF_THEM = ("landlock", "seccomp", "namespaces", "bubblewrap")


def run(function: str, args: object = None, limits: Limits = LIMITS, **more: object) -> Confined:
    return run_confined(f"confined_targets:{function}", {} if args is None else args, limits=limits, import_from=[HERE], **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def given() -> dict[str, str]:
    return capabilities()


def need(given: dict[str, str], *parts: str) -> None:
    if not any(given.get(p, "").startswith("active") for p in parts):
        pytest.skip(f"this machine gives none of {', '.join(parts)}: {given}")


def test_answers_in_json_and_in_bytes() -> None:
    done = run("add", {"a": 2, "b": 3})
    assert (done.state, done.result, done.reason) == ("done", 5, "")
    assert run("echo", b"\x00\xffabc").result == b"cba\xff\x00"


def test_a_large_body_passes_both_ways() -> None:
    body = os.urandom(3 * 2**20)
    assert run("echo", body).result == body[::-1]


def test_what_it_prints_is_not_its_answer() -> None:
    done = run("talk")
    assert done.result == "answer"
    assert "to stdout" in done.stderr_tail and "to stderr" in done.stderr_tail


def test_an_exception_is_one_line() -> None:
    failed = run("fail", {"text": "first\nsecond"})
    assert (failed.state, failed.reason, failed.error_type) == ("failed", "ValueError: first second", "ValueError")


@pytest.mark.parametrize(("function", "state"), [("leave", "failed"), ("crash", "killed"), ("forge_answer", "failed")])
def test_a_child_without_an_answer_is_told_apart(function: str, state: str) -> None:
    ended = run(function)
    assert ended.state == state and ended.result is None and ended.reason


def test_a_missing_target_fails_and_a_malformed_name_is_refused() -> None:
    assert "AttributeError" in run("no_such_function").reason
    with pytest.raises(ValueError, match="module:function"):
        run_confined("os.getcwd", {})


def test_endless_loop_is_killed_on_time() -> None:
    began = time.monotonic()
    ended = run("loop", limits=Limits(wall_s=0.7))
    assert ended.state == "timeout" and ended.cause == "timeout"
    assert time.monotonic() - began < 5


def test_processor_time_is_limited() -> None:
    ended = run("loop", limits=Limits(wall_s=20, cpu_s=1))
    assert (ended.state, ended.cause) == ("killed", "cpu")


def test_memory_eater_is_stopped() -> None:
    ended = run("eat_memory")
    assert ended.state in ("failed", "killed") and ended.cause == "memory"


def test_resident_memory_is_watched_where_address_space_is_wide() -> None:
    ended = run("eat_memory", limits=Limits(wall_s=20, memory_mib=200, address_space_mib=64_000))
    assert (ended.state, ended.cause) == ("killed", "memory")


def test_a_file_cannot_grow_past_its_limit() -> None:
    ended = run("fill_file")
    assert ended.state == "failed" and "File too large" in ended.reason


def test_output_flood_is_bounded() -> None:
    ended = run("flood_output", limits=Limits(wall_s=15, stderr_mib=2))
    assert (ended.state, ended.cause) == ("killed", "output")
    assert len(ended.stderr_tail) <= 16 * 1024


def test_answer_flood_is_bounded() -> None:
    ended = run("flood_answer", limits=Limits(wall_s=15, result_mib=4))
    assert (ended.state, ended.cause) == ("killed", "output")


def test_fork_bomb_is_contained(given: dict[str, str]) -> None:
    need(given, "seccomp", "namespaces")
    ended = run("fork_bomb")
    assert ended.state in ("failed", "killed")
    assert ended.wall_s < 10


def test_fork_bomb_with_forks_allowed_is_killed(given: dict[str, str]) -> None:
    need(given, "namespaces")
    ended = run("fork_bomb", limits=Limits(wall_s=15, processes=6, threads=4, memory_mib=4096))
    assert ended.state in ("failed", "killed") and ended.wall_s < 12


def test_a_fork_is_possible_where_allowed() -> None:
    assert run("fork_once", limits=Limits(wall_s=10, processes=3)).result == 7


def test_a_process_that_leaves_the_group_dies_too(given: dict[str, str], tmp_path: Path) -> None:
    need(given, "namespaces")
    marker = tmp_path / "marker"
    ended = run("leave_group_and_sleep", {"marker": str(marker)}, Limits(wall_s=1, processes=4), writable=[tmp_path])
    assert ended.state == "timeout"
    time.sleep(2.5)  # the stray would write after two seconds
    assert not marker.exists()


def test_writes_outside_are_denied(given: dict[str, str], tmp_path: Path) -> None:
    need(given, "landlock", "bubblewrap")
    ended = run("write_to", {"path": str(tmp_path / "x")})
    assert ended.state == "failed" and not (tmp_path / "x").exists()
    assert run("write_to", {"path": str(tmp_path / "x")}, writable=[tmp_path]).result == "written"


def test_reads_outside_are_denied(given: dict[str, str], tmp_path: Path) -> None:
    need(given, "landlock", "bubblewrap")
    secret = tmp_path / "key"
    secret.write_text("secret")
    assert run("read_from", {"path": str(secret)}).state == "failed"
    assert run("read_from", {"path": str(secret)}, readable=[secret]).result == "secret"


def test_scratch_is_writable_and_gone_afterwards() -> None:
    assert run("write_in_scratch").result == "fine"
    assert not Path("note.txt").exists()


@pytest.mark.parametrize("part", ["namespaces", "landlock", "seccomp"])
def test_each_part_alone_denies_the_network(given: dict[str, str], part: str) -> None:
    need(given, part)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        others = [p for p in NONE_OF_THEM if p != part]
        ended = run("connect", {"host": "127.0.0.1", "port": server.getsockname()[1]}, without=others)
        assert ended.state == "failed", ended
        assert ended.active(part)


def test_network_is_there_when_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            link, _ = server.accept()
            with link:
                link.sendall(b"hello")

        greeter = threading.Thread(target=greet)
        greeter.start()
        done = run("connect", {"host": "127.0.0.1", "port": server.getsockname()[1]}, network=True)
        greeter.join(5)
    assert done.result == "hello", done


def test_listening_is_denied(given: dict[str, str]) -> None:
    need(given, "landlock", "seccomp")
    assert run("listen").state == "failed"


def test_works_with_no_optional_part_and_says_so() -> None:
    done = run("add", {"a": 1, "b": 1}, without=NONE_OF_THEM)
    assert done.result == 2
    assert not any(done.active(p) for p in NONE_OF_THEM) and done.active("rlimits")
    assert run("eat_memory", without=NONE_OF_THEM).cause == "memory"
    assert run("loop", limits=Limits(wall_s=0.5), without=NONE_OF_THEM).state == "timeout"


def test_bubblewrap_takes_over_where_landlock_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if sandbox._find_bwrap() is None:
        pytest.skip("bubblewrap is not installed")
    monkeypatch.setattr(sandbox, "landlock_abi", lambda: 0)
    done = run("add", {"a": 1, "b": 2}, Limits(wall_s=15, memory_mib=1024), without=["landlock"])
    assert done.result == 3 and done.active("bubblewrap") and not done.active("landlock")
    assert run("write_to", {"path": str(tmp_path / "x")}, without=["landlock"]).state == "failed"
    assert run("loop", limits=Limits(wall_s=0.7), without=["landlock"]).state == "timeout"


def test_environment_does_not_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOVEREIGN_MODEL_KEY", "secret")
    seen = run("environment").result
    assert "secret" not in seen.values() and seen["OMP_NUM_THREADS"] == "1"


def test_limits_cannot_be_raised_again() -> None:
    assert run("raise_limits").state == "failed"


def test_numpy_works_inside() -> None:
    assert run("numpy_sum", {"n": 1000}, Limits(wall_s=30, memory_mib=1024, address_space_mib=8192)).result == 499500.0


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_torch_works_inside_with_a_wide_address_space() -> None:
    done = run("torch_sum", {"n": 64}, Limits(wall_s=60, memory_mib=4096, address_space_mib=65_536))
    assert done.result == 64.0, done


def test_a_small_child_costs_little() -> None:
    """The bound of 0.3 s is the readers'; the best of five keeps a busy machine from failing it."""
    assert min(run("add", {"a": 1, "b": 2}).wall_s for _ in range(5)) < 0.3


def test_capabilities_are_measured(given: dict[str, str]) -> None:
    assert {"rlimits", "landlock", "seccomp", "namespaces", "bubblewrap"} <= set(given)
    assert all(given.values())
