"""Scientific training pairs for benchmarks/train_entailment.py: titles as claims, and claims turned round. Imports the project only.

A title that states a finding is supported by its own abstract, refuted once its verb is turned round, and unanswered by a neighbouring abstract.
Where the abstract uses the same verb, it is turned round as well, so that nothing can be learnt from the claim alone. Refuses every abstract that a
SciFact dev claim cites.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import retrieval
import verify_scifact as public
from sovereign.records import Document

Row = tuple[str, str, str]  # premise, claim, label
# Verbs and adjectives of findings and their opposites, by stem; the ending is carried over. Written for this script from SciFact's training titles.
_STEMS = (
    ("increas", "decreas"), ("enhanc", "reduc"), ("promot", "prevent"), ("activat", "inactivat"), ("induc", "suppress"), ("stimulat", "inhibit"),
    ("upregulat", "downregulat"), ("up-regulat", "down-regulat"), ("improv", "impair"), ("accelerat", "slow"), ("facilitat", "block"), ("worsen", "ameliorat"),
    ("aggravat", "alleviat"), ("elevat", "lower"), ("rais", "lower"), ("stabiliz", "destabiliz"), ("strengthen", "weaken"), ("potentiat", "attenuat"),
)  # fmt: skip
_WORDS = (
    ("higher", "lower"), ("high", "low"), ("more", "less"), ("greater", "smaller"), ("positively", "negatively"), ("positive", "negative"), 
    ("essential", "dispensable"), ("required", "dispensable"), ("necessary", "unnecessary"), ("sufficient", "insufficient"), ("effective", "ineffective"),
    ("presence", "absence"), ("gain", "loss"), ("better", "worse"), ("beneficial", "harmful"), ("protects against", "predisposes to"),
    ("protective", "detrimental"), ("faster", "slower"),
    ("increase", "decrease"), ("rise", "fall"), ("independent of", "dependent on"), ("superior", "inferior"),
    ("stronger", "weaker"), ("reduces", "raises"), ("reduced", "raised"), ("rapidly", "slowly"), ("sensitive to", "resistant to"), ("upstream", "downstream"),
    ("common", "rare"), ("longer", "shorter"), ("safe", "unsafe"), 
)  # fmt: skip
_ENDINGS = r"(e[sd]?|s|ed|ing|ion|ions|ers?)"
_SLOW = {
    "slow": {"es": "s", "e": "", "ion": "ing"},
    "lower": {"es": "s", "e": "", "ion": "ing"},
    "block": {"es": "s", "e": "", "ion": "ing"},
}
_PLAIN = (
    "suppress",
    "inhibit",
    "prevent",
    "impair",
    "worsen",
    "strengthen",
    "weaken",
    "slow",
    "lower",
    "block",
)  # their infinitive has no -e
_VERB = re.compile(
    r"\b(regulates|mediates|controls|predicts|causes|contributes|reveals|affects|requires|drives|determines|binds|interacts|targets|plays|leads|links|encodes"
    r"|modulates|coordinates|protects|supports|influences|restricts|enables|maintains|links|depends|correlates)\b"
)
_DENIED = re.compile(r"\b(does not|do not|did not|is not|are not|was not|were not|cannot|can not|has no|have no|no)\b ", re.IGNORECASE)
_BASE = {
    "is": "is not",
    "are": "are not",
    "was": "was not",
    "were": "were not",
    "can": "cannot",
    "has": "does not have",
    "have": "do not have",
}


def _ending(stem: str, ending: str) -> str:
    """The ending as it is written after the other stem."""
    if stem in _PLAIN:
        if ending in ("es", "s"):
            return "es" if stem.endswith("ss") else "s"
        return {"e": "", "d": "ed", "ion": "ing", "ions": "ing", "er": "ing"}.get(ending, ending)
    return {"s": "es", "": "e"}.get(ending, ending)


Turn = Callable[[str], str]


def turns(text: str) -> list[tuple[str, Turn]]:
    """(turned text, the same turn for another text) for every way of turning one word of `text` into its opposite."""
    out: list[tuple[str, Turn]] = []
    for one, two in _STEMS:
        for a, b in ((one, two), (two, one)):
            pattern = re.compile(rf"\b{a}(es|ed|e|ing|ion|s|)\b", re.IGNORECASE)

            def stem(t: str, pattern: re.Pattern[str] = pattern, b: str = b, n: int = 0) -> str:
                return pattern.sub(lambda m: _cased(m.group(), b + _ending(b, m.group(1).lower())), t, count=n)

            if pattern.search(text):
                out.append((stem(text, n=1), stem))
    for one, two in _WORDS:
        for a, b in ((one, two), (two, one)):
            pattern = re.compile(rf"\b{a}\b", re.IGNORECASE)

            def word(t: str, pattern: re.Pattern[str] = pattern, b: str = b, n: int = 0) -> str:
                return pattern.sub(lambda m: _cased(m.group(), b), t, count=n)

            if pattern.search(text):
                out.append((word(text, n=1), word))
    return out


def denied(text: str) -> str | None:
    """The text with a negation put in or, where it has one, taken out. None where no verb is known."""
    if (found := _DENIED.search(text)) is not None:
        gone = {
            "does not": "",
            "do not": "",
            "did not": "",
            "cannot": "can ",
            "can not": "can ",
            "has no": "has ",
            "have no": "have ",
            "no": "",
        }
        said = found.group(1).lower()
        return text[: found.start()] + gone.get(said, said.removesuffix(" not") + " ") + text[found.end() :]
    found = re.search(r"\b(is|are|was|were|can)\b", text)
    if found is not None:
        return text[: found.start()] + _BASE[found.group()] + text[found.end() :]
    found = _VERB.search(text) or re.search(
        r"\b(\w{4,}(?:es|[^s]s))\b(?= (?:the|a|an|in|of|to|for|by|and|with|[a-z]+ing|[A-Z]\w+)\b)", text[8:]
    )
    if found is None:
        return None
    at = text.index(found.group())
    verb = found.group()
    if not verb.endswith("s"):
        return None
    bare = verb[:-2] if re.search(r"(ss|sh|ch|x|o)es$", verb) else verb[:-1]
    return f"{text[:at]}does not {bare}{text[at + len(verb) :]}"


def _cased(old: str, new: str) -> str:
    return new.capitalize() if old[:1].isupper() else new


def opposite(claim: str, rng: random.Random) -> tuple[str, Turn] | None:
    """One opposite of a claim, by an opposite word (three times in four, where there is one) or by a negation."""
    options = turns(claim)
    negative = denied(claim) if _VERB.search(claim) or re.search(r"\b(is|are|was|were|can|not|no)\b", claim) else None
    if options and (negative is None or rng.random() < 0.75):
        return rng.choice(options)
    return (negative, lambda t: t) if negative else None


def states_a_finding(title: str) -> bool:
    words = title.split()
    verb = _VERB.search(title) or re.search(
        r"\b(is|are|was|were|can|(?:increas|decreas|enhanc|reduc|promot|prevent|activat|induc|suppress|stimulat|inhibit|improv|impair|facilitat|block)\w*(?<!ing)(?<!ion)s)\b",
        title,
    )
    return verb is not None and 5 <= len(words) <= 28 and "?" not in title


def titled(data: Path, joined: Callable[[str, Document], str], rng: random.Random) -> list[Row]:
    """Titles of SciFact abstracts that state a finding: supported, turned round, and against a neighbouring abstract."""
    dev = {str(d) for r in _rows(data / "scifact" / "claims_dev.jsonl") for d in r["cited_doc_ids"]}
    documents = [r for r in _rows(data / "scifact" / "corpus.jsonl") if str(r["doc_id"]) not in dev]
    near = neighbours([r["title"] for r in documents])
    out: list[Row] = []
    for number, row in enumerate(documents):
        title = row["title"].strip().rstrip(".")
        if not states_a_finding(title) or len(row["abstract"]) < 3:
            continue
        claim = title + "."
        document = public.prose(row["abstract"], "", public.Basis.ABSTRACT_ONLY)
        premise = joined(claim, document)
        out.append((premise, claim, "SUPPORT"))
        if (turned := opposite(claim, rng)) is not None:
            out.append((premise, turned[0], "REFUTE"))
            if (other := turned[1](premise)) != premise:
                out += [(other, claim, "REFUTE"), (other, turned[0], "SUPPORT")]
        beside = documents[near[number]]
        out.append((joined(claim, public.prose(beside["abstract"], "", public.Basis.ABSTRACT_ONLY)), claim, "NEI"))
    return out


def rarest(found_in: int, total: int) -> float:
    """A shared word counts by how few texts hold it: one very rare word decides."""
    return 1.0 / found_in


def informative(found_in: int, total: int) -> float:
    """Inverse document frequency: several shared words decide."""
    return math.log(total / found_in)


def neighbours(texts: Sequence[str], only_from: int = 0, worth: Callable[[int, int], float] = rarest) -> list[int]:
    """For each text the index of another one (from `only_from` on) that shares the words of most worth. No weights are learnt."""
    words = [set(re.findall(r"[a-z]{4,}", t.lower())) for t in texts]
    where: dict[str, list[int]] = {}
    for number, held in enumerate(words):
        for word in held:
            where.setdefault(word, []).append(number)
    out = []
    for number, held in enumerate(words[: only_from or None]):
        score: dict[int, float] = {}
        for word in sorted(held):
            if 2 <= len(where[word]) <= 400:
                value = worth(len(where[word]), len(texts))
                for other in where[word]:
                    if other >= only_from and other != number:
                        score[other] = score.get(other, 0.0) + value
        fallback = only_from + (number + 1) % (len(texts) - only_from)
        out.append(max(score, key=lambda k: (score[k], -k)) if score else fallback)
    return out


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


@dataclass(frozen=True)
class Cited:
    """One SciFact claim with one abstract it cites: the label, the document and the text of the rationale sentences."""

    claim: str
    label: str
    document: Document
    rationale: tuple[str, ...]


def cited(data: Path, split: str) -> list[Cited]:
    """Every claim with every abstract it cites."""
    return _paired(data, split, lambda row: [str(d) for d in row["cited_doc_ids"]])


def retrieved(data: Path, split: str, n: int = 3) -> list[Cited]:
    """Every claim with the n abstracts that BM25 finds for it; what nobody annotated has no evidence."""
    search = retrieval.one_field(_rows(data / "scifact" / "corpus.jsonl"))
    return _paired(data, split, lambda row: search(row["claim"])[:n])


def _paired(data: Path, split: str, abstracts: Callable[[dict[str, Any]], list[str]]) -> list[Cited]:
    corpus = {str(r["doc_id"]): r for r in _rows(data / "scifact" / "corpus.jsonl")}
    out = []
    for row in _rows(data / "scifact" / f"claims_{split}.jsonl"):
        for number in abstracts(row):
            held, found = corpus[number], row["evidence"].get(number, [])
            label = {"SUPPORT": "SUPPORT", "CONTRADICT": "REFUTE"}[found[0]["label"]] if found else "NEI"
            sentences = sorted({i for f in found for i in f["sentences"]})
            document = public.prose(held["abstract"], held["title"], public.Basis.ABSTRACT_ONLY)
            out.append(Cited(row["claim"], label, document, tuple(held["abstract"][i].strip() for i in sentences)))
    return out


def annotated(
    cases: Sequence[Cited],
    data: Path,
    best: Callable[[str, Document], list[str]],
    joined: Callable[[str, Document], str],
    rng: random.Random,
) -> list[Row]:
    """Rows of SciFact train: the selected sentences together, the rationale, its opposites, sentences that say nothing, unrelated abstracts."""
    dev = {str(d) for r in _rows(data / "scifact" / "claims_dev.jsonl") for d in r["cited_doc_ids"]}
    corpus = [r for r in _rows(data / "scifact" / "corpus.jsonl") if str(r["doc_id"]) not in dev]
    near = neighbours([c.claim for c in cases] + [f"{r['title']} {r['abstract'][0]}" for r in corpus], len(cases), informative)
    out: list[Row] = []
    for number, case in enumerate(cases):
        top = best(case.claim, case.document)
        together = joined(case.claim, case.document)
        held = any(r[:60] in s or s[:60] in r for r in case.rationale for s in top[:3])
        out.append((top[0], case.claim, "NEI") if case.label == "NEI" else (" ".join(case.rationale[:3]), case.claim, case.label))
        out.append((together if held or case.label == "NEI" else " ".join([*case.rationale[:2], top[0]]), case.claim, case.label))
        if case.label != "NEI":
            other = {"SUPPORT": "REFUTE", "REFUTE": "SUPPORT"}[case.label]
            if (turned := opposite(case.claim, rng)) is not None:
                evidence = rng.choice([together if held else case.rationale[0], case.rationale[0]])
                out.append((evidence, turned[0], other))
                if (changed := turned[1](evidence)) != evidence:
                    out.append((changed, case.claim, other))
            idle = [s for s in top if not any(r[:60] in s or s[:60] in r for r in case.rationale)]
            out += [(s, case.claim, "NEI") for s in idle[:1]]
        row = corpus[near[number] - len(cases)]
        if row["title"] != case.document.title:
            unrelated = public.prose(row["abstract"], row["title"], public.Basis.ABSTRACT_ONLY)
            out.append((joined(case.claim, unrelated), case.claim, "NEI"))
    return out
