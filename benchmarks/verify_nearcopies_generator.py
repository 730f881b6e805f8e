"""Makes near-copies of sentences with figures: true ones by cutting and moving, false ones by changing one thing. Shares no word list with the verifier.

Imports the standard library only. Seeded; the same seed gives the same cases. Refuses sentences without a number or with broken typography.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

_NUMBER = re.compile(r"(?<![\w.,@-])\d+(?:\.\d+)?(?![\w]|[.,]\d)")
# Marks of citation and reference are no figures of a claim: they are never changed.
_MARK = re.compile(
    r"\[[^\]]*\]|\((?:[^()]*\d{4}[a-z]?)\)|\b(?:Fig|Figure|Table|Tab|Section|Sec|Eq"
    r"|Equation|Appendix|Algorithm|Theorem|Chapter)s?\.?\s*\(?[A-Z]?\.?\d+(?:\.\d+)*"
)
_NAME = re.compile(r"\b(?=[A-Za-z0-9-]*[A-Z][A-Za-z0-9-]*[A-Z0-9])[A-Z][A-Za-z0-9]{2,}(?:-[A-Za-z0-9]+)*\b")
# Pairs of opposite verbs and adjectives, written for this generator from frequent words of the corpus.
_FLIPS = (
    ("improves", "harms"), ("improve", "harm"), ("improved", "harmed"), ("reduces", "increases"), ("reduce", "increase"), ("reducing", "increasing"),
        ("increases", "decreases"), ("higher", "lower"),
    ("lower", "higher"), ("faster", "slower"), ("better", "worse"), ("outperforms", "underperforms"), ("outperform", "underperform"),
        ("accelerates", "slows"), ("more", "less"), ("fewer", "more"),
    ("largest", "smallest"), ("best", "worst"), ("rises", "falls"), ("gains", "losses"), ("saves", "wastes"),
)  # fmt: skip
_AUXILIARIES = ("is", "are", "was", "were", "can", "does", "has", "have", "will")


@dataclass(frozen=True)
class Case:
    kind: str
    true: bool
    claim: str
    sentence: str
    document: int


def figures(sentence: str) -> list[re.Match[str]]:
    """The numbers of a sentence that belong to what it says."""
    marks = [m.span() for m in _MARK.finditer(sentence)]
    return [n for n in _NUMBER.finditer(sentence) if not any(a <= n.start() < b for a, b in marks)]


_BIBLIOGRAPHY = re.compile(
    r"https?:|\bpp?\. ?\d|\bpages \d|\bProceedings\b|\bProc\.|\beditors?\b|\barXiv\b|\bTheorem \d|[“”]|\bAvailable:|\bVol\b|\bISBN\b"
)


def usable(sentence: str) -> bool:
    """A sentence with a figure, of readable length, in plain running text."""
    words = sentence.split()
    return (
        9 <= len(words) <= 45
        and bool(figures(sentence))
        and sentence[0].isupper()
        and sentence.endswith(".")
        and sentence.count("(") == sentence.count(")")
        and "\\" not in sentence
        and not _BIBLIOGRAPHY.search(sentence)
    )


def truths(sentence: str, rng: random.Random) -> list[tuple[str, str]]:
    """(kind, claim): the sentence verbatim, without its opening phrase, with its last adverbial moved to the front."""
    out = [("verbatim", sentence)]
    opening = re.match(r"^(?:[A-Z][\w' -]{3,60}, )(?=[a-z])(?=.{40,})", sentence)
    if (
        opening
        and not _NUMBER.search(opening.group())
        and opening.group().split()[0]
        in {"However,", "Moreover,", "Furthermore,", "Notably,", "Specifically,", "Experimentally,", "Additionally,"}
    ):
        rest = sentence[opening.end() :]
        out.append(("trimmed", rest[0].upper() + rest[1:]))
    moved = re.match(r"^([A-Z][^,;:]{25,}) (on [A-Z][\w-]+(?: and [A-Z][\w-]+)?)\.$", sentence)
    if moved:
        body, place = moved.groups()
        head = body if _NAME.match(body) else body[0].lower() + body[1:]
        out.append(("reordered", f"{place[0].upper()}{place[1:]}, {head}."))
    tail = re.match(r"^(.{50,}?\d[^,;]{10,}?)(, (?:while|which|thus|making|allowing|enabling) [^,;]{15,})\.$", sentence)
    if tail and tail.group(1).count("(") == tail.group(1).count(")"):
        out.append(("trimmed", tail.group(1) + "."))
    rng.shuffle(out)
    return out


def lies(sentence: str, rng: random.Random, other_names: list[str]) -> list[tuple[str, str]]:
    """(kind, claim): one number, one pair of numbers, one direction, one denial, one name, one unit or one bound changed."""
    out: list[tuple[str, str]] = []
    numbers = figures(sentence)
    pick = rng.choice(numbers)
    out.append(("number", _put(sentence, pick, _other_number(pick.group(), rng))))
    out.append(("magnitude", _put(sentence, pick, _shifted(pick.group()))))
    if len({n.group() for n in numbers}) > 1:
        a, b = rng.sample(numbers, 2)
        first, second = sorted((a, b), key=lambda m: m.start())
        if a.group() != b.group() and not re.fullmatch(
            r"\s?%?\s?(?:to|and|-|–|,|/)\s?", sentence[first.end() : second.start()]
        ):  # a range or a list turned round says the same
            swapped = (
                sentence[: first.start()]
                + second.group()
                + sentence[first.end() : second.start()]
                + first.group()
                + sentence[second.end() :]
            )
            out.append(("number swap", swapped))
    flips = [(old, new) for old, new in _FLIPS if re.search(rf"\b{old}\b", sentence)]
    if flips:
        old, new = rng.choice(flips)
        out.append(("direction", re.sub(rf"\b{old}\b", new, sentence, count=1)))
    verbs = [a for a in _AUXILIARIES if re.search(rf"\b{a}\b(?! not)", sentence)]
    if verbs and " not " not in sentence:
        verb = rng.choice(verbs)
        out.append(("negation", re.sub(rf"\b{verb}\b", f"{verb} not" if verb != "can" else "cannot", sentence, count=1)))
    own = sorted({m.group() for m in _NAME.finditer(sentence)})
    if own:
        old = rng.choice(own)
        fresh = [n for n in other_names if n.lower() != old.lower() and n not in sentence]
        if fresh:
            out.append(("subject", re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", rng.choice(fresh), sentence)))
    if len(own) > 1:
        a_name, b_name = rng.sample(own, 2)
        if (
            a_name not in b_name
            and b_name not in a_name
            and not re.search(rf"{re.escape(a_name)},? and {re.escape(b_name)}|{re.escape(b_name)},? and {re.escape(a_name)}", sentence)
        ):
            out.append(("name swap", sentence.replace(a_name, "\x00").replace(b_name, a_name).replace("\x00", b_name)))
    unit = re.search(r"(?<=\d)\s?(%|ms|GB|MB|seconds|points)(?!\w)", sentence)
    if unit:
        new_unit = {"%": "x", "ms": "s", "GB": "MB", "MB": "GB", "seconds": "ms", "points": "ms"}[unit.group(1)]
        out.append(("unit", sentence[: unit.start(1)] + new_unit + sentence[unit.end(1) :]))
    if re.search(r"\bup to (?=\d)", sentence):
        out.append(("bound", re.sub(r"\bup to (?=\d)", "at least ", sentence, count=1)))
    return [(kind, claim) for kind, claim in out if claim != sentence]


def _put(sentence: str, match: re.Match[str], new: str) -> str:
    return sentence[: match.start()] + new + sentence[match.end() :]


def _other_number(digits: str, rng: random.Random) -> str:
    while True:
        new = "".join(rng.choice("123456789") if c.isdigit() else c for c in digits)
        if float(new) != float(digits):
            return new


def _shifted(digits: str) -> str:
    value = float(digits) * 10
    return f"{value:.{max(0, len(digits.split('.')[1]) - 1)}f}" if "." in digits else str(int(value) if value else 10)


def make(documents: list[list[str]], n_true: int, n_false: int, seed: int) -> list[Case]:
    """`n_true` and `n_false` cases over the sentences of the documents, drawn evenly over kinds where a kind can be had."""
    rng = random.Random(seed)
    sentences = [(d, s) for d, document in enumerate(documents) for s in document if usable(s)]
    rng.shuffle(sentences)
    names = sorted({m.group() for _, s in sentences for m in _NAME.finditer(s)})
    pools: dict[tuple[bool, str], list[Case]] = {}
    for d, sentence in sentences:
        for kind, claim in truths(sentence, rng):
            pools.setdefault((True, kind), []).append(Case(kind, True, claim, sentence, d))
        for kind, claim in lies(sentence, rng, names):
            pools.setdefault((False, kind), []).append(Case(kind, False, claim, sentence, d))
    return _draw([p for (true, _), p in sorted(pools.items()) if true], n_true) + _draw(
        [p for (true, _), p in sorted(pools.items()) if not true], n_false
    )


def _draw(pools: list[list[Case]], n: int) -> list[Case]:
    """Round robin over the kinds."""
    out: list[Case] = []
    depth = 0
    while len(out) < n and any(depth < len(p) for p in pools):
        out += [p[depth] for p in pools if depth < len(p)]
        depth += 1
    return out[:n]
