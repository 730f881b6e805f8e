"""The real two-tier run: equal outputs under every policy, equal counts with the simulator, and failures that end in one line."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sovereign.errors import LabInput, NotFound, SovereignError, TrialFailed  # noqa: E402
from sovereign.lab import tiers  # noqa: E402
from sovereign.lab.caching import events as ev  # noqa: E402
from sovereign.lab.caching import policies, runtime, sweep, timeline  # noqa: E402
from sovereign.lab.model import Decoder, ModelConfig  # noqa: E402

pytestmark = pytest.mark.lab
NEW = 6


@dataclass(frozen=True)
class Setup:
    model: Decoder
    tokens: torch.Tensor
    out: torch.Tensor
    logits: torch.Tensor
    events: ev.Events
    work: sweep.Workload


@pytest.fixture(scope="module")
def setup() -> Iterator[Setup]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    model = ModelConfig(vocab=300, layers=3, width=32, heads=2, experts=8, k=2, ffn=16).build(0).eval()
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 300, (3, 5)))
    out, logits, routes = runtime.record(model, tokens, NEW)
    popularity = np.full(24, 0.25) + np.arange(24) * 1e-3
    work = sweep.Workload("tiny", routes, popularity, sweep.invented_forecasts(routes, error=0.2))
    yield Setup(model, tokens, out, logits, runtime.recorded_events(routes), work)
    torch.set_num_threads(before)


def strategy(s: Setup, name: str, fraction: float) -> timeline.Strategy:
    case = policies.Case(s.events, fraction, sweep.DECLARED, s.work.popularity, dict(s.work.forecasts))
    return policies.prepare(name, case)


def go(s: Setup, slow: tiers.SlowTier, plan: timeline.Strategy, **more: float) -> tuple[torch.Tensor, torch.Tensor, runtime.Measured]:
    with runtime.Runner(s.model, slow, plan, recorded=s.events, **more) as runner:  # type: ignore[arg-type]
        return runner.generate(s.tokens, NEW)


@pytest.fixture(scope="module")
def disk(setup: Setup, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tiers.DiskTier]:
    folder = tmp_path_factory.mktemp("store")
    tiers.write_store(setup.model, folder)
    tier = tiers.DiskTier(folder, setup.model)
    yield tier
    tier.close()


@pytest.mark.parametrize("name", list(policies.POLICIES))
@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_outputs_are_the_all_resident_ones_bit_for_bit(setup: Setup, disk: tiers.DiskTier, name: str, fraction: float) -> None:
    """Also where a step needs more experts than the cache holds (a quarter: 2 slots, up to 6 needed)."""
    out, logits, measured = go(setup, disk, strategy(setup, name, fraction))
    assert torch.equal(out, setup.out)
    assert torch.equal(logits, setup.logits)
    assert measured.hits + measured.late + measured.misses == len(setup.events.ids)
    assert measured.bytes_moved == (measured.demand + measured.prefetch) * disk.layout.nbytes or measured.prefetch > 0


@pytest.mark.parametrize(
    "name", ["on_demand", "static_frequency", "lru", "lru_global", "lfu", "lfru", "s3_fifo", "arc", "belady", "belady_forced"]
)
@pytest.mark.parametrize("fraction", [0.25, 0.5])
def test_demand_policies_count_what_the_simulator_counts(setup: Setup, name: str, fraction: float) -> None:
    """Without prefetching, timing cannot matter: the counts must agree exactly."""
    slow = tiers.HostTier(setup.model)
    plan = strategy(setup, name, fraction)
    _, _, measured = go(setup, slow, plan)
    simulated = timeline.run(setup.events, plan, sweep.DECLARED)
    assert (measured.hits, measured.misses, measured.demand) == (simulated.hits, simulated.misses, simulated.demand)
    slow.close()


def with_outlook(s: Setup) -> timeline.Strategy:
    """ExpertFlow A with a forecast of later use that is not the same for any two steps."""
    path = s.work.forecasts["path"]
    later = np.random.default_rng(3).random((len(path.ids), 3, 8)).astype(np.float32)
    case = policies.Case(s.events, 0.5, sweep.DECLARED, s.work.popularity, {**s.work.forecasts, "path": replace(path, outlook=later)})
    return policies.prepare("expertflow_a", case)


def test_an_outlook_decides_alike_in_runtime_and_simulator_and_changes_no_output(setup: Setup, disk: tiers.DiskTier) -> None:
    plan = with_outlook(setup)
    out, logits, _ = go(setup, disk, plan)
    assert torch.equal(out, setup.out) and torch.equal(logits, setup.logits)
    still = replace(plan, horizon=0)  # without prefetching the counts must agree exactly
    _, _, measured = go(setup, disk, still)
    simulated = timeline.run(setup.events, still, sweep.DECLARED)
    assert (measured.hits, measured.misses, measured.demand) == (simulated.hits, simulated.misses, simulated.demand)
    opposite = timeline.run(setup.events, replace(still, outlook=1.0 - with_outlook(setup).outlook), sweep.DECLARED)
    assert (simulated.hits, simulated.bypassed) != (opposite.hits, opposite.bypassed)  # it does decide
    with pytest.raises(LabInput, match="outlook covers"):
        timeline.run(setup.events, replace(plan, outlook=np.zeros((2, 24), np.float32)), sweep.DECLARED)


def test_the_model_gets_its_own_experts_back(setup: Setup) -> None:
    own = [block.moe.experts for block in setup.model.layers]
    go(setup, tiers.HostTier(setup.model), strategy(setup, "lru", 0.5))
    assert [block.moe.experts for block in setup.model.layers] == own
    again, logits, _ = runtime.record(setup.model, setup.tokens, NEW)
    assert torch.equal(again, setup.out) and torch.equal(logits, setup.logits)


def test_the_fast_tier_is_bounded(setup: Setup, disk: tiers.DiskTier) -> None:
    _, _, measured = go(setup, disk, strategy(setup, "lru", 0.25))
    assert measured.fast_tier_bytes == (2 * 3 + timeline.STAGING) * disk.layout.nbytes


class Faulty:
    """A slow tier that breaks at the n-th copy."""

    name = "faulty"

    def __init__(self, model: Decoder, after: int, how: str):
        self._good = tiers.HostTier(model)
        self.layout, self.after, self.how, self.count = self._good.layout, after, how, 0
        self.released = threading.Event()

    def fetch(self, expert: int, into: torch.Tensor) -> None:
        self.count += 1
        if self.count > self.after:
            if self.how == "killed":
                raise SystemExit  # what an ended thread looks like: nothing is reported
            if self.how == "hangs":
                self.released.wait(10.0)
            raise OSError(5, "input/output error")
        self._good.fetch(expert, into)

    def close(self) -> None:
        self.released.set()


@pytest.mark.parametrize(
    ("how", "words"), [("killed", "copying thread died"), ("raises", "copying thread failed"), ("hangs", "did not arrive within")]
)
@pytest.mark.parametrize("name", ["lru", "expertflow_a"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_broken_copying_thread_ends_the_run_with_one_line(setup: Setup, how: str, words: str, name: str) -> None:
    slow = Faulty(setup.model, 9, how)
    start = time.monotonic()
    with pytest.raises(TrialFailed, match=words) as caught:
        go(setup, slow, strategy(setup, name, 0.5), patience_s=0.5)
    assert time.monotonic() - start < 8.0
    assert "\n" not in caught.value.line()
    slow.close()


def test_weights_that_changed_under_the_store_are_refused(setup: Setup, tmp_path: Path) -> None:
    tiers.write_store(setup.model, tmp_path)
    with torch.no_grad():
        setup.model.layers[1].moe.experts.down[3, 0, 0] += 1.0
    try:
        with pytest.raises(LabInput, match="expert 3 in layer 1 changed"):
            tiers.DiskTier(tmp_path, setup.model)
    finally:
        with torch.no_grad():
            setup.model.layers[1].moe.experts.down[3, 0, 0] -= 1.0


def test_a_store_that_changes_while_it_is_used_is_refused(setup: Setup, tmp_path: Path) -> None:
    tiers.write_store(setup.model, tmp_path)
    tier = tiers.DiskTier(tmp_path, None)
    assert tier.verify(5)
    os.utime(tmp_path / "experts.bin", ns=(1, 1))
    with pytest.raises(SovereignError, match="was changed after it was written"):
        go(setup, tier, strategy(setup, "lru", 0.5))
    tier.close()


def test_a_cut_or_missing_store_is_refused(setup: Setup, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no expert store"):
        tiers.DiskTier(tmp_path)
    path = tiers.write_store(setup.model, tmp_path)
    with path.open("r+b") as handle:
        handle.truncate(path.stat().st_size // 2)
    with pytest.raises(LabInput, match="was changed"):
        tiers.DiskTier(tmp_path)


def test_a_store_of_another_model_is_refused(setup: Setup, tmp_path: Path) -> None:
    tiers.write_store(setup.model, tmp_path)
    other = ModelConfig(vocab=300, layers=2, width=32, heads=2, experts=8, k=2, ffn=16).build(0)
    with pytest.raises(LabInput, match="another model"):
        tiers.DiskTier(tmp_path, other)


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = tiers.shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(tiers.shutil, "disk_usage", lambda _p: usage._replace(free=10))
        with pytest.raises(TrialFailed, match="10 are free"):
            tiers.write_store(setup.model, tmp_path)

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tiers.os, "fsync", full)
    with pytest.raises(TrialFailed, match="the disk is full"):
        tiers.write_store(setup.model, tmp_path)
    assert not (tmp_path / "experts.bin").exists()


def test_a_foreign_or_short_recording_is_refused(setup: Setup) -> None:
    routes = setup.work.routes
    foreign = ev.Routes((routes.experts + 1) % 8, routes.request, routes.position, routes.is_decode, 8)
    slow = tiers.HostTier(setup.model)
    plan = strategy(setup, "lru", 0.5)
    with pytest.raises(LabInput, match="foreign"), runtime.Runner(setup.model, slow, plan, recorded=runtime.recorded_events(foreign)) as r:
        r.generate(setup.tokens, NEW)
    short = runtime.recorded_events(routes.take(np.arange(3)))
    cut_routes = ev.Routes(*(a[routes.position < 6] for a in (routes.experts, routes.request, routes.position, routes.is_decode)), 8)
    cut = ev.to_events(cut_routes, batch=3)
    assert len(cut) < len(short)
    for name in ("lru", "expertflow_a"):
        shorter = strategy(Setup(setup.model, setup.tokens, setup.out, setup.logits, cut, setup.work), "lru", 0.5)
        if name == "expertflow_a":
            kept = sweep.Workload("cut", cut_routes, None, sweep.invented_forecasts(cut_routes, error=0.1))
            shorter = strategy(Setup(setup.model, setup.tokens, setup.out, setup.logits, cut, kept), name, 0.5)
        with pytest.raises(LabInput, match="recorded run ends"), runtime.Runner(setup.model, slow, shorter, recorded=cut) as r:
            r.generate(setup.tokens, NEW)


def test_oracles_ask_for_a_recording_and_links_for_a_bandwidth(setup: Setup) -> None:
    with pytest.raises(LabInput, match="recorded"):
        runtime.Runner(setup.model, tiers.HostTier(setup.model), strategy(setup, "belady", 0.5))
    with pytest.raises(LabInput, match="never delivers"):
        tiers.HostTier(setup.model, bandwidth=0.0)


def test_a_policy_without_forecasts_needs_no_recording(setup: Setup) -> None:
    with runtime.Runner(setup.model, tiers.HostTier(setup.model), strategy(setup, "lru", 0.25)) as r:
        out, logits, _ = r.generate(setup.tokens, NEW)
    assert torch.equal(out, setup.out) and torch.equal(logits, setup.logits)


def test_a_slowed_link_is_as_slow_as_declared(setup: Setup) -> None:
    slow = tiers.HostTier(setup.model, bandwidth=2e6)
    link, seconds = tiers.measure_link(slow, torch.device("cpu"), repeats=5)
    assert link <= 2e6
    assert seconds >= slow.layout.nbytes / 2e6


def test_measured_values_serialise(setup: Setup) -> None:
    _, _, measured = go(setup, tiers.HostTier(setup.model), strategy(setup, "expertflow_b", 0.5))
    body = json.loads(json.dumps(measured.as_dict()))
    assert body["tokens"] == 3 * NEW
    assert 0.0 <= body["hit_ratio"] <= 1.0
