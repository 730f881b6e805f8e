"""The entailment extra on public sets: SciFact dev (cited and retrieved abstracts); SciTab, WiCE, Citation-Integrity dev, never trained on.

    python benchmarks/verify_scifact.py; python benchmarks/retrieval.py; python benchmarks/verify_entailment.py

Per set: the majority class, the original rule and the guard (results of verify_scifact.py), the pair model's most probable class, the pair model at
its shipped thresholds (else "no evidence"), and what the product says (guard and pair model by the written combination). Also calibration (ten-bin
ECE of the top probability, accuracy of the most confident half), label-only and rationalised F1 as verisci counts them, sentence selection, and
pairs per second on one thread. Prints one JSON document last and writes benchmarks/results/verify_entailment.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import verify_scifact as public
from sovereign.kernel.verify import make_claim, verify_claim
from sovereign.kernel.verify.entailment import EntailmentVerifier, Probabilities, premises, weighed
from sovereign.kernel.verify.units import Unit
from sovereign.models import entailment
from sovereign.records import Document, Verdict

RESULTS = Path(__file__).resolve().parent / "results"
CLASSES = (public.S, public.R, public.N)
RATIONALE = 3  # sentences at most, as verisci counts
Read = tuple[Probabilities, list[float], list[Unit]]


class Remembering:
    """The model with a memory: the same pairs are asked for by several systems of this run."""

    def __init__(self, model: entailment.PairModel):
        self.model, self.held = model, {}
        self.name, self.version, self.card = model.name, model.version, model.card
        self.support_at, self.refute_at, self.weigh = model.support_at, model.refute_at, model.weigh

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Probabilities]:
        key = tuple(pairs)
        if key not in self.held:
            self.held[key] = self.model.score(pairs)
        return self.held[key]


def read(model: Any, claim: str, document: Document) -> Read:
    top = premises(claim, document)
    if not top:
        return (0.0, 0.0, 1.0), [], []
    probabilities, relevance = weighed(model, claim, top)
    return probabilities, relevance, [u for u, _ in top]


def top_class(p: Probabilities) -> str:
    return CLASSES[max(range(3), key=lambda k: p[k])]


def at_thresholds(p: Probabilities, model: Any, otherwise: str = public.N) -> str:
    return public.S if p[0] >= model.support_at else public.R if p[1] >= model.refute_at else otherwise


def calibration(gold: list[str], said: list[Probabilities]) -> dict[str, float]:
    tops = [max(p) for p in said]
    right = [top_class(p) == g for p, g in zip(said, gold)]
    ece = 0.0
    for i in range(10):
        inside = [k for k, t in enumerate(tops) if i / 10 < t <= (i + 1) / 10]
        if inside:
            ece += abs(sum(right[k] for k in inside) - sum(tops[k] for k in inside)) / len(gold)
    order = sorted(range(len(gold)), key=lambda k: -tops[k])
    out = {"ece": round(ece, 4)}
    for share in (70, 50, 30):
        half = order[: len(gold) * share // 100]
        out[f"accuracy_at_{share}"] = round(sum(right[k] for k in half) / len(half), 4)
    return out


def f1(hits: int, said: int, gold: int) -> dict[str, float]:
    precision, recall = hits / said if said else 0.0, hits / gold if gold else 0.0
    both = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"precision": round(100 * precision, 1), "recall": round(100 * recall, 1), "f1": round(100 * both, 1)}


def sentence_numbers(units: list[Unit], relevance: list[float], abstract: list[str], least: float) -> list[int]:
    """Which sentences of the annotated abstract the model points at: the most relevant ones, three at most."""
    starts, at = [], 0
    for sentence in abstract:
        starts.append(at)
        at += len(sentence.strip()) + 1
    order = sorted(range(len(units)), key=lambda i: (-relevance[i], i))
    chosen = [i for n, i in enumerate(order) if n == 0 or relevance[i] >= least][:RATIONALE]
    found = []
    for i in chosen:
        middle = (units[i].start + units[i].end) // 2
        found.append(max(n for n, s in enumerate(starts) if s <= middle))
    return list(dict.fromkeys(found))


def as_retrieved(p: Probabilities, model: Any) -> str:
    """For abstracts that were only retrieved, most of which have no evidence: the cut was chosen on the training claims."""
    return public.N if p[2] >= float(model.card["retrieved_evidence_at"]) else public.S if p[0] >= p[1] else public.R


DECISIONS = {"top": lambda p, _: top_class(p), "thresholds": at_thresholds, "as_retrieved": as_retrieved}


def abstracts(model: Any, pairs: dict[str, list[str]], decision: str) -> dict[str, Any]:
    """verisci's counts over (claim id -> abstracts looked at)."""
    corpus = {str(r["doc_id"]): r for r in public._rows(public.DATA / "scifact" / "corpus.jsonl")}
    claims = {str(r["id"]): r for r in public._rows(public.DATA / "scifact" / "claims_dev.jsonl")}
    names = {"SUPPORT": public.S, "CONTRADICT": public.R}
    tally: Counter[str] = Counter()
    for number, claim in claims.items():
        evidence = claim["evidence"]
        tally["gold"] += len(evidence)
        tally["gold_sentences"] += sum(len(f["sentences"]) for found in evidence.values() for f in found)
        for identifier in pairs.get(number, ()):
            row = corpus[identifier]
            document = public.prose(row["abstract"], row["title"], public.Basis.ABSTRACT_ONLY)
            p, relevance, units = read(model, claim["claim"], document)
            said = DECISIONS[decision](p, model)
            if said == public.N:
                continue
            lines = sentence_numbers(units, relevance, row["abstract"], float(model.card["relevant_at"]))
            tally["said"] += 1
            tally["said_sentences"] += len(lines)
            found = evidence.get(identifier, [])
            held = [set(f["sentences"]) for f in found if set(f["sentences"]) <= set(lines)]
            right = bool(found) and names[found[0]["label"]] == said
            tally["hits"] += right
            tally["rationalised"] += right and bool(held)
            tally["sentences"] += sum(any(n in h for h in held) for n in lines)
    return {
        "label_only": f1(tally["hits"], tally["said"], tally["gold"]),
        "rationalised": f1(tally["rationalised"], tally["said"], tally["gold"]),
        "sentence_selection": f1(tally["sentences"], tally["said_sentences"], tally["gold_sentences"]),
    }


