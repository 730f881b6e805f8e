"""The measured part of the study expert_cache: real two-tier runs, bit-equality, and what the simulator had predicted for them.

Imports torch and the lab. Measured here: tokens/s, TPOT, stall, bytes. Calibrated from measurement: costs of the time line (an all-resident and an
on-demand run). Refuses to compare a policy with itself under different prompts: all runs share prompts and lengths.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sovereign.lab.caching import events as ev
from sovereign.lab.caching import policies, predictors, runtime, sweep, timeline
from sovereign.lab.model import Decoder, ModelConfig
from sovereign.lab.studies.cache_setup import Plan, Progress, Trained, replayable
from sovereign.lab.tiers import DiskTier, HostTier, SlowTier, measure_link, write_store
from sovereign.records import Measurement

ON_CPU = ("static_frequency", "lru", "lru_speculative", "pregated_probe", "expertflow_a", "expertflow_b", "belady", "oracle_prefetch")  # fmt: skip
ON_GPU = ("lru", "pregated_probe", "expertflow_a", "expertflow_b", "belady", "oracle_prefetch")


@dataclass
class Runs:
    """Measured runs by (tier, batch, fraction, policy), what the simulator predicted for each, and whether every output was bit-equal."""

    measured: dict[tuple[str, int, float, str], list[runtime.Measured]] = field(default_factory=dict)
    predicted: dict[tuple[str, int, float, str], list[float]] = field(default_factory=dict)  # TPOT, one per round
    equal: int = 0
    compared: int = 0
    notes: list[str] = field(default_factory=list)
    links: dict[str, tuple[float, float]] = field(default_factory=dict)  # tier -> bytes/s, s per expert
    baselines: dict[tuple[str, int], list[float]] = field(default_factory=dict)  # (name, batch) -> seconds per decode step
    peaks: dict[str, int] = field(default_factory=dict)  # label -> bytes of GPU memory


def on_cpu(plan: Plan, seed: int, progress: Progress) -> Runs:
    """A random decoder of some size: its experts on disk (read past the page cache) and in host memory slowed to a declared link."""
    config = ModelConfig(
        vocab=512,
        layers=plan.runtime_layers,
        width=plan.runtime_width,
        heads=8,
        experts=plan.runtime_experts,
        k=plan.runtime_k,
        ffn=plan.runtime_ffn,
    )
    model = config.build(seed).eval()
    tokens = torch.from_numpy(np.random.default_rng((31, seed)).integers(0, 512, (max(plan.runtime_batches), 8)))
    found = Runs()
    with tempfile.TemporaryDirectory(prefix="expert-store-") as folder:
        progress("writing the expert store", 0.86)
        write_store(model, Path(folder))
        tiers: list[SlowTier] = [DiskTier(Path(folder), model), HostTier(model, bandwidth=2e8 if plan.runtime_width < 512 else 1.6e9)]
        if not getattr(tiers[0], "direct", True):
            found.notes.append("The file system refuses O_DIRECT: pages were dropped after each read instead.")
        for batch in plan.runtime_batches:
            reference = runtime.record(model, tokens[:batch], plan.runtime_new)
            forecasts = sweep.invented_forecasts(reference[2], error=0.1, seed=seed)
            work = sweep.Workload("random decoder", reference[2], predictors.popularity_of(reference[2]), forecasts)
            for tier in tiers:
                progress(f"two tiers: {tier.name}, batch {batch}", 0.88)
                _all(found, model, tier, work, tokens[:batch], reference, plan, torch.device("cpu"), ON_CPU, batch)
        for tier in tiers:
            tier.close()
    found.notes.append("Runtime forecasts are the true routes with 10 % errors; popularity was counted on the measured run itself.")
    return found


def on_gpu(plan: Plan, trained: Trained, seed: int, progress: Progress) -> Runs:
    """The trained model: experts in pinned host memory, fast tier on the GPU; all-resident, accelerate's offload, then every policy."""
    model, device = trained.model, torch.device(plan.device)
    found = Runs()
    batches = plan.runtime_batches
    references: dict[int, Any] = {}
    works: dict[int, sweep.Workload] = {}
    for batch in batches:
        tokens = torch.from_numpy(trained.prompts[:batch]).to(device)
        runtime.record(model, tokens, 4)  # warm-up
        for repeat in range(plan.runtime_repeats):
            torch.cuda.reset_peak_memory_stats(device)
            seconds, reference = _timed(partial(runtime.record, model, tokens, plan.runtime_new), device)
            found.baselines.setdefault(("own_dispatch_all_resident", batch), []).append(seconds / plan.runtime_new)
            if repeat == 0:
                found.peaks[f"own_dispatch_all_resident.b{batch}"] = torch.cuda.max_memory_allocated(device)
        references[batch] = reference
        works[batch] = replayable("trained", model, trained.fitted, trained.learnt, reference[2], seed)
        _accelerate(found, model, tokens, reference[1], plan, device, batch)
    progress("pinning experts", 0.88)
    tier = HostTier(model, pinned=True)
    tier.name = "pinned host"
    resident_first = True
    for batch in batches:
        tokens = torch.from_numpy(trained.prompts[:batch]).to(device)
        progress(f"two tiers on the GPU, batch {batch}", 0.9)
        if resident_first:
            _drop_experts(model)
            resident_first = False
        _all(found, model, tier, works[batch], tokens, references[batch], plan, device, ON_GPU, batch)
    tier.close()
    return found


