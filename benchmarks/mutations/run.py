"""Runs a verifier over the mutation suite and counts what it lets through: false-accept per kind, true-accept per variety.

May import the suite and, inside the default adapter, sovereign.kernel.verify. Judges by verdict alone; refuses to weigh a reason.
A verifier is any callable (claim, source in Markdown) -> verdict string, given as "module:function", or one of the names below.

    python benchmarks/mutations/run.py                              # the shipped verifier and the original rule, all sets
    python benchmarks/mutations/run.py --verifier mypackage.mine:judge --sets pairs_tune --no-legacy
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.mutations.generate import Case, generate

if TYPE_CHECKING:
    from sovereign.records import Document

HERE = Path(__file__).resolve().parent
Verify = Callable[[str, str], str]
SETS = ("own", "arxiv", "pmlr", "pairs_tune", "pairs_dev", "pairs_dev2", "pairs_dev3", "pairs_test", "attacks", "manuscript")
MARKS = ("<!-- numbers: begin, written by run.py --docs -->", "<!-- numbers: end -->")
LEGACY_THRESHOLD = 0.15  # cosine; the original system's, not calibrated
WILSON_Z = 1.959964  # two-sided 95 %


# --- sources ---------------------------------------------------------------------------------------------------------------------


def document_of(markdown: str) -> Document:
    """A Document from Markdown: paragraphs as prose, each table row a TABLE_ROW whose caption is the paragraph before the table."""
    from sovereign.records import Basis, Document, Passage, PassageKind, TableRow

    text = markdown.replace("\r\n", "\n")
    passages: list[Passage] = []
    caption = ""
    offset = 0
    for block in re.split(r"(\n\s*\n)", text):
        start, offset = offset, offset + len(block)
        lines = block.split("\n")
        if len(lines) >= 3 and lines[0].lstrip().startswith("|") and re.fullmatch(r"[|:\-\s]+", lines[1]):
            header = _cells(lines[0])
            at = start + len(lines[0]) + len(lines[1]) + 2
            for row, line in enumerate(lines[2:]):
                if line.strip():
                    table = TableRow(caption, header, _cells(line), row)
                    passages.append(Passage(at, at + len(line), line, PassageKind.TABLE_ROW, "", table))
                at += len(line) + 1
        elif block.strip():
            caption = block.strip()
            passages.append(Passage(start, start + len(block), block))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Document(digest, text, tuple(passages), Basis.FULL_TEXT, "mutation-suite/1")


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


# --- verifiers -------------------------------------------------------------------------------------------------------------------


def shipped(claim: str, source: str) -> str:
    """The project's verifier, as `sovereign verify` calls it."""
    from sovereign.kernel.verify import make_claim, verify_claim

    return str(verify_claim(make_claim(claim), [("file:source", document_of(source))]).verdict.value)


def legacy(claim: str, source: str) -> str:
    """The original rule: TF-IDF over 1-2-grams, English stop words, sublinear tf, fitted on the pair; cosine >= 0.15 is "verified"."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        matrix = TfidfVectorizer(ngram_range=(1, 2), stop_words="english", sublinear_tf=True).fit_transform([claim, source])
    except ValueError:  # nothing but stop words
        return "NOT_FOUND"
    return "SUPPORTED" if float((matrix[0] @ matrix[1].T).toarray()[0, 0]) >= LEGACY_THRESHOLD else "NOT_FOUND"


def load_verifier(name: str) -> Verify:
    """ "shipped", "legacy" or "module:function"."""
    if name in ("shipped", "legacy"):
        return {"shipped": shipped, "legacy": legacy}[name]
    module, _, function = name.partition(":")
    found: Verify = getattr(importlib.import_module(module), function)
    return found


# --- sets ------------------------------------------------------------------------------------------------------------------------


def read_pairs(path: Path) -> list[Case]:
    """Hand-written cases from JSON lines."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [Case(r["id"], r["kind"], r["truth"], r["claim"], r["source"], r["note"], tuple(r["acceptable"])) for r in rows]


def manuscript_cases(folder: Path) -> list[Case]:
    """The sixteen cited sentences of the example manuscript, each against the note that it cites."""
    from benchmarks.mutations.rules import ACCEPTABLE

    rows = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["claims"]
    cases = []
    for number, row in enumerate(rows, 1):
        source = (folder / "sources" / f"{row['cites']}.md").read_text(encoding="utf-8")
        allowed = ("SUPPORTED",) if row["truth"] else ACCEPTABLE[row["kind"]]
        kind = "cited" if row["truth"] else row["kind"]
        cases.append(Case(f"manuscript-{number:02d}", kind, row["truth"], row["claim"], source, row["source_says"] or "", allowed))
    return cases


