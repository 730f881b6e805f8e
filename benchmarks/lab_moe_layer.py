"""One Mixture-of-Experts layer of OLMoE's shape: ours against the Hugging Face implementations on the same weights in one run.

    PYTHONPATH=src python3 benchmarks/lab_moe_layer.py --device cpu|cuda [--dtype bfloat16|float32] [--tokens 1,8,32,256,2048] [--threads 1]

Every round times all implementations in turn, beside a dense FFN of equal active FLOPs and probes of this machine's own limits (matrix product rate,
read bandwidth); the medians over rounds are compared. Timings on a busy machine are flagged with the share that others used. Prints one JSON document last.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sovereign.lab.accounting import limit, moe_layer_cost
from sovereign.lab.dispatch import PackedExperts, grouped, sorted_loop, swiglu_experts
from sovereign.lab.study import Contention, environment

WIDTH, FFN, EXPERTS, K = 2048, 1024, 64, 8  # OLMoE-1B-7B (arXiv 2409.02060)


class HfExperts:
    """The experts module of transformers with our weights in it; one instance per implementation."""

    def __init__(self, gate_up: Tensor, down: Tensor, implementation: str):
        from transformers import OlmoeConfig
        from transformers.models.olmoe.modeling_olmoe import OlmoeExperts

        config = OlmoeConfig(
            hidden_size=gate_up.shape[2], intermediate_size=down.shape[2], num_experts=gate_up.shape[0], num_experts_per_tok=K
        )
        config.num_local_experts = gate_up.shape[0]
        config._experts_implementation = implementation
        with torch.device("meta"):
            self.module = OlmoeExperts(config)
        self.module.gate_up_proj = torch.nn.Parameter(gate_up, requires_grad=False)
        self.module.down_proj = torch.nn.Parameter(down, requires_grad=False)

    def __call__(self, x: Tensor, idx: Tensor, weight: Tensor) -> Tensor:
        return self.module(x, idx, weight.to(x.dtype))


def clock(call: Callable[[], Any], device: str) -> float:
    """Seconds of one call, synchronised."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def implementations(gate_up: Tensor, down: Tensor, device: str) -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    ours: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        "ours_sorted": lambda x, i, w: (
            swiglu_experts(x, i, w, gate_up, down) if device == "cpu" else sorted_loop(x, i, w, gate_up, down, None)
        )
    }
    if device == "cuda" and gate_up.dtype == torch.bfloat16:
        ours["ours_grouped"] = lambda x, i, w: grouped(x, i, w, gate_up, down)
    if device == "cpu" and PackedExperts.available():
        ours["ours_packed"] = PackedExperts(gate_up, down)
    probe = torch.zeros(1, WIDTH, device=device, dtype=gate_up.dtype)
    first = torch.arange(K, device=device).unsqueeze(0)
    for name in ("eager", "grouped_mm"):
        try:
            theirs = HfExperts(gate_up, down, name)
            theirs(probe, first, torch.ones(1, K, device=device))
        except (ImportError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as exc:
            # Their internals change between versions; a version that we cannot drive is reported, not fatal.
            sys.stderr.write(f"hf_{name} is not timed: {type(exc).__name__}: {exc}\n")
        else:
            ours[f"hf_{name}"] = theirs
    return ours


def measure(
    tokens: int, rounds: int, device: str, dtype: torch.dtype, weights: tuple[Tensor, Tensor, Tensor, Tensor], calls: dict[str, Any]
) -> dict[str, Any]:
    gate_up, down, dense_up, dense_down = weights
    generator = torch.Generator().manual_seed(tokens)
    x = torch.randn(tokens, WIDTH, generator=generator).to(device, dtype)
    logits = torch.randn(tokens, EXPERTS, generator=generator).to(device)
    weight, idx = logits.softmax(-1).topk(K, dim=-1)
    with torch.no_grad():
        outputs = {name: call(x, idx, weight).float() for name, call in calls.items()}
        reference = exact(x, idx, weight, gate_up, down) if tokens <= 256 else outputs["ours_sorted"]
        runs = {name: (lambda call=call: call(x, idx, weight)) for name, call in calls.items()}
        runs["dense_equal_flops"] = lambda: dense(x, dense_up, dense_down)
        if "ours_packed" in runs:
            packs = [torch.ops.mkldnn._reorder_linear_weight(w, None) for w in (dense_up, dense_down)]
            runs["dense_packed"] = lambda: dense_packed(x, *packs)
        times: dict[str, list[float]] = {name: [] for name in runs}
        probes: dict[str, list[float]] = {"gemm_flops": [], "read_bytes": []}
        with Contention() as contention:
            order, shuffle = list(runs.items()), random.Random(tokens).shuffle
            for _ in range(rounds + 1):
                shuffle(order)  # who follows whom decides what the caches still hold
                for name, run in order:
                    times[name].append(clock(run, device))
                probes["gemm_flops"].append(gemm_rate(device, dtype))
                probes["read_bytes"].append(read_rate(gate_up, device))
    hit = int(idx.unique().numel())
    cost = moe_layer_cost(tokens=tokens, width=WIDTH, ffn=FFN, experts=EXPERTS, k=K, bytes_per_weight=dtype.itemsize, hit=hit)
    bound = limit(cost, flops_per_s=max(probes["gemm_flops"]), bytes_per_s=max(probes["read_bytes"]))
    ms = {name: 1000 * statistics.median(values[1:]) for name, values in times.items()}  # the first round warms up
    best_hf = min((v for k, v in ms.items() if k.startswith("hf_")), default=None)
    best_ours = min(v for k, v in ms.items() if k.startswith("ours_"))
    return {
        "tokens": tokens,
        "experts_hit": hit,
        "gflop": cost.flops / 1e9,
        "weight_mb": cost.weight_bytes / 1e6,
        "gemm_gflop_per_s": max(probes["gemm_flops"]) / 1e9,
        "read_gb_per_s": max(probes["read_bytes"]) / 1e9,
        "median_ms": ms,
        "quartiles_ms": {name: [1000 * q for q in statistics.quantiles(v[1:], n=4)[::2]] for name, v in times.items()},
        "limit_ms": 1000 * bound.seconds,
        "limited_by": bound.bound,
        "share_of_limit": {name: 1000 * bound.seconds / v for name, v in ms.items()},
        "moe_tax": {name: v / ms["dense_equal_flops"] for name, v in ms.items() if not name.startswith("dense")},
        "moe_tax_packed": ms["ours_packed"] / ms["dense_packed"] if "dense_packed" in ms else None,
        "ours_over_best_hf": None if best_hf is None else best_ours / best_hf,
        "max_error": {name: float((o - reference).abs().max() / reference.abs().max()) for name, o in outputs.items()},
        "contention": contention.as_dict(),
        "rounds": rounds,
    }


def exact(x: Tensor, idx: Tensor, weight: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """The sum in fp32, one token-slot at a time grouped by expert; the yardstick of all implementations."""
    out = torch.zeros(x.shape, device=x.device)
    for e in idx.unique().tolist():
        token, slot = torch.where(idx == e)
        gate, up = (x[token].float() @ gate_up[e].float().T).chunk(2, dim=-1)
        out.index_add_(0, token, weight[token, slot, None].float() * ((F.silu(gate) * up) @ down[e].float().T))
    return out


def dense(x: Tensor, up: Tensor, down: Tensor) -> Tensor:
    gate, value = F.linear(x, up).chunk(2, dim=-1)
    return F.linear(F.silu(gate) * value, down)


def dense_packed(x: Tensor, up: Tensor, down: Tensor) -> Tensor:
    linear = torch.ops.mkldnn._linear_pointwise
    gate, value = linear(x, up, None, "none", [], "").chunk(2, dim=-1)
    return linear(F.silu(gate).mul_(value), down, None, "none", [], "")


def gemm_rate(device: str, dtype: torch.dtype) -> float:
    size = 8192 if device == "cuda" else 1024
    a = torch.ones(size, 2048, device=device, dtype=dtype)
    b = torch.ones(2048, 2048, device=device, dtype=dtype)
    best = min(clock(lambda: a @ b, device) for _ in range(3))
    if device == "cpu" and PackedExperts.available():
        # torch sends fp32 products to MKL, which is slow on some processors; the limit is the better library.
        packed = torch.ops.mkldnn._reorder_linear_weight(b, None)
        best = min(best, *(clock(lambda: torch.ops.mkldnn._linear_pointwise(a, packed, None, "none", [], ""), device) for _ in range(3)))
    return 2 * size * 2048 * 2048 / best


def read_rate(weights: Tensor, device: str) -> float:
    """Bytes per second when all gate and up weights are summed once (viewed as 32-bit integers, so no conversion is timed)."""
    flat = weights.reshape(-1).view(torch.int32)
    part = flat[: flat.numel() // (1 if device == "cuda" else 4)]
    return part.numel() * 4 / min(clock(part.max, device) for _ in range(2))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--tokens", default="1,2,4,8,16,32,64,128,256,512,1024,2048")
    parser.add_argument("--rounds", type=int, default=0, help="0: 50 on CUDA, on a CPU as many as 6 seconds allow (at least 5)")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    dtype = getattr(torch, given.dtype)
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return (torch.randn(*shape, generator=generator) * 0.02).to(dtype).to(given.device)

    weights = (draw(EXPERTS, 2 * FFN, WIDTH), draw(EXPERTS, WIDTH, FFN), draw(2 * K * FFN, WIDTH), draw(WIDTH, K * FFN))
    calls = implementations(weights[0], weights[1], given.device)
    rows = []
    for tokens in (int(t) for t in given.tokens.split(",")):
        rounds = given.rounds or (50 if given.device == "cuda" else max(5, min(15, 600 // tokens)))
        rows.append(measure(tokens, rounds, given.device, dtype, weights, calls))
        shown = "  ".join(f"{k} {v:.3f}" for k, v in rows[-1]["median_ms"].items())
        sys.stderr.write(f"{tokens:5d} tokens  {shown}  limit {rows[-1]['limit_ms']:.3f} ms\n")
    machine = environment() | ({"gpu": torch.cuda.get_device_name(0)} if given.device == "cuda" else {})
    result = {
        "benchmark": "lab_moe_layer",
        "shape": {"width": WIDTH, "ffn": FFN, "experts": EXPERTS, "k": K},
        "device": given.device,
        "dtype": given.dtype,
        "threads": given.threads if given.device == "cpu" else None,
        "environment": machine,
        "rows": rows,
    }
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"lab_moe_layer_{given.device}_{given.dtype}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