def _all(
    found: Runs,
    model: Decoder,
    tier: SlowTier,
    work: sweep.Workload,
    tokens: Tensor,
    reference: tuple[Tensor, Tensor, ev.Routes],
    plan: Plan,
    device: torch.device,
    names: tuple[str, ...],
    batch: int,
) -> None:
    """Rounds of all-resident, on-demand, then every policy; each round predicts from its own first two runs, so a busy machine drifts for both."""
    events = runtime.recorded_events(reference[2])
    found.links[tier.name] = measure_link(tier, device)
    popularity = sweep.batch_popularity(work.popularity, batch)
    expected: tuple[Tensor, Tensor] | None = (reference[0], reference[1]) if device.type == "cpu" else None

    def run(name: str, fraction: float, costs: timeline.Costs | None) -> runtime.Measured:
        nonlocal expected
        case = policies.Case(events, fraction, costs or sweep.DECLARED, popularity, dict(work.forecasts))
        # the forecasts are at hand: no predictor runs inside, so none is charged in this comparison
        strategy = replace(policies.prepare(name, case), predictor_s=None)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        out, logits, measured = _one(model, tier, strategy, events, tokens, plan.runtime_new, device)
        if device.type == "cuda":
            found.peaks[f"{name}.f{int(100 * fraction)}.b{batch}"] = torch.cuda.max_memory_allocated(device)
        if expected is None:
            # on a GPU the model's own dispatch multiplies in groups; the runtime's all-resident run is the reference
            expected = (out, logits)
            far = float((logits - reference[1]).abs().max())
            found.notes.append(f"Batch {batch}: the runtime's all-resident logits differ from the grouped dispatch by at most {far:.3g}.")
        _compare(found, expected, out, logits)
        key = (tier.name, batch, fraction, name)
        found.measured.setdefault(key, []).append(measured)
        if costs is not None:
            outcome = timeline.run(events, strategy, costs)
            found.predicted.setdefault(key, []).append(outcome.tpot_s or float("nan"))
        return measured

    run("all_resident", 1.0, None)  # warms up
    for _ in range(plan.runtime_repeats):
        resident, demand = run("all_resident", 1.0, None), run("on_demand", 0.0, None)
        costs = calibrated(resident, demand, events, tier.layout.nbytes)
        for fraction in plan.runtime_fractions:
            for name in names:
                run(name, fraction, costs)


def _one(
    model: Decoder, tier: SlowTier, strategy: timeline.Strategy, events: ev.Events, tokens: Tensor, new: int, device: torch.device
) -> tuple[Tensor, Tensor, runtime.Measured]:
    with runtime.Runner(model, tier, strategy, recorded=events, device=device) as runner:
        return runner.generate(tokens, new)


def _compare(found: Runs, expected: tuple[Tensor, Tensor] | None, out: Tensor, logits: Tensor) -> None:
    found.compared += 1
    found.equal += expected is not None and torch.equal(expected[0], out) and torch.equal(expected[1], logits)


def calibrated(resident: runtime.Measured, demand: runtime.Measured, events: ev.Events, expert_bytes: int) -> timeline.Costs:
    """Costs of the time line from two runs: seconds per expert product and the rest of a layer from the all-resident run; seconds per copy, with
    the wake-ups of both threads, from the on-demand run, which copies every expert it needs one after the other.
    """
    expert_s = resident.compute_s / len(events.ids)
    decode = ~events.prefill[events.step]
    needed = float(events.need()[decode].mean())
    step = resident.tpot_s or resident.seconds
    attention_s = max(0.0, step / events.layers - needed * expert_s)
    waited = max((demand.tpot_s or demand.seconds) - step, 1e-9) / (needed * events.layers)
    return timeline.Costs(bandwidth=expert_bytes / waited, expert_bytes=expert_bytes, attention_s=attention_s, expert_s=expert_s)


