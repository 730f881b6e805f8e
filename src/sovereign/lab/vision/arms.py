"""One arm of the trade-off study (a strategy at a budget) from training to numbers, in a process of its own.

Imports the lab. Refuses to run more than one thread per process. What comes back is plain: numbers, lists and arrays, one `SeedResult` per seed.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sovereign.lab.merging import merge_model
from sovereign.lab.parallel import Traffic, count_traffic, home_tokens, place_experts, specialised_order
from sovereign.lab.routing import Routing
from sovereign.lab.vision.measure import Behaviour, active_by_kind, behaviour, counted_flops, formula_flops
from sovereign.lab.vision.tasks import KINDS, VQA, YES, Probe, Questions, Scenes, ask, make_scenes, probe
from sovereign.lab.vision.training import Recipe, answers, correct, train_alone, train_together
from sovereign.lab.vision.vlm import Layout, SceneModel, VlmSpec

TEST_SEED = 1_000_003  # far from the seeds of training; every arm and seed is scored on the same scenes
PLACEMENTS = ("arbitrary", "sorted")
INFERENCE_BUDGETS = (0.9, 0.6)  # of the trained slots: the paper's -10 % and -40 %


@dataclass(frozen=True)
class ArmJob:
    """What a process is asked to do. devices: expert-parallel widths to count traffic for. merge: keep this share of experts, None for no merging."""

    spec: VlmSpec
    recipe: Recipe
    seeds: tuple[int, ...]
    device: str = "cpu"
    test_scenes: int = 400
    devices: tuple[int, ...] = (2, 4)
    merge: float | None = None
    keep_state: bool = False

    @property
    def name(self) -> str:
        return f"{self.spec.strategy}.b{self.spec.budget:.2f}"


@dataclass
class SeedResult:
    """numbers: scalar by name (missing = not measured). traffic: (devices, homes, placement, tokens) -> Traffic, tokens all | text | vision."""

    arm: str
    seed: int
    numbers: dict[str, float] = field(default_factory=dict)
    traffic: dict[tuple[int, str, str, str], Traffic] = field(default_factory=dict)
    text_share_LE: NDArray[np.float64] | None = None
    by_layer_msi: tuple[float, ...] = ()
    state: dict[str, NDArray[np.float32]] | None = None
    train_s: float = 0.0


@dataclass(frozen=True)
class Exam:
    """Held-out scenes and questions, the same for every arm: test (known pairs), composition (with held-out pairs), probe."""

    test: tuple[Scenes, Questions]
    composition: tuple[Scenes, Questions]
    probe: tuple[Scenes, Probe]


def exam(scenes: int) -> Exam:
    test, composition = (make_scenes(scenes, TEST_SEED, split) for split in ("test", "composition"))
    return Exam(
        (test, ask(test, TEST_SEED, "test")), (composition, ask(composition, TEST_SEED, "composition")), (test, probe(test, TEST_SEED))
    )


def run_arm(job: ArmJob) -> list[SeedResult]:
    """Trains and measures every seed of the job."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    if len(job.seeds) > 1 and job.device != "cpu":
        models = train_together(job.spec, job.recipe, job.seeds, job.device)
    else:
        models = [train_alone(job.spec, job.recipe, seed, job.device) for seed in job.seeds]
    spent = (time.perf_counter() - start) / len(models)
    papers = exam(job.test_scenes)
    results = []
    for seed, model in zip(job.seeds, models, strict=True):
        result = measure_model(model, job, seed, papers)
        result.train_s = spent
        if job.keep_state and seed == job.seeds[0]:
            result.state = {k: v.detach().cpu().numpy() for k, v in model.state_dict().items()}
        results.append(result)
    return results


def restore(spec: VlmSpec, seed: int, state: Mapping[str, NDArray[np.float32]], device: str = "cpu") -> SceneModel:
    model = spec.build(seed)
    model.load_state_dict({k: torch.from_numpy(np.asarray(v)) for k, v in state.items()})
    model.everywhere(False)
    return model.to(device).eval()


