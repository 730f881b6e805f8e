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
from sovereign.kernel.language.words import opposite, same_meaning
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
    if turned or (a.direction is not b.direction and Direction.NONE not in (a.direction, b.direction)):
        out.append(Difference("direction", turned or f"the claim says {b.direction.value}, the sentence {a.direction.value}"))
    out += _weaker(text, claim, a, b)
    return out or _reworded(text, claim)


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
    if lost:
        out.append(Difference("setting", f"the setting “{lost[0]}” is left out"))
    return out


def _reworded(text: str, claim: str) -> list[Difference]:
    mine, theirs = (set(tokens(plain(t))) for t in (text, claim))
    new = [w for w in sorted(mine - theirs) if not any(same_meaning(w, t) for t in theirs)]
    lost = [w for w in sorted(theirs - mine) if not any(same_meaning(w, m) for m in mine)]
    if len(lost) > 0.4 * len(theirs):
        return [Difference("cut", f"{len(lost)} of the claim's {len(theirs)} content words are gone")]
    if new or lost:
        return [Difference("wording", f"other words than the claim's: {', '.join((new or lost)[:3])}")]
    return []


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