def _timed(act: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    result = act()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start, result


def _drop_experts(model: Decoder) -> None:
    """Frees the model's own expert weights: from here on they exist in the slow tier only."""
    for block in model.layers:
        for parameter in block.moe.experts.parameters():
            parameter.data = torch.empty(0, dtype=parameter.dtype, device=parameter.device)
    gc.collect()
    torch.cuda.empty_cache()


def _accelerate(found: Runs, model: Decoder, tokens: Tensor, reference: Tensor, plan: Plan, device: torch.device, batch: int) -> None:
    """accelerate.cpu_offload of every layer's experts: all of them are copied to the GPU each time the layer runs; the rest stays resident.

    `reference` are the logits of the all-resident run: a baseline that computes something else is left out, with a note.
    """
    try:
        from accelerate import cpu_offload
        from accelerate.hooks import remove_hook_from_module
    except ImportError:
        note = "accelerate is not installed: its offload was not run."
        if note not in found.notes:
            found.notes.append(note)
        return
    held = [block.moe.experts for block in model.layers]
    saved = [{name: value.detach().to("cpu", copy=True) for name, value in experts.state_dict().items()} for experts in held]
    new = min(8, plan.runtime_new)
    try:
        for experts in held:
            cpu_offload(experts, execution_device=device)
        logits = runtime.record(model, tokens, new)[1]
        if not torch.equal(logits, reference[:new]):
            raise ValueError("its logits differ from the all-resident run")
        torch.cuda.reset_peak_memory_stats(device)
        for _ in range(plan.runtime_repeats):
            seconds, _ = _timed(partial(runtime.record, model, tokens, new), device)
            found.baselines.setdefault(("accelerate_cpu_offload", batch), []).append(seconds / new)
        found.peaks[f"accelerate_cpu_offload.b{batch}"] = torch.cuda.max_memory_allocated(device)
    except (RuntimeError, ValueError, NotImplementedError) as exc:
        found.notes.append(f"accelerate's offload was left out at batch {batch}: {type(exc).__name__}: {str(exc).splitlines()[0]}")
    finally:
        for experts, weights in zip(held, saved, strict=True):
            remove_hook_from_module(experts, recurse=True)
            experts.to_empty(device=device)
            experts.load_state_dict(weights)


def measurements(found: Runs, *, repeats: int) -> list[Measurement]:
    """Bit-equality (not a timing), errors of the simulator and the measured figures (timings)."""
    from sovereign.lab.statistics import bootstrap, mean_t_interval

    share = found.equal / found.compared
    rows = [
        Measurement(
            "runtime.bit_equal",
            100 * share,
            "%",
            (100 * share, 100 * share),
            f"runs whose tokens and logits equal the all-resident run bit for bit, of {found.compared}; every value counted, no sampling",
            found.compared,
        )
    ]
    errors = []
    for key, runs in found.measured.items():
        tier, batch, fraction, policy = key
        tpots = [r.tpot_s for r in runs if r.tpot_s is not None]
        predicted = found.predicted.get(key, [])
        said = f"{tier} tier, {fraction:.0%} of the experts, batch {batch}, {runs[0].device}"
        tag = f"{policy}.f{int(100 * fraction)}.b{batch}.{tier.replace(' ', '_')}"
        speeds = [r.tokens_per_s for r in runs]
        estimate = mean_t_interval(speeds) if len(speeds) > 1 else None
        interval = None if estimate is None else estimate.interval
        rows.append(Measurement(f"runtime.tokens_per_s.{tag}", float(np.mean(speeds)), "1/s", interval, said, len(runs), timing=True))
        stall = float(np.mean([100 * r.stall_s / r.seconds for r in runs]))
        rows.append(Measurement(f"runtime.stall_share.{tag}", stall, "%", None, said, len(runs), timing=True))
        moved = float(np.mean([r.bytes_per_token for r in runs]))
        rows.append(Measurement(f"runtime.bytes_per_token.{tag}", moved / 1e6, "MB", None, said, len(runs), timing=True))
        if predicted and len(predicted) == len(tpots):
            # on a shared machine single rounds are hit by others; the median over rounds stands for the setting
            error = 100 * (float(np.median([p / t for p, t in zip(predicted, tpots, strict=True)])) - 1)
            errors.append(abs(error))
            rows.append(
                Measurement(f"runtime.tpot_error.{tag}", error, "%", None, f"predicted against measured, {said}", len(runs), timing=True)
            )
    middle = bootstrap(errors, seed=0, statistic=np.median)
    said = f"|predicted / measured TPOT - 1|, median over {len(errors)} settings, costs calibrated on an all-resident and an on-demand run of the same round"
    rows.append(Measurement("runtime.tpot_error.median", middle.value, "%", middle.interval, said, len(errors), timing=True))
    for (name, batch), seconds in found.baselines.items():
        speed = [batch / s for s in seconds]
        estimate = mean_t_interval(speed) if len(speed) > 1 else None
        interval = None if estimate is None else estimate.interval
        rows.append(
            Measurement(f"runtime.tokens_per_s.{name}.b{batch}", float(np.mean(speed)), "1/s", interval, name, len(speed), timing=True)
        )
    for tier, (link, seconds_each) in found.links.items():
        rows.append(
            Measurement(
                f"runtime.link.{tier.replace(' ', '_')}", link / 1e9, "GB/s", None, f"{1e3 * seconds_each:.3g} ms each", timing=True
            )
        )
    for label, nbytes in found.peaks.items():
        rows.append(Measurement(f"runtime.peak_gpu.{label}", nbytes / 1e9, "GB", None, "torch.cuda.max_memory_allocated", timing=True))
    return rows
