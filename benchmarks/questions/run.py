"""Score `sovereign ask` on the 25 questions: named system admitted, noise kept out, gold sentences found, facets answered or not as expected.

    python benchmarks/questions/run.py --workspace DIR [--library PATH ...] [--only ID ...] [--keep DIR]

Prints a table, then one JSON document; the raw output goes to benchmarks/results/questions.json. Uses the command line only, as a user would.
"other" counts admitted works that are neither shipped notes nor named by the question: to be looked at by a person. "verdicts": every claim is taken word for
word from its source, so any verdict but SUPPORTED is a mistake of the extraction or of the verifier.
`--keep DIR` stores each run's JSON there; `--from DIR` scores stored JSON again without running anything.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NOTES = HERE.parents[1] / "src" / "sovereign" / "library" / "notes"
RESULTS = HERE.parent / "results" / "questions.json"
ARXIV = re.compile(r"\b(\d{4}\.\d{4,5})(?:v\d+)?\b")
MARK = re.compile(r"\s*\((?:abstract|secondary note|own calculation)\)")
STOP = frozenset("a an and are as at by for from has in is it its of on or than that the to with".split())


def load_questions(only: list[str]) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (HERE / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if not only or row["id"] in only]


def ask(question: str, workspace: Path, library: list[str], timeout: float) -> dict[str, Any]:
    """One run through the command line. A refused or broken run is a result too: exit code and message are kept."""
    program = shutil.which("sovereign") or str(Path(sys.executable).with_name("sovereign"))
    command = [program, "ask", question, "--sources", "local", "--workspace", str(workspace), "--json"]
    for path in library:
        command += ["--library", path]
    begin = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return {"exit_code": None, "error": f"no answer in {timeout:.0f} s", "wall_s": timeout}
    try:
        out: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        out = {"error": (done.stderr or done.stdout).strip()[-400:]}
    return out | {"exit_code": done.returncode, "wall_s": round(time.monotonic() - begin, 2)}


def norm(text: str) -> list[str]:
    cleaned = MARK.sub("", text.replace("−", "-").replace("\u202f", " ").replace("\u00a0", " "))
    return re.findall(r"[a-z0-9.%-]*[a-z0-9%]", cleaned.casefold())


def same_statement(gold: str, text: str) -> bool:
    """Equal up to marks and spacing, or nearly so: 85 % of the content words and every number of the gold sentence, within one sentence."""
    a, b = norm(gold), norm(text)
    if " ".join(a) in " ".join(b):
        return True
    content = {word for word in a if word not in STOP}
    figures = {word for word in content if word[0].isdigit()}
    return bool(content) and len(b) < 3 * len(a) and figures <= set(b) and len(content & set(b)) >= 0.85 * len(content)


def ids_of(source: dict[str, Any]) -> set[str]:
    return set(ARXIV.findall(" ".join(str(source.get(key) or "") for key in ("id", "about", "arxiv_id"))))


def overlap(a: str, b: str) -> float:
    x, y = (set(re.findall(r"[a-z0-9]+", text.casefold())) for text in (a, b))
    return len(x & y) / min(len(x), len(y)) if x and y else 0.0


def facet_entry(facet: dict[str, str], coverage: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The run's coverage entry for an expected facet: same kind and the most similar text, at least half of the shorter one."""

    def score(entry: dict[str, Any]) -> float:
        name = entry.get("facet")
        kind, text = (str(name.get("kind", "")), str(name.get("text", ""))) if isinstance(name, dict) else str(name).partition(":")[::2]
        if kind and kind != facet["kind"]:
            return 0.0
        return overlap(facet["text"], text or kind)

    best = max(coverage, key=score, default=None)
    return best if best is not None and score(best) >= 0.5 else None


def draft_text(run: dict[str, Any]) -> str:
    """The draft before its table of claims: what a person reads, not what the run merely lists."""
    path = (run.get("files") or {}).get("draft.md") or (run.get("files") or {}).get("md")
    text = Path(path).read_text(encoding="utf-8") if path and Path(path).is_file() else ""
    return text.split("\n## Claims", 1)[0]


