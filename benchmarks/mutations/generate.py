"""Makes the generated part of the mutation suite: false and true versions of true sentences, the same for the same seed.

May import the suite's own rules and paragraphs. Reads the evaluation data beside the project at run time when it is there, and copies
none of it. Refuses to make a mutant where the rules cannot tell that it is false.

    python benchmarks/mutations/generate.py --seed 7 --per-kind 60 --corpora own,arxiv,pmlr
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.mutations import lexicon, rules
from benchmarks.mutations.paragraphs import PARAGRAPHS

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
CORPORA = ("own", "arxiv", "pmlr")


@dataclass(frozen=True)
class Case:
    """One claim against one source. `kind`: how a false claim was made, or which variety of truth it is."""

    id: str
    kind: str
    truth: bool
    claim: str
    source_text: str
    note: str
    acceptable: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    key: str
    text: str
    sentences: tuple[str, ...]


def split_sentences(text: str) -> list[str]:
    """Sentences of running text; abbreviations and decimals do not end one."""
    protected = re.sub(r"\b(e\.g|i\.e|et al|vs|cf|Fig|Eq|Sec|resp|approx|w\.r\.t)\.", lambda m: m.group(0).replace(".", "\x01"), text)
    parts = re.split(r"(?<=[.!?])\s+(?=[A-Z(])", protected)
    return [p.replace("\x01", ".").strip() for p in parts if p.strip()]


def self_contained(sentence: str) -> bool:
    """True for a finished statement that names what it speaks of: a figure or a system, and a first word that does not point back."""
    count = len(sentence.split())
    first = sentence.split()[0].lower().strip(",") if sentence.split() else ""
    if not 8 <= count <= 45 or not sentence.endswith(".") or first in lexicon.NOT_SELF_CONTAINED:
        return False
    if sentence.count("(") != sentence.count(")") or "?" in sentence or "http" in sentence or "$" in sentence or "\\" in sentence:
        return False
    return bool(rules.numbers(sentence) or rules.systems(sentence)) and bool(re.match(r"[A-Z]", sentence))


def own_sources() -> list[Source]:
    """The suite's own paragraphs; every sentence of five words or more is used."""
    return [Source(f"own-{k}", t, tuple(s for s in split_sentences(t) if len(s.split()) >= 5)) for k, t in PARAGRAPHS.items()]


def arxiv_sources() -> Iterator[Source]:
    """Abstracts of the MoE and LLM-inference subsets (CC0), each one source."""
    path = SHARED / "arxiv_metadata" / "arxiv_cs_subset.jsonl"
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["subset"] in ("moe", "llm_inference"):
            sentences = tuple(s for s in split_sentences(row["abstract"]) if self_contained(s))
            if sentences:
                yield Source(f"arxiv-{row['id']}", row["abstract"], sentences)


def pmlr_sources() -> Iterator[Source]:
    """Pages of full text (CC BY 4.0), each one source, with line ends and hyphenation of the page undone."""
    path = SHARED / "fulltext_pmlr_v262" / "papers.jsonl"
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for number, page in enumerate(row["pages"]):
            text = re.sub(r"\s+", " ", re.sub(r"(?<=[a-z])-\n(?=[a-z])", "", page)).strip()
            clean = [s for s in split_sentences(text) if self_contained(s) and re.match(r"(?:[A-Z][\w-]*,? ){1}[a-zA-Z]", s)]
            prose = tuple(s for s in clean if sum(w.isalpha() for w in s.split()) >= 0.7 * len(s.split()) and not _typeset_debris(s))
            if prose and not text.startswith("References"):
                yield Source(f"pmlr-{row['id'].removeprefix('pmlr-')}-p{number + 1}", text, prose)


def _typeset_debris(sentence: str) -> bool:
    """True when a page's headings, list marks or references have run into the sentence."""
    return bool(
        re.search(r"[•⇥∈≈{}]|\.\s\d|\bpages\b|Conference|Workshop|\bet al\b", sentence)
        or re.search(r"\s\d{1,2}\.$|\b\d+(?:\.\d+)*\s[A-Z][a-z]+\s[A-Z]?[a-z]+\s[A-Z]|^[A-Z]\s(?!\w+s?\sis)[A-Z]", sentence)
        or re.search(r"[a-z]\s\d+(?:\.\d+)+\s[A-Z]", sentence)
    )


def load(corpora: tuple[str, ...]) -> dict[str, list[Source]]:
    makers = {"own": own_sources, "arxiv": arxiv_sources, "pmlr": pmlr_sources}
    return {name: list(makers[name]()) for name in corpora}


def _settings(sources: list[Source]) -> dict[str, rules.Setting]:
    everywhere = sorted({n for s in sources for n in rules.systems(s.text)})
    return {s.key: rules.Setting(s.text, tuple(rules.systems(s.text)), tuple(everywhere)) for s in sources}


def cases_of(source: Source, setting: rules.Setting, seed: int) -> Iterator[Case]:
    """Every case that the rules can make from one source."""
    for index, sentence in enumerate(source.sentences):
        for truth, table in ((False, rules.MUTANTS), (True, rules.VARIANTS)):
            for kind, rule in table.items():
                rng = random.Random(f"{seed}:{source.key}:{index}:{kind}")
                made = rule(sentence, rng, setting)
                if made is None or (not truth and made[0] in source.text):
                    continue
                yield Case(f"{source.key}-{index}-{kind}", kind, truth, made[0], source.text, made[1], rules.ACCEPTABLE[kind])


def generate(seed: int = 7, per_kind: int | None = 60, corpora: tuple[str, ...] = CORPORA) -> list[Case]:
    """At most `per_kind` cases per kind and corpus (None: all), at most one per kind and source, the same for the same seed."""
    chosen: list[Case] = []
    for name, sources in load(corpora).items():
        settings = _settings(sources)
        order = sorted(sources, key=lambda s: random.Random(f"{seed}:{s.key}").random())
        taken: Counter[str] = Counter()
        for source in order:
            used: set[str] = set()
            for case in cases_of(source, settings[source.key], seed):
                if per_kind is not None and (taken[case.kind] >= per_kind or (case.kind in used and name != "own")):
                    continue
                taken[case.kind] += 1
                used.add(case.kind)
                chosen.append(case)
            if per_kind is not None and len(taken) == len(rules.ACCEPTABLE) and min(taken.values()) >= per_kind:
                break
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--per-kind", type=int, default=60)
    parser.add_argument("--corpora", default=",".join(CORPORA))
    parser.add_argument("--out", type=Path, help="write the cases here as JSON lines (keep such a file out of the project)")
    args = parser.parse_args()
    cases = generate(args.seed, args.per_kind, tuple(args.corpora.split(",")))
    if args.out:
        args.out.write_text("".join(json.dumps(asdict(c), ensure_ascii=False) + "\n" for c in cases), encoding="utf-8")
    counts = Counter(f"{c.id.split('-')[0]}/{c.kind}" for c in cases)
    print(json.dumps({"seed": args.seed, "cases": len(cases), "counts": dict(sorted(counts.items()))}))


if __name__ == "__main__":
    main()