@torch.no_grad()
def measure_model(model: SceneModel, job: ArmJob, seed: int, papers: Exam) -> SeedResult:
    """Everything that is no timing."""
    result = SeedResult(job.name, seed)
    numbers = result.numbers
    numbers |= score(model, papers)
    scenes, questions = papers.test
    looked = behaviour(model, scenes, questions.words_NQW)
    numbers |= _finite(_behaviour_numbers(looked))
    result.text_share_LE = looked.text_share_LE.double().numpy()
    numbers["flops_counted_minus_formula"] = float(flops_gap(model, scenes, questions))
    for kind, value in zip(KINDS, active_by_kind(model, scenes, questions.words_NQW).tolist(), strict=True):
        numbers[f"real_slots_{kind}"] = value
    if not job.spec.dense:
        experts = model.decoder.config.experts
        result.by_layer_msi = tuple(2 * float((row[~row.isnan()] - 0.5).abs().mean()) for row in looked.text_share_LE)
        result.traffic = traffic(model, scenes, questions, [d for d in job.devices if experts % d == 0])
    if job.spec.strategy.startswith("anyexperts"):
        numbers |= lowered_budgets(model, papers)
    if job.merge is not None:
        numbers |= merged(model, job, seed, papers)
    return result


def score(model: SceneModel, papers: Exam) -> dict[str, float]:
    """Accuracy per kind and over VQA on test and composition; rates of the probe: yes to what is there, yes to what is not."""
    out: dict[str, float] = {}
    for split, (scenes, questions) in (("test", papers.test), ("composition", papers.composition)):
        right = correct(model, scenes, questions)
        per_kind = right.nanmean(0).tolist()
        if split == "test":
            out |= {f"{k}_items": float(n) for k, n in zip(KINDS, (~right.isnan()).sum(0).tolist(), strict=True)}
        by_name = dict(zip(KINDS, per_kind, strict=True))
        prefix = "" if split == "test" else "composition_"
        out |= {f"{prefix}{k}_accuracy": v for k, v in by_name.items()}
        out[f"{prefix}vqa_accuracy"] = float(np.mean([by_name[k] for k in VQA]))
    scenes, probes = papers.probe
    said_yes = answers(model, scenes, probes.words_NQW) == YES
    for sort, name in enumerate(("present", "absent", "adversarial")):
        mine = (probes.sort_NQ == sort) & probes.valid_NQ
        if mine.any():
            out[f"yes_{name}"] = float(said_yes[mine].float().mean())
    return out


def _behaviour_numbers(b: Behaviour) -> dict[str, float | None]:
    return {
        "used_slots": b.used_slots,
        "real_slots": b.real_slots,
        "virtual_share": b.virtual_share,
        "real_slots_text": b.real_slots_text,
        "real_slots_vision": b.real_slots_vision,
        "mflops_per_token": b.mflops_per_token,
        "msi": b.msi,
        "information": b.information,
        "load_imbalance": b.imbalance,
        "load_entropy": b.entropy,
    }


def _finite(values: Mapping[str, float | None]) -> dict[str, float]:
    return {k: v for k, v in values.items() if v is not None and math.isfinite(v)}


def flops_gap(model: SceneModel, scenes: Scenes, questions: Questions) -> int:
    """Counted minus formula, on 16 scenes; 0 means that the formula counts exactly what ran."""
    device = next(model.parameters()).device
    words = questions.words_NQW[:16].to(device)
    torch.manual_seed(0)
    counted, routings = counted_flops(model, scenes.pixels_NCP[:16].to(device).float() / 255, words)
    return counted - formula_flops(model, routings, Layout(scenes.pixels_NCP.shape[1], words.shape[1], words.shape[2]))


def decisions(model: SceneModel, scenes: Scenes, questions: Questions) -> tuple[list[Routing], Tensor, Tensor]:
    """Per layer the decision on the CPU, with sample and modality of every token."""
    device = next(model.parameters()).device
    torch.manual_seed(0)
    words = questions.words_NQW.to(device)
    layout = Layout(scenes.pixels_NCP.shape[1], words.shape[1], words.shape[2])
    routings = model(scenes.pixels_NCP.to(device).float() / 255, words, want_attention=False).routing
    modality_T = layout.modality().repeat(len(scenes))
    return [_on_cpu(r) for r in routings], torch.arange(len(scenes)).repeat_interleave(layout.length), modality_T