def score(question: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    sources = run.get("sources") or []
    admitted = set().union(*(ids_of(s) for s in sources if s.get("admitted"))) if sources else set()
    claims = [str(claim.get("text", "")) for claim in run.get("claims") or []]
    listed = {path.stem for path in NOTES.glob("*.md")} | set(question["must_admit"])
    verdicts = Counter(str(claim.get("verdict")) for claim in run.get("claims") or [])
    coverage = run.get("coverage") or []
    draft = draft_text(run)
    facets = []
    for facet in question["facets"]:
        entry = facet_entry(facet, coverage)
        got = None if entry is None else bool(entry.get("answered"))
        facets.append({"facet": f"{facet['kind']}:{facet['text']}", "expected": facet["answerable"] == "yes", "got": got})
    return {
        "id": question["id"],
        "state": run.get("state"),
        "exit_code": run.get("exit_code"),
        "error": run.get("error"),
        "wall_s": run.get("wall_s"),
        "decision": (run.get("policy") or {}).get("decision"),
        "missing_sources": sorted(set(question["must_admit"]) - admitted),
        "noise_admitted": sorted(set(question["must_not_admit"]) & admitted),
        "admitted": sorted(admitted),
        "unlisted_admitted": sorted(admitted - listed),
        "claims": len(claims),
        "verdicts": dict(sorted(verdicts.items())),
        "gold": [
            {
                "note": g["note"],
                "text": g["text"],
                "in_claims": any(same_statement(g["text"], c) for c in claims),
                "in_draft": _in_draft(g["text"], draft),
            }
            for g in question["gold"]
        ],
        "facets": facets,
        "unexpected_facets": _unexpected(question, coverage),
        "auto_approved_without_answer": question.get("expect") == "no_answer"
        and (run.get("policy") or {}).get("decision") == "AUTO_APPROVE",
    }


def _in_draft(gold: str, draft: str) -> bool:
    return any(same_statement(gold, line) for line in re.split(r"\n|(?<=[.!?])\s", draft) if line.strip())


def _unexpected(question: dict[str, Any], coverage: list[dict[str, Any]]) -> list[str]:
    used = [facet_entry(facet, coverage) for facet in question["facets"]]
    return [str(entry.get("facet")) for entry in coverage if not any(entry is other for other in used)]


def share(values: list[bool]) -> float | None:
    """None when nothing was asked: a share of nothing has no value."""
    return round(sum(values) / len(values), 3) if values else None


def summary(scores: list[dict[str, Any]], questions: list[dict[str, Any]]) -> dict[str, Any]:
    by_id = {question["id"]: question for question in questions}
    ran = [s for s in scores if s["error"] is None]
    gold = [g for s in ran for g in s["gold"]]
    facets = [f for s in ran for f in s["facets"]]
    seen = [f for f in facets if f["got"] is not None]
    return {
        "questions": len(scores),
        "answered_or_refused_cleanly": len(ran),
        "named_system_admitted": share([not s["missing_sources"] for s in ran if by_id[s["id"]]["must_admit"]]),
        "noise_kept_out": share([not s["noise_admitted"] for s in ran]),
        "gold_in_claims": share([g["in_claims"] for g in gold]),
        "gold_in_draft": share([g["in_draft"] for g in gold]),
        "facets_recognised": share([f["got"] is not None for f in facets]),
        "facet_agreement": share([f["got"] == f["expected"] for f in seen]),
        "wrongly_answered": sum(f["got"] and not f["expected"] for f in seen),
        "wrongly_unanswered": sum(not f["got"] and f["expected"] for f in seen),
        "auto_approved": sum(s["decision"] == "AUTO_APPROVE" for s in scores),
        "auto_approved_without_answer": sum(s["auto_approved_without_answer"] for s in scores),
        "unlisted_admitted": sum(len(s["unlisted_admitted"]) for s in ran),
        "verdicts": dict(sorted(sum((Counter(s["verdicts"]) for s in ran), Counter()).items())),
        "wall_s_total": round(sum(s["wall_s"] or 0.0 for s in scores), 1),
    }


def table(scores: list[dict[str, Any]]) -> str:
    lines = [
        f"{'question':10s} {'exit':>4s} {'named':>5s} {'noise':>5s} {'other':>5s} {'gold':>5s} {'draft':>5s} {'facets':>7s} {'claims':>6s} {'s':>6s}  remarks"
    ]
    for s in scores:
        gold, seen = s["gold"], [f for f in s["facets"] if f["got"] is not None]
        remarks = [
            s["error"] or "",
            "AUTO_APPROVE" if s["decision"] == "AUTO_APPROVE" else "",
            *(f"missing {i}" for i in s["missing_sources"]),
            *(f"noise {i}" for i in s["noise_admitted"]),
        ]
        remarks += [
            f"{f['facet']} {'not seen' if f['got'] is None else 'said ' + ('yes' if f['got'] else 'no')}"
            for f in s["facets"]
            if f["got"] != f["expected"]
        ]
        lines.append(
            f"{s['id']:10s} {s['exit_code']!s:>4s} {'no' if s['missing_sources'] else 'yes':>5s} {len(s['noise_admitted']):5d} {len(s['unlisted_admitted']):5d}"
            f" {sum(g['in_claims'] for g in gold)}/{len(gold):<3d} {sum(g['in_draft'] for g in gold)}/{len(gold):<3d}"
            f" {sum(f['got'] == f['expected'] for f in seen)}/{len(s['facets']):<5d} {s['claims']:6d} {s['wall_s'] or 0.0:6.1f}  "
            + "; ".join(r for r in remarks if r)
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--library", action="append", default=[], help="own papers to add, as for `sovereign ask`")
    parser.add_argument("--only", nargs="*", default=[], help="ids of questions")
    parser.add_argument("--keep", type=Path, help="store each run's JSON here")
    parser.add_argument("--from", dest="stored", type=Path, help="score the JSON stored by --keep, run nothing")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds per question")
    options = parser.parse_args()
    questions = load_questions(options.only)
    scores = []
    for question in questions:
        if options.stored:
            run = json.loads((options.stored / f"{question['id']}.json").read_text(encoding="utf-8"))
        else:
            run = ask(question["question"], options.workspace, options.library, options.timeout)
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{question['id']}.json").write_text(json.dumps(run, ensure_ascii=False, indent=1), encoding="utf-8")
        scores.append(score(question, run))
        print(f"{question['id']} done", file=sys.stderr)
    document = {"benchmark": "questions", "summary": summary(scores, questions), "scores": scores}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    if not options.only:
        RESULTS.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(table(scores))
    print(json.dumps(document["summary"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
