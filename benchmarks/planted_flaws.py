"""Plant flaws into good drafts and measure what the tribunal finds, without a model and without network.

    python benchmarks/planted_flaws.py [--workspace DIR] [--repeats 20] [--seeds 3] [--library PATH ... --question TEXT ...] [--model NAME ...]

Per flaw kind: how many planted, how many found (a finding of a kind that names this flaw and that the good draft did not have, or names more of), the mean
drop of the panel's score, and how often the draft was still approved. Then: false alarms (blocking or major findings on good drafts), the same score over
repeats, and the change of score under harmless rewording. Prints a table, then one JSON document; also in benchmarks/results/planted_flaws.json.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from planted import drafts
from planted.flaws import FLAWS, Flaw
from planted.rewordings import reword
from sovereign import settings
from sovereign.kernel import assist, tribunal, verify
from sovereign.kernel.tribunal import wording
from sovereign.models import build_model, prompts
from sovereign.models.accounting import Budget
from sovereign.readers import read_bytes
from sovereign.records import Finding, Hearing, Severity, Verdict

RESULTS = Path(__file__).resolve().parent / "results" / "planted_flaws.json"
BAD = (Severity.BLOCKING, Severity.MAJOR)


Hear = Callable[[tribunal.Dossier], Hearing]


def hear(dossier: tribunal.Dossier) -> Hearing:
    return tribunal.hold(dossier, revision_round=0, rounds_left=0)


def with_models(names: list[str], home: Path) -> Hear:
    """The same hearing with models on the panel, one vote each; their address, key and cap come from the environment (SOVEREIGN_MODEL_*)."""
    chosen = settings.load(home, offline=False)
    budget = Budget(chosen.model_budget_usd)
    panel = [m for name in names if (m := build_model(chosen, name=name, budget=budget)) is not None]
    texts = prompts.load()

    def heard(dossier: tribunal.Dossier) -> Hearing:
        reviews = assist.review(panel, texts, dossier, tribunal.by_rule(dossier)).reviews
        return tribunal.hold(dossier, revision_round=0, rounds_left=0, reviews=reviews)

    return heard


def findings(hearing: Hearing) -> list[Finding]:
    return list(tribunal.ranked(hearing.reviews))


def weight(hearing: Hearing) -> Counter[str]:
    """kind -> number of targets it names (at least one): a second target of a known kind is a new discovery."""
    held: Counter[str] = Counter()
    for f in findings(hearing):
        held[f.kind] += max(1, len(f.targets))
    return held


def plant(good: list[drafts.Good], flaw: Flaw, seeds: int, base: dict[str, Hearing], hear: Hear = hear) -> dict[str, Any]:
    planted = found = approved = 0
    drops: list[float] = []
    missed: list[str] = []
    for g in good:
        clean = base[g.question]
        before = weight(clean)
        for seed in range(seeds):
            spoiled = flaw.spoil(g.dossier, random.Random(f"{flaw.name}/{seed}/{g.question}"))
            if spoiled is None:
                continue
            planted += 1
            hearing = hear(spoiled)
            after = weight(hearing)
            drops.append(clean.score - hearing.score)
            approved += hearing.decision == "APPROVE"
            if any(after[k] > before[k] for k in flaw.caught_by):
                found += 1
            elif len(missed) < 5:
                missed.append(f"{g.question[:60]} (seed {seed})")
    return {
        "flaw": flaw.name,
        "what": flaw.what,
        "planted": planted,
        "found": found,
        "rate": round(found / planted, 4) if planted else None,
        "mean_score_drop": round(statistics.mean(drops), 2) if drops else None,
        "still_approved": approved,
        "missed": missed,
    }


def measure(good: list[drafts.Good], *, seeds: int, repeats: int, hear: Hear = hear) -> dict[str, Any]:
    base = {g.question: hear(g.dossier) for g in good}
    alarms = [
        {"question": g.question, "kind": f.kind, "severity": f.severity.value, "text": f.text}
        for g in good
        for f in findings(base[g.question])
        if f.severity in BAD
    ]
    alarmed = len({a["question"] for a in alarms})
    kinds = [plant(good, flaw, seeds, base, hear) for flaw in FLAWS]
    planted, found = sum(k["planted"] for k in kinds), sum(k["found"] for k in kinds)
    scores = [{hear(g.dossier).score for _ in range(repeats)} for g in good]
    shifts = [
        hear(reword(g.dossier, random.Random(f"{seed}/{g.question}"))).score - base[g.question].score for g in good for seed in range(seeds)
    ]
    rates = [k["rate"] for k in kinds if k["rate"] is not None]
    return {
        "good_drafts": len(good),
        "flaw_kinds": len(kinds),
        "planted": planted,
        "found": found,
        "detection": round(found / planted, 4),
        "lowest_kind": min(rates),
        "false_alarm_drafts": alarmed,
        "false_alarm_rate": round(alarmed / len(good), 4),
        "false_alarms": alarms,
        "good_scores": sorted(h.score for h in base.values()),
        "repeats": repeats,
        "identical_over_repeats": all(len(s) == 1 for s in scores),
        "rewordings": len(shifts),
        "largest_shift_under_rewording": round(max(abs(s) for s in shifts), 3),
        "kinds": kinds,
    }


def handwritten() -> dict[str, Any]:
    """Single sentences against their claims, written by hand without looking at the checks: refused by the comparison, and by it or by verification."""
    rows = [
        json.loads(line) for line in (Path(__file__).resolve().parent / "planted" / "handwritten.jsonl").read_text("utf-8").splitlines()
    ]
    out: dict[str, Any] = {}
    for faithful in (False, True):
        chosen = [r for r in rows if r["faithful"] is faithful]
        compared = [any(d.slot != "wording" for d in wording.compare(r["text"], r["claim"])) for r in chosen]
        verified = [c or not _supported(r["text"], r["claim"]) for c, r in zip(compared, chosen, strict=True)]
        name = "faithful" if faithful else "wrong"
        out[name] = {"sentences": len(chosen), "refused_by_comparison": sum(compared), "refused_by_either": sum(verified)}
    out["not_refused"] = [r["what"] + ": " + r["text"] for r in rows if not r["faithful"] and not _refused(r)]
    return out


def _refused(row: dict[str, Any]) -> bool:
    return any(d.slot != "wording" for d in wording.compare(row["text"], row["claim"])) or not _supported(row["text"], row["claim"])


def _supported(text: str, source: str) -> bool:
    document = read_bytes(source.encode(), filename="claim.txt")
    return verify.verify_claim(verify.make_claim(text), [("p", document)]).verdict is Verdict.SUPPORTED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--workspace", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--library", nargs="*", default=[], help="other papers, to ask other questions about (prints, stores nothing)")
    parser.add_argument("--question", nargs="*", default=[])
    parser.add_argument("--model", nargs="*", default=[], help="models on the panel, as in sovereign ask --model (prints, stores nothing)")
    chosen = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        good, others = drafts.build(chosen.workspace or Path(scratch), chosen.question or drafts.QUESTIONS, chosen.library)
        heard = with_models(chosen.model, Path(scratch)) if chosen.model else hear
        result = measure(good, seeds=chosen.seeds, repeats=chosen.repeats, hear=heard)
    result |= {
        "handwritten": handwritten(),
        "not_used": [{"question": q, "why": w} for q, w in others],
        "seconds": round(time.monotonic() - begin, 1),
    }
    for k in result["kinds"]:
        print(
            f"{k['flaw']:26} {k['found']:4}/{k['planted']:<4} {'' if k['rate'] is None else format(k['rate'], '.0%'):>5}  "
            f"drop {k['mean_score_drop'] if k['mean_score_drop'] is not None else '-':>5}  still approved {k['still_approved']:3}  {'; '.join(k['missed'][:2])}"
        )
    if not chosen.question and not chosen.model:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps({k: v for k, v in result.items() if k != "kinds"}, ensure_ascii=False))


if __name__ == "__main__":
    main()