def _on_cpu(r: Routing) -> Routing:
    def host(t: Tensor | None) -> Tensor | None:
        return None if t is None else t.cpu()

    return Routing(r.idx_TK.cpu(), r.weight_TK.cpu(), r.probs_TE.cpu(), host(r.mask_TK), host(r.is_virtual_TK))


def placements(model: SceneModel, devices: int) -> dict[str, Tensor]:
    """Device of each expert per layer, long (L, E): arbitrary (ids in order) and sorted by how text-leaning the expert was on calibration scenes.

    Calibration scenes are training-like and are not the scenes on which traffic is counted.
    """
    scenes = make_scenes(64, TEST_SEED + 1, "train")
    routings, _, modality_T = decisions(model, scenes, ask(scenes, TEST_SEED + 1, "train"))
    experts = model.decoder.config.experts
    arbitrary = place_experts(torch.arange(experts), devices).expand(len(routings), -1)
    from sovereign.lab.routing.measures import modality_counts

    ordered = [place_experts(specialised_order(modality_counts(r, modality_T, experts)), devices) for r in routings]
    return {"arbitrary": arbitrary, "sorted": torch.stack(ordered)}


def traffic(model: SceneModel, scenes: Scenes, questions: Questions, widths: Sequence[int]) -> dict[tuple[int, str, str, str], Traffic]:
    """Counted over all layers, for each width, home of tokens, placement, and all, text or vision tokens."""
    routings, sample_T, modality_T = decisions(model, scenes, questions)
    row = model.spec.width * 4
    out: dict[tuple[int, str, str, str], Traffic] = {}
    for devices in widths:
        placed = placements(model, devices)
        for home in ("modality", "sample"):
            home_T = home_tokens(home, devices, sample_T, modality_T)
            for placement in PLACEMENTS:
                for which, only in (("all", None), ("text", modality_T == 0), ("vision", modality_T == 1)):
                    parts = [count_traffic(r, placed[placement][i], home_T, devices, row, only) for i, r in enumerate(routings)]
                    total = parts[0]
                    for part in parts[1:]:
                        total = total + part
                    out[devices, home, placement, which] = total
    return out


def lowered_budgets(model: SceneModel, papers: Exam) -> dict[str, float]:
    """Accuracy and real slots of a trained on-demand model when its slots are rescaled without training."""
    out: dict[str, float] = {}
    scenes, questions = papers.test
    for budget in INFERENCE_BUDGETS:
        for router in model.routers():
            router.set_budget(budget)
        per_kind = correct(model, scenes, questions).nanmean(0)
        out[f"vqa_accuracy_at_{budget:g}"] = float(np.mean([float(per_kind[KINDS.index(k)]) for k in VQA]))
        out[f"real_slots_at_{budget:g}"] = behaviour(model, scenes, questions.words_NQW).real_slots
    for router in model.routers():
        router.set_budget(1.0)
    return out


def merged(model: SceneModel, job: ArmJob, seed: int, papers: Exam) -> dict[str, float]:
    """Accuracy after merging the experts to a share of their number, with and without aligning hidden units, before any repair."""
    assert job.merge is not None
    scenes = make_scenes(64, seed, "train")
    routings, _, _ = decisions(model, scenes, ask(scenes, seed, "train"))
    keep = max(job.spec.layers, round(job.merge * job.spec.layers * model.decoder.config.experts))
    out: dict[str, float] = {}
    for align in (True, False):
        smaller = copy.deepcopy(model)
        report = merge_model(smaller, routings, keep, align=align)
        out["merged_vqa_accuracy" if align else "merged_unaligned_vqa_accuracy"] = score(smaller, papers)["vqa_accuracy"]
        out["merged_parameter_share"] = report.parameters_after / report.parameters_before
    return out
