"""Whether a sentence of the draft says what its claims say: numbers, units, names, direction, negation, hedges, scope, settings. Imports records and
language; refuses to judge whether the claim itself is true (verification did).

A sentence may repeat its claim or say it in other words. Repeated: what stands around the claim may add no number, no name and no stronger word.
In other words: every number with its unit, every name, the direction, the negation, every hedge and every setting of the claim must be there, and
nothing may be added that widens it. Other changes of wording are remarked on and cost half a point: nobody has verified them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sovereign.kernel.language import alias_key, names, parse_slots, tokens
from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.words import opposite, polarity, same_meaning
from sovereign.records import Claim, Direction, Paper, Sentence, Slots

QUOTED = re.compile(r"“([^”]*)”")
_MARK = re.compile(r"\[\d+(?:, ?\d+)*\]")
_NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:[.,]\d+)*(?![\w])|(?<=[\s(±~≈<>≤≥=×])\d+(?:[.,]\d+)*(?=[%×x°]|[a-zA-Zµ])")
_FRAMES = re.compile(
    r"\b(?:not answered\b[.:]?|contested:|stands against|contradicted and therefore not used:|states(?: in its abstract)?:?|"
    r"the paper by|and others|with a qualification:|the (?=\S+(?: \S+){0,3} paper)|paper(?= states)|a source)",
    re.I,
)
_STRONGER = (
    lex.UNIVERSAL
    | lex.CAUSAL
    | frozenset("significantly dramatically substantially massively drastically vastly greatly hugely clearly".split())
)


@dataclass(frozen=True)
class Difference:
    """What a sentence says otherwise than its claim. `slot`: number, unit, name, direction, negation, cut, hedge, scope, setting, quote or wording."""

    slot: str
    text: str


WEAKENS_THE_CLAIM = frozenset({"hedge", "scope", "setting"})  # an overclaim; the other slots but wording change what is said


def differences(sentence: Sentence, claims: Sequence[Claim], papers: Sequence[Paper], allowed: Sequence[str]) -> list[Difference]:
    """`papers`: those the sentence may name as its sources. `allowed`: further texts that may stand beside the claims (a verdict's reason)."""
    rest = plain(sentence.text)
    unmatched = []
    for claim in sorted(claims, key=lambda c: -len(c.text)):
        whole = plain(claim.text).rstrip(". ")
        if whole and whole in rest:
            rest = rest.replace(whole, " · ", 1)
        else:
            unmatched.append(claim)
    for text in sorted((plain(a) for a in allowed if a.strip()), key=len, reverse=True):
        rest = rest.replace(text, " · ")
    rest = _MARK.sub(" ", rest)
    quoted = [d for q in QUOTED.findall(sentence.text) if (d := _misquoted(q, claims, papers, allowed)) is not None]
    if not unmatched:
        return _added(rest, claims, papers) + quoted
    if len(unmatched) < len(claims) or len(unmatched) > 1:
        text = f"“{unmatched[0].text[:80]}” is not what stands in its sentence"
        return (
            [*quoted, Difference("number", text)]
            if _figures(rest) != _figures(unmatched[0].text)
            else [*quoted, Difference("wording", text)]
        )
    return compare(_without_frame(rest, papers), unmatched[0].text, papers) + quoted


def compare(text: str, claim: str, papers: Sequence[Paper] = ()) -> list[Difference]:
    """How a rewording differs from its claim; empty when every slot survives and every content word has a counterpart."""
    mine, theirs = (plain(x).strip(" .·'") for x in (text, claim))
    if mine == theirs:
        return []
    if len(mine) >= 20 and len(mine) < len(theirs) and theirs.startswith(mine.rstrip("….")):
        return [Difference("cut", f"it ends where the claim goes on: “… {theirs[len(mine.rstrip('….')) :][:60].strip()}”")]
    a, b = _slots(text), _slots(claim)
    out = [*_numbers(text, claim, a, b), *_names(text, claim, papers)]
    if a.negated != b.negated or _negations(text) != _negations(claim):
        out.append(Difference("negation", f"{_negations(claim)} negation(s) in the claim, {_negations(text)} in the sentence"))
    turned = _turned(text, claim)
    if turned or (
        a.direction is not b.direction and Direction.NONE not in (a.direction, b.direction) and _leanings(text) != _leanings(claim)
    ):
        out.append(Difference("direction", turned or f"the claim says {b.direction.value}, the sentence {a.direction.value}"))
    out += _weaker(text, claim, a, b)
    return out or _roles(text, claim) or _bound_elsewhere(text, claim) or _reworded(text, claim)


@lru_cache(maxsize=4096)
def _slots(text: str) -> Slots:
    return parse_slots(text)


@lru_cache(maxsize=8192)
def plain(text: str) -> str:
    """One spelling of quotation marks, hyphens, signs and blanks; the words stay as they are."""
    table = str.maketrans(
        {"“": "'", "”": "'", "‘": "'", "’": "'", '"': "'", "‐": "-", "‑": "-", "–": "-", "−": "-", "\u00a0": " ", "\u202f": " "}
    )
    return re.sub(r"\s*(?=%)", "", re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", " ".join(text.translate(table).split())))


_MAGNITUDE = re.compile(r"\d+(?:\.\d+)?\s?[KMBT]\b")
_SIZES = re.compile(
    r"\b(?:batch size|cache size|layer|slots?|top|version|budget)s?(?: of| =)? ?\d[\d.]*\d|\b(?:batch size|cache size|layer)s?(?: of| =)? ?\d",
    re.I,
)


def _figures(text: str) -> Counter[str]:
    return Counter(m.group().replace("−", "-").rstrip(".,") for m in _NUMBER.finditer(_MARK.sub(" ", plain(text))))


def _numbers(text: str, claim: str, a: Slots, b: Slots) -> list[Difference]:
    mine, theirs = _figures(text), _figures(claim)
    if mine != theirs:
        lost, new = list((theirs - mine).elements()), list((mine - theirs).elements())
        return [
            Difference(
                "number", f"the claim says {', '.join(lost[:3]) or 'no such number'}, the sentence {', '.join(new[:3]) or 'leaves it out'}"
            )
        ]
    if (sizes := [Counter(re.sub(r"\s", "", m) for m in _MAGNITUDE.findall(plain(t))) for t in (text, claim)])[0] != sizes[1]:
        return [Difference("unit", f"the claim says {next(iter(sizes[1] - sizes[0]), 'no such size')}")]
    x, y = (Counter((round(v.low, 9), round(v.high, 9), v.unit, v.relation.value) for v in s.values) for s in (a, b))
    if x != y:
        lost_unit, new_unit = next(iter((y - x) or y), None), next(iter((x - y) or x), None)
        return [Difference("unit", f"the same figure reads {_value(new_unit)} here and {_value(lost_unit)} in the claim")]
    return []


def _value(v: tuple[float, float, str, str] | None) -> str:
    return "nothing" if v is None else f"{v[3] if v[3] != '=' else ''}{v[0]:g} {v[2] or '(no unit)'}".strip()


def _names(text: str, claim: str, papers: Sequence[Paper]) -> list[Difference]:
    mine, theirs = ({alias_key(n): n for n in names(t)} for t in (text, claim))
    known = {alias_key(n) for p in papers for n in (*names(p.title), *p.names)}
    lost = [theirs[k] for k in theirs if k not in mine and not any(k in m for m in mine)]
    new = [mine[k] for k in mine if k not in theirs and k not in known and not any(k in t for t in theirs)]
    if lost and new:
        return [Difference("name", f"the claim speaks of {lost[0]}, the sentence of {new[0]}")]
    if new:
        return [Difference("name", f"the claim does not speak of {new[0]}")]
    return [Difference("name", f"{lost[0]} is left out")] if lost else []


def _negations(text: str) -> int:
    low = plain(text).lower()
    for phrase in lex.NOT_A_NEGATION:
        low = low.replace(phrase, " ")
    return sum(w in lex.NEGATIONS or w.endswith("n't") for w in re.findall(r"[a-z]+(?:'t)?", low))


def _turned(text: str, claim: str) -> str:
    mine, theirs = (_words(t) for t in (text, claim))
    for new in mine - theirs:
        for old in theirs - mine:
            if opposite(new, old):
                return f"the claim says “{old}”, the sentence “{new}”"
    return ""


def _leanings(text: str) -> Counter[str]:
    """How many words lean up, down, well, badly; the order of clauses does not matter."""
    return Counter(p for w in re.findall(r"[a-z]+", plain(text).lower()) if (p := polarity(w)))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+(?:-[a-z]+)*", plain(text).lower()))


def _weaker(text: str, claim: str, a: Slots, b: Slots) -> list[Difference]:
    """A hedge, a bound of scope or a setting that was dropped, or a stronger word that was added."""
    mine, theirs = (_words(re.sub(r"\b(?:at|no) (?:most|least|more than|less than)\b", " ", plain(t), flags=re.I)) for t in (text, claim))
    out = []
    gone = [h for h in b.hedge if h not in a.hedge] if len(a.hedge) < len(b.hedge) else []
    gone += sorted(theirs & lex.APPROXIMATE)[:1] if theirs & lex.APPROXIMATE and not mine & lex.APPROXIMATE else []
    gone += sorted((theirs - mine) & (lex.PARTIAL | lex.ASSOCIATIVE))[:1] if not mine & (lex.PARTIAL | lex.ASSOCIATIVE) else []
    if gone:
        out.append(Difference("hedge", f"the claim's “{gone[0]}” is gone"))
    if added := sorted((mine - theirs) & _STRONGER):
        out.append(Difference("scope", f"“{added[0]}” is not the claim's word"))
    here = plain(text).lower()
    lost = [c for c in b.condition if not set(tokens(c)) <= set(tokens(here)) and alias_key(c) not in alias_key(here)]
    placed = [Counter(re.sub(r" (?:of|=) ?", " ", m.lower()) for m in _SIZES.findall(plain(t))) for t in (text, claim)]
    lost += list(placed[1] - placed[0])
    if lost:
        out.append(Difference("setting", f"the setting “{lost[0]}” is left out"))
    return out


def _bound_elsewhere(text: str, claim: str) -> list[Difference]:
    """The same numbers and words, tied together otherwise: from and to turned about, by for to, or a word that moved to another number."""
    a, b = (_change_pairs(t) for t in (text, claim))
    if a != b and {frozenset(p) for p in a} == {frozenset(p) for p in b}:
        return [Difference("number", f"the claim goes from {' to '.join(next(iter(b - a)))}, the sentence the other way")]
    before = [_before_numbers(t) for t in (text, claim)]
    for number, word in before[1].items():
        other = before[0].get(number)
        if other is not None and {word, other} in ({"by", "to"}, {"from", "to"}, {"by", "from"}):
            return [Difference("number", f"the claim says “{word} {number}”, the sentence “{other} {number}”")]
    mine, theirs = (_nearest(t) for t in (text, claim))
    for word, number in theirs.items():
        if word in mine and mine[word] != number:
            return [Difference("number", f"“{word}” belongs to {number} in the claim and to {mine[word]} in the sentence")]
    return []


def _change_pairs(text: str) -> set[tuple[str, ...]]:
    return {tuple(m) for m in re.findall(r"\bfrom (\d[\d.]*)[^.;]{0,24}? to (\d[\d.]*\d|\d)", plain(text))}


def _before_numbers(text: str) -> dict[str, str]:
    """number -> the preposition right before it, for numbers that stand once."""
    found = re.findall(r"\b(by|to|from|of|at|in) (?:about |around |roughly |up to |at most )?(\d[\d.]*\d|\d)", plain(text).lower())
    once = Counter(n for _, n in found)
    return {n: w for w, n in found if once[n] == 1}


_PLACES = frozenset("within across before after without during".split())  # small words that say which of two numbers is meant


def _nearest(text: str) -> dict[str, str]:
    """content word -> the number it stands clearly nearest to; only words and numbers that stand once, at most seven words apart. Names move freely."""
    named = {p.lower() for n in names(text) for p in re.findall(r"[A-Za-z]+", n)}
    parts = re.findall(r"\d+(?:\.\d+)*|[a-z]+", re.sub(r"\b[A-Za-z]+[\w.]*-?\d[\w.-]*", " ", plain(text)).lower())
    places = {i: p for i, p in enumerate(parts) if p[0].isdigit()}
    once = Counter(parts)
    out = {}
    for i, word in enumerate(parts):
        idle = len(word) < 3 or word in lex.STOP or word in lex.WEAK or polarity(word) or word in named
        if word[0].isdigit() or once[word] > 1 or (idle and word not in _PLACES):
            continue
        near = sorted((abs(i - j), n) for j, n in places.items() if once[n] == 1)
        if len(near) > 1 and near[0][0] <= 7 and near[1][0] - near[0][0] >= 3:
            out[word] = near[0][1]
    return out


_SAMENESS = frozenset("same equal identical comparable similar unchanged".split())
_OTHERNESS = frozenset("different other unlike dissimilar unequal changed".split())


def _roles(text: str, claim: str) -> list[Difference]:
    """Who is compared with whom: the named systems before and after "than", "against", "compared with", and after "for"."""
    mine, theirs = (_sides(t) for t in (text, claim))
    if mine is None or theirs is None:
        return []
    if mine[0] & theirs[1] - theirs[0] or mine[1] & theirs[0] - theirs[1]:
        who = sorted((mine[0] & theirs[1] - theirs[0]) or (mine[1] & theirs[0] - theirs[1]))[0]
        return [Difference("name", f"“{who}” stands on the other side of the comparison")]
    return []


_THAN = re.compile(r"\b(?:than(?! (?:about |half )?\d)|against|versus|vs|compared (?:with|to)|relative to)\b(?P<after>[^,.;]{2,60})", re.I)


def _sides(text: str) -> tuple[set[str], set[str]] | None:
    """Content words before and after the comparison, without those on both sides. A comparison that opens the sentence has its other side behind the comma."""
    match = _THAN.search(plain(text))
    if match is None:
        return None
    whole = plain(text)
    clause = re.split(r"[,;]| and ", whole[: match.start()])[-1] if match.start() else re.split(r",", whole, maxsplit=1)[-1]
    before, after = (_content(x) | {alias_key(n) for n in names(x)} for x in (clause, match.group("after")))
    return before - after, after - before


def _reworded(text: str, claim: str) -> list[Difference]:
    """What the words themselves changed. A metric or a technical term exchanged, or a part left out, changes the statement; the rest is a remark."""
    mine, theirs = (_content(t) for t in (text, claim))
    new = [w for w in sorted(mine - theirs) if not any(same_meaning(w, t) for t in theirs)]
    lost = [w for w in sorted(theirs - mine) if not any(same_meaning(w, m) for m in mine)]
    told, meant = _words(text), _words(claim)
    if told & _OTHERNESS - meant and meant & _SAMENESS - told:
        return [Difference("direction", "the claim says that it is the same, the sentence that it is not")]
    if len(lost) > 0.4 * len(theirs):
        return [Difference("cut", f"{len(lost)} of the claim's {len(theirs)} content words are gone")]
    if terms := [w for w in (*new, *lost) if _is_term(w, text, claim)]:
        return [Difference("name", f"“{terms[0]}” {'is not in the claim' if terms[0] in new else 'is left out'}")]
    if lost and not new:
        return [Difference("setting", f"“{lost[0]}” is left out")]
    if len(lost) > 1 or (lost and new and not _verbs_only(new, lost)):
        return [Difference("name", f"“{', '.join(lost[:2])}” became “{', '.join(new[:2])}”")]
    if new:
        return [Difference("wording", f"other words than the claim's: {', '.join(new[:3])}")]
    return []


def _content(text: str) -> set[str]:
    """Content words as written, lower case; numbers are compared elsewhere."""
    return {w for w in re.findall(r"[a-z]+", plain(text).lower()) if w not in lex.STOP and len(w) > 1}


def _is_term(word: str, *texts: str) -> bool:
    """A metric, or a word written in capitals: exchanging it is exchanging what is measured."""
    written = {w for t in texts for w in re.findall(r"[A-Za-z]+", t) if w.lower() == word}
    return any(w.lower() in lex.METRICS or (w.isupper() and len(w) > 1) for w in written)


def _verbs_only(new: Sequence[str], lost: Sequence[str]) -> bool:
    """One verb for another: a single exchanged word that ends like a verb in both sentences."""
    return len(new) == len(lost) == 1 and all(re.search(r"(?:s|ed|ing)$", w) for w in (*new, *lost))


def _added(rest: str, claims: Sequence[Claim], papers: Sequence[Paper]) -> list[Difference]:
    """What stands around claims that are repeated word for word."""
    said = _without_frame(rest, papers)
    if figures := _figures(said):
        return [Difference("number", f"{next(iter(figures))} stands beside the claim and not in it")]
    known = {alias_key(n) for p in papers for n in (*names(p.title), *p.names, *(" ".join(p.authors).split()))}
    known |= {alias_key(n) for c in claims for n in names(c.text)}
    if strangers := [n for n in names(said) if alias_key(n) not in known]:
        return [Difference("name", f"{strangers[0]} stands beside the claim and not in it")]
    if strong := sorted(_words(said) & _STRONGER):
        return [Difference("scope", f"“{strong[0]}” stands beside the claim and not in it")]
    extra = tokens(said)
    return [Difference("wording", f"words beside the claim: {', '.join(extra[:4])}")] if extra else []


def _without_frame(rest: str, papers: Sequence[Paper]) -> str:
    """Without the words by which a draft introduces a source."""
    out = rest
    for paper in papers:
        families = [a.split(",")[0] if "," in a else (a.split() or [""])[-1] for a in paper.authors[:1]]
        for phrase in (paper.title, paper.title.split(":")[0].strip(), *families):
            if phrase:
                out = re.sub(
                    rf"(?:\bthe )?(?<!\w){re.escape(plain(phrase))}(?: paper)?(?: states(?: in its abstract)?:)", " ", out, flags=re.I
                )
                out = re.sub(
                    rf"\bthe paper by {re.escape(plain(phrase))}(?: and others)? states(?: in its abstract)?:", " ", out, flags=re.I
                )
    return re.sub(r"[·'()—:;,]|-(?=\s)", " ", _FRAMES.sub(" ", out)) if "·" in out else _FRAMES.sub(" ", out)


def _misquoted(quote: str, claims: Sequence[Claim], papers: Sequence[Paper], allowed: Sequence[str]) -> Difference | None:
    """Quoted words must stand in the claim, in the passage it was taken from, in a verdict's reason, or be a source's title."""
    wanted = _letters(quote)
    where = [t for c in claims for t in (c.text, c.span.quote if c.span else "")] + [p.title for p in papers] + list(allowed)
    if any(wanted in _letters(t) for t in where):
        return None
    return Difference("quote", f"“{quote[:80]}” does not stand in its source")


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", plain(text).lower())
