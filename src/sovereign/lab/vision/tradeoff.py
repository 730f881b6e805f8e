"""Carrying out a plan of the trade-off study: train arms in processes, time the trained models alone, replay layers over ranks.

Imports the lab. Refuses to time anything while other processes of the study run. What was not run within the limit is named, never imputed.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import torch

from sovereign.errors import LabInput
from sovereign.lab.expert_parallel import RecordedLayer, Replay, replay, time_link
from sovereign.lab.parallel import LinkModel, home_tokens
from sovereign.lab.routing import Routing
from sovereign.lab.routing.common import real_slots
from sovereign.lab.vision.arms import TEST_SEED, ArmJob, SeedResult, decisions, exam, placements, restore, run_arm
from sovereign.lab.vision.measure import Timing, time_together
from sovereign.lab.vision.nlvr import NlvrResult, train_and_score
from sovereign.lab.vision.plan import Plan
from sovereign.lab.vision.tasks import ask, make_scenes, priors
from sovereign.lab.vision.vlm import RoutedExperts, SceneModel, VlmSpec

Progress = Callable[[str, float], None]
REPLAYED = ("topk", "smoes")
MERGED = ("topk",)
NLVR_STRATEGIES = ("dense", "topk", "smoes", "anyexperts")


@dataclass
class Raw:
    """Everything a run measured, before it becomes measurements. arms: name -> results in seed order."""

    arms: dict[str, list[SeedResult]] = field(default_factory=dict)
    specs: dict[str, VlmSpec] = field(default_factory=dict)
    priors: dict[str, float] = field(default_factory=dict)
    timings: dict[str, list[Timing]] = field(default_factory=dict)
    replays: dict[tuple[str, int], Replay] = field(default_factory=dict)
    links: dict[int, LinkModel] = field(default_factory=dict)
    nlvr: dict[str, NlvrResult] = field(default_factory=dict)
    not_run: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def carry_out(plan: Plan, out: Path, progress: Progress) -> Raw:
    """Raises LabInput when the device is not there."""
    if plan.device == "cuda" and not torch.cuda.is_available():
        raise LabInput("This preset needs a CUDA device, and torch sees none.", mend="Add --set device=cpu, or use the standard preset.")
    raw = Raw()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _stage(raw, "training", lambda: _train(plan, raw, progress))
        raw.priors = _priors(plan)
        _stage(raw, "timing", lambda: _time(plan, raw, progress))
        _stage(raw, "ranks", lambda: _ranks(plan, raw, progress))
        if plan.nlvr is not None:
            _stage(raw, "nlvr", lambda: _nlvr(plan, raw, progress))
        else:
            raw.limits.append("NLVR: no data folder was given (--set nlvr=FOLDER), so nothing is said about human-written sentences.")
    finally:
        torch.set_num_threads(threads)
    return raw


def _stage(raw: Raw, name: str, work: Callable[[], None]) -> None:
    start = time.perf_counter()
    work()
    raw.seconds[name] = time.perf_counter() - start


def jobs(plan: Plan) -> list[ArmJob]:
    """On a CPU one job per arm and seed, on an accelerator one per arm with all its seeds; most wanted first."""
    made = []
    for spec in plan.arms():
        merge = plan.merge if spec.strategy in MERGED and spec.budget == plan.base_budget else None
        groups = [plan.seed_list()] if plan.device != "cpu" else [(seed,) for seed in plan.seed_list()]
        for seeds in groups:
            keep = seeds[0] == plan.seed_list()[0]
            made.append(ArmJob(spec, plan.recipe(), seeds, plan.device, plan.test_scenes, (2, 4), merge, keep))
    return made


def _train(plan: Plan, raw: Raw, progress: Progress) -> None:
    wanted = jobs(plan)
    start, done = time.monotonic(), 0
    pool = ProcessPoolExecutor(plan.workers, mp_context=multiprocessing.get_context("spawn")) if plan.workers > 1 else _Here()
    waiting = list(reversed(wanted))
    running: dict[Future[list[SeedResult]], ArmJob] = {}
    found: list[SeedResult] = []
    try:
        while waiting or running:
            while waiting and len(running) < plan.workers and time.monotonic() - start < plan.limit_s:
                job = waiting.pop()
                running[pool.submit(run_arm, job)] = job
            if not running:
                break
            finished = next(as_completed(running))
            job = running.pop(finished)
            found += finished.result()
            done += 1
            progress(f"trained {job.name}, {len(wanted) - done} to go", 0.85 * done / len(wanted))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    left = {(job.name, job.seeds) for job in waiting}
    raw.not_run = [f"{name} seed {', '.join(map(str, seeds))}" for name, seeds in sorted(left)]
    if left:
        raw.limits.append(
            f"{len(left)} of {len(wanted)} trainings did not start within {plan.limit_s:g} s; they are named in the specification."
        )
    for spec in plan.arms():
        name = ArmJob(spec, plan.recipe(), ()).name
        results = sorted((r for r in found if r.arm == name), key=lambda r: r.seed)
        if results:
            raw.arms[name], raw.specs[name] = results, spec


class _Here:
    """Runs a job at once in this process, with the face of an executor."""

    def submit(self, work: Callable[[ArmJob], list[SeedResult]], job: ArmJob) -> Future[list[SeedResult]]:
        future: Future[list[SeedResult]] = Future()
        future.set_result(work(job))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing is running."""