def load_set(name: str, seed: int, per_kind: int | None) -> list[Case]:
    """One named set; [] when its data is not on this machine."""
    if name in ("own", "arxiv", "pmlr"):
        return generate(seed, None if name == "own" else per_kind, (name,))
    if name == "manuscript":
        return manuscript_cases(HERE.parents[1] / "examples" / "manuscript")
    path = HERE / f"{name}.jsonl"
    return read_pairs(path) if path.exists() else []


# --- counting --------------------------------------------------------------------------------------------------------------------


def wilson(hits: int, n: int) -> tuple[float, float] | None:
    """95 % score interval of a share (Wilson 1927); None when n = 0."""
    if n == 0:
        return None
    p, z2 = hits / n, WILSON_Z**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = WILSON_Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Share:
    """hits of n; rate and interval are None when n = 0."""

    hits: int
    n: int

    def as_json(self) -> dict[str, Any]:
        interval = wilson(self.hits, self.n)
        rate = round(self.hits / self.n, 4) if self.n else None
        return {"hits": self.hits, "n": self.n, "rate": rate, "wilson95": [round(x, 4) for x in interval] if interval else None}

    def __str__(self) -> str:
        interval = wilson(self.hits, self.n)
        if interval is None:
            return "no cases"
        return f"{self.hits:4d}/{self.n:<4d} {100 * self.hits / self.n:5.1f} %  [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def share(flags: Iterable[bool]) -> Share:
    listed = list(flags)
    return Share(sum(listed), len(listed))


def judge(cases: list[Case], verify: Verify) -> tuple[list[str], float]:
    """Verdicts in order, and the seconds they took."""
    started = time.perf_counter()
    verdicts = [verify(case.claim, case.source_text) for case in cases]
    return verdicts, time.perf_counter() - started


def count(cases: list[Case], verdicts: list[str]) -> dict[str, Any]:
    """The shares of one set. `accepted`: a false claim called SUPPORTED. `outside`: a verdict that the case does not allow."""
    rows = list(zip(cases, verdicts))
    by_kind: dict[bool, dict[str, list[tuple[Case, str]]]] = {True: defaultdict(list), False: defaultdict(list)}
    for case, verdict in rows:
        by_kind[case.truth][case.kind].append((case, verdict))
    truths = [(c, v) for c, v in rows if c.truth]
    lies = [(c, v) for c, v in rows if not c.truth]
    return {
        "false_accepted": {kind: share(v == "SUPPORTED" for _, v in group) for kind, group in sorted(by_kind[False].items())},
        "false_accepted_all": share(v == "SUPPORTED" for _, v in lies),
        "false_outside_acceptable": share(v not in c.acceptable for c, v in lies),
        "true_supported": {kind: share(v in c.acceptable for c, v in group) for kind, group in sorted(by_kind[True].items())},
        "true_supported_all": share(v in c.acceptable for c, v in truths),
        "true_contradicted": share(v == "CONTRADICTED" for _, v in truths),
        "verdicts_of_false": dict(Counter(v for _, v in lies)),
        "verdicts_of_true": dict(Counter(v for _, v in truths)),
    }


def plain(value: Any) -> Any:
    """Shares to JSON, whatever they are nested in."""
    if isinstance(value, Share):
        return value.as_json()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def report(name: str, verifier: str, counted: dict[str, Any], seconds: float, n: int) -> None:
    print(f"\n== {name} · {verifier} · {n} cases · {n / seconds if seconds else 0:.0f} pairs/s")
    for kind, group in counted["false_accepted"].items():
        print(f"  false {kind:18s} accepted {group}")
    print(
        f"  false {'ALL':18s} accepted {counted['false_accepted_all']}   outside the allowed verdicts {counted['false_outside_acceptable']}"
    )
    for kind, group in counted["true_supported"].items():
        print(f"  true  {kind:18s} accepted {group}")
    print(f"  true  {'ALL':18s} accepted {counted['true_supported_all']}   wrongly CONTRADICTED {counted['true_contradicted']}")
    print(f"  verdicts of false {counted['verdicts_of_false']}  of true {counted['verdicts_of_true']}")


def _cell(group: dict[str, Any] | None, interval: bool = False) -> str:
    if not group or not group["n"]:
        return "–"
    text = f"{group['hits']}/{group['n']} ({100 * group['rate']:.1f} %)"
    return text + (f" [{100 * group['wilson95'][0]:.1f}, {100 * group['wilson95'][1]:.1f}]" if interval else "")