def one_set(model: Any, cases: list[public.Case], before: dict[str, Any], *, partly: bool = False) -> dict[str, Any]:
    """`partly`: the middle class of WiCE is "partly supported"; what the model neither supports nor leaves without evidence counts so."""
    gold = [g for *_, g in cases]
    verifier = EntailmentVerifier(model)

    def product(claim: str, document: Document) -> str:
        verdict = verify_claim(make_claim(claim), [("p", document)], extra=[verifier]).verdict
        if partly:
            return {Verdict.SUPPORTED: public.S, Verdict.QUALIFIED: public.R, Verdict.UNRESOLVED: public.R}.get(verdict, public.N)
        return {Verdict.SUPPORTED: public.S, Verdict.QUALIFIED: public.S, Verdict.CONTRADICTED: public.R}.get(verdict, public.N)

    out = {n: {k: v for k, v in before[n].items() if k != "raw"} for n in ("majority", "original_rule", "guard")}
    said = [read(model, claim, document)[0] for claim, document, _ in cases]
    out["pair_model_top"] = public.scores(gold, [top_class(p) for p in said])
    out["pair_model_at_thresholds"] = public.scores(gold, [at_thresholds(p, model, public.R if partly else public.N) for p in said])
    out["product"] = public.scores(gold, [product(c, d) for c, d, _ in cases])
    out["calibration"] = calibration(gold, said)
    decided = [(g, at_thresholds(p, model, "")) for g, p in zip(gold, said)]
    spoken = [(g, s) for g, s in decided if s]
    out["spoken"] = {"n": len(spoken), "of": len(gold), "right": sum(g == s for g, s in spoken)}
    out["raw"] = [[round(v, 4) for v in p] for p in said]
    return out


def speed(model: Any, cases: list[public.Case]) -> list[dict[str, float]]:
    """Pairs (claim, sentence) per second, by wall clock and by the processor time of this one thread, three times."""
    pairs = [(c, u.text) for c, d, _ in cases[:60] for u, _ in premises(c, d)]
    model.score(pairs[:32])
    out = []
    for _ in range(3):
        wall, own = time.perf_counter(), time.thread_time()
        model.score(pairs)
        took, spent = time.perf_counter() - wall, time.thread_time() - own
        out.append(
            {
                "pairs": len(pairs),
                "per_s": round(len(pairs) / took, 1),
                "per_processor_s": round(len(pairs) / spent, 1),
                "load": round(os.getloadavg()[0], 1),
            }
        )
    return out


def everything(model: Any) -> dict[str, Any]:
    before = json.loads((RESULTS / "verify_scifact.json").read_text())
    scifact = public.scifact("dev")
    claims = public._rows(public.DATA / "scifact" / "claims_dev.jsonl")
    cited = {str(r["id"]): [str(d) for d in r["cited_doc_ids"]] for r in claims}
    return {
        "command": "python benchmarks/verify_entailment.py",
        "model": f"{model.name}/{model.version}",
        "scifact_dev": one_set(model, scifact, before["scifact_dev"]),
        "scitab_dev": one_set(model, public.scitab(), before["scitab_dev"]),
        "citation_integrity_dev": one_set(model, public.citation_integrity("dev"), before["citation_integrity_dev"]),
        "wice_dev": one_set(model, public.wice(), before["wice_dev"], partly=True),
        "scifact_dev_cited": {k: abstracts(model, cited, k) for k in ("top", "thresholds")},
    }


def retrieved(model: Any) -> dict[str, Any]:
    found = json.loads((RESULTS / "retrieval.json").read_text())
    return {
        f"scifact_dev_retrieved_{name}": {k: abstracts(model, found[name]["raw_top3"], k) for k in DECISIONS}
        for name in ("hybrid_base", "hybrid_encoder")
        if name in found
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only-retrieved", action="store_true", help="the abstracts that retrieval.json found; keeps the other results of this model"
    )
    args = parser.parse_args()
    if not public.DATA.is_dir():
        sys.exit("The evaluation data (../shared/data) is not beside the project.")
    import torch

    torch.set_num_threads(1)
    bare = entailment.load()
    model = Remembering(bare)
    out = RESULTS / "verify_entailment.json"
    result = json.loads(out.read_text()) if args.only_retrieved else everything(model)
    if result["model"] != f"{bare.name}/{bare.version}":
        sys.exit("The kept results are of another model: run without --only-retrieved.")
    result["speed"] = speed(bare, public.scifact("dev"))
    if (RESULTS / "retrieval.json").is_file():
        result |= retrieved(model)
    out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for data in result.values():
        if isinstance(data, dict):
            data.pop("raw", None)
    print(json.dumps(result, sort_keys=True))


if __name__ == "__main__":
    main()