def _priors(plan: Plan) -> dict[str, float]:
    """Accuracy of the best guess from the question text, learned from as many questions as a model sees and scored on the exam."""
    papers = exam(plan.test_scenes)
    count = min(20_000, plan.steps * plan.scenes)
    scenes = make_scenes(count, plan.seed_list()[0], "train")
    return priors(ask(scenes, plan.seed_list()[0], "train"), papers.test[1])


def _models(plan: Plan, raw: Raw) -> dict[str, SceneModel]:
    out = {}
    for name, results in raw.arms.items():
        if results[0].state is not None:
            out[name] = restore(raw.specs[name], results[0].seed, results[0].state, plan.device)
    return out


def _time(plan: Plan, raw: Raw, progress: Progress) -> None:
    scenes = make_scenes(max(plan.batches), TEST_SEED + 2, "test")
    words = ask(scenes, TEST_SEED + 2, "test").words_NQW[:, 0]
    models = _models(plan, raw)
    if plan.device != "cpu":  # launches dominate there and take long; other budgets run the same kernels
        models = {name: model for name, model in models.items() if model.spec.budget == plan.base_budget}
    raw.timings = {name: [] for name in models}
    for i, batch in enumerate(plan.batches):
        for name, timing in time_together(models, scenes, words, batch, repeats=plan.repeats, seed=plan.seed).items():
            raw.timings[name].append(timing)
        progress(f"timed batch {batch}", 0.85 + 0.06 * (i + 1) / len(plan.batches))


def _ranks(plan: Plan, raw: Raw, progress: Progress) -> None:
    models = _models(plan, raw)
    with tempfile.TemporaryDirectory() as folder:
        for ranks in plan.ranks:
            if len(plan.ranks) > 1:
                raw.links[ranks], _ = time_link(ranks, Path(folder))
            for strategy in REPLAYED:
                name = f"{strategy}.b{plan.base_budget:.2f}"
                if name in models:
                    raw.replays[strategy, ranks] = replay_model(models[name], ranks, Path(folder))
                    progress(f"{strategy} over {ranks} ranks", 0.93)


def replay_model(model: SceneModel, ranks: int, folder: Path, scenes: int = 32) -> Replay:
    """Runs every layer of a trained model over real ranks, experts sorted by modality, tokens at home by modality."""
    model = model.cpu()
    shown = make_scenes(scenes, TEST_SEED + 3, "test")
    questions = ask(shown, TEST_SEED + 3, "test")
    layers = record_layers(model, lambda: decisions(model, shown, questions))
    _, sample_T, modality_T = decisions(model, shown, questions)
    homes = home_tokens("modality", ranks, sample_T, modality_T)
    return replay(layers, placements(model, ranks)["sorted"], homes, ranks, folder)


def record_layers(model: SceneModel, look: Callable[[], object]) -> list[RecordedLayer]:
    """Input, decision and output of the experts of every layer while `look` runs the model; virtual slots are left out of the output."""
    layers: list[RecordedLayer] = []

    def keep(module: RoutedExperts, inputs: tuple[object, ...], output: tuple[torch.Tensor, Routing]) -> None:
        x_TD, routing = inputs[0], output[1]
        assert isinstance(x_TD, torch.Tensor)
        real = Routing(routing.idx_TK, routing.weight_TK, routing.probs_TE, mask_TK=real_slots(routing) > 0)
        layers.append(RecordedLayer(x_TD, real, module.experts.gate_up, module.experts.down, module.experts(x_TD, real)))

    hooks = [block.moe.register_forward_hook(keep) for block in model.decoder.layers]
    try:
        look()
    finally:
        for hook in hooks:
            hook.remove()
    return layers


def _nlvr(plan: Plan, raw: Raw, progress: Progress) -> None:
    assert plan.nlvr is not None
    chosen = [s for s in NLVR_STRATEGIES if s in plan.strategies]
    with ProcessPoolExecutor(min(plan.workers, 4), mp_context=multiprocessing.get_context("spawn")) as pool:
        seeds = plan.seed_list()[: min(3, plan.seeds)]
        futures = {s: pool.submit(_nlvr_one, plan.spec(s, plan.base_budget), plan.nlvr, seeds, plan.nlvr_steps) for s in chosen}
        for strategy, future in futures.items():
            raw.nlvr[strategy] = future.result()
            progress(f"NLVR with {strategy}", 0.95)


def _nlvr_one(spec: VlmSpec, folder: Path, seeds: tuple[int, ...], steps: int) -> NlvrResult:
    torch.set_num_threads(1)
    return train_and_score(spec, folder, seeds, steps)