def tables(result: dict[str, Any], verifier: str) -> str:
    """The figures as Markdown: false claims called SUPPORTED per kind, true claims called SUPPORTED per variety, and the original rule's totals."""
    names = [name for name in SETS if name in result["sets"]]
    sets = {name: result["sets"][name][verifier] for name in names}
    head = "|".join(["", "", *names, ""]), "|---" * (len(names) + 1) + "|"
    lines = ["False claims called SUPPORTED (lower is better):", "", head[0], head[1]]
    for kind in sorted({k for s in sets.values() for k in s["false_accepted"]}):
        lines.append(f"|{kind}|" + "|".join(_cell(sets[n]["false_accepted"].get(kind)) for n in names) + "|")
    lines.append("|**all** [95 %]|" + "|".join(_cell(sets[n]["false_accepted_all"], True) for n in names) + "|")
    lines += ["", "True claims called SUPPORTED (higher is better):", "", head[0], head[1]]
    for kind in sorted({k for s in sets.values() for k in s["true_supported"]}):
        lines.append(f"|{kind}|" + "|".join(_cell(sets[n]["true_supported"].get(kind)) for n in names) + "|")
    lines.append("|**all** [95 %]|" + "|".join(_cell(sets[n]["true_supported_all"], True) for n in names) + "|")
    lines.append("|wrongly CONTRADICTED|" + "|".join(_cell(sets[n]["true_contradicted"], True) for n in names) + "|")
    lines.append("|pairs/s|" + "|".join(f"{sets[n]['pairs_per_s']:.0f}" for n in names) + "|")
    if verifier != "legacy" and all("legacy" in result["sets"][n] for n in names):
        old = {n: result["sets"][n]["legacy"] for n in names}
        lines += ["", "The original rule (TF-IDF cosine >= 0.15 with the source), same cases, same run:", "", head[0], head[1]]
        lines.append("|false called SUPPORTED|" + "|".join(_cell(old[n]["false_accepted_all"], True) for n in names) + "|")
        lines.append("|true called SUPPORTED|" + "|".join(_cell(old[n]["true_supported_all"], True) for n in names) + "|")
    return "\n".join([f"Command: `{result['command']}`", "", *lines])


def write_docs(path: Path, text: str) -> None:
    """Puts the tables between the two marks of a Markdown file; everything else stays."""
    old = path.read_text(encoding="utf-8")
    before, _, rest = old.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    path.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verifier", default="shipped", help='"shipped", "legacy" or "module:function"')
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--per-kind", type=int, default=60)
    parser.add_argument("--no-legacy", action="store_true", help="leave out the original rule")
    parser.add_argument("--failures", help="print the cases of this set that went wrong (not for pairs_test while tuning)")
    parser.add_argument("--docs", type=Path, help="write the tables between the marks of this Markdown file")
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "mutations.json")
    args = parser.parse_args()
    names = [args.verifier] + ([] if args.no_legacy or args.verifier == "legacy" else ["legacy"])
    command = f"python benchmarks/mutations/run.py --verifier {args.verifier} --seed {args.seed} --per-kind {args.per_kind}"
    result: dict[str, Any] = {"command": command, "seed": args.seed, "sets": {}, "not_run": {}, "raw": {}}
    for set_name in args.sets.split(","):
        cases = load_set(set_name, args.seed, args.per_kind)
        if not cases:
            result["not_run"][set_name] = "its data is not on this machine"
            continue
        for name in names:
            verdicts, seconds = judge(cases, load_verifier(name))
            counted = count(cases, verdicts)
            report(set_name, name, counted, seconds, len(cases))
            result["sets"].setdefault(set_name, {})[name] = {
                "n": len(cases),
                "pairs_per_s": round(len(cases) / seconds, 1),
                **plain(counted),
            }
            if name != "legacy":
                result["raw"][set_name] = {case.id: verdict for case, verdict in zip(cases, verdicts)}
            if args.failures == set_name and name == names[0]:
                for case, verdict in zip(cases, verdicts):
                    if verdict not in case.acceptable:
                        print(f"  ! {verdict:12s} {case.id}: {case.claim}  ({case.note})")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if args.docs:
        write_docs(args.docs, tables(result, args.verifier))
    print(json.dumps({key: result[key] for key in ("command", "seed", "sets", "not_run")}, sort_keys=True))


if __name__ == "__main__":
    main()
