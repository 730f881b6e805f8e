"""Who stands on which side: comparisons, actions, parallel clauses, what a sentence is about. Imports alignment; refuses to judge directions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sovereign.kernel.language.scan import Scan, Token
from sovereign.kernel.language.words import concepts, polarity
from sovereign.kernel.verify.align import Aligned
from sovereign.kernel.verify.findings.base import (
    CONTRADICTS,
    GOVERNING,
    OPEN,
    TURNED,
    Finding,
    is_setting,
    phrase,
)

_PASSIVE = re.compile(r"\b(?:is|are|was|were|be|been|being)\s+(?:\w+ly\s+)?\w+(?:ed|en|wn|ught|at|un)\s(?:[^.;]{0,40}\s)?by\b")


_AGAINST = frozenset("than versus vs against over".split())


_ACTS = concepts("outperform") | concepts("cause") | concepts("contain") | concepts("replace") | concepts("dominate") | concepts("induce")


_SKIPPED = frozenset("the a an that those of ordinary plain standard vanilla its their to with by".split())


@dataclass(frozen=True)
class Roles:
    """Who is compared with whom: content indices of the one spoken of and of the one it is held against."""

    subject: frozenset[int]
    other: frozenset[int]
    word: str
    sign: str


def roles(sentence: Scan) -> Roles | None:
    """The two sides of the first comparison of a sentence; None when it makes none."""
    return next(iter(comparisons(sentence)), None)


def comparisons(sentence: Scan) -> list[Roles]:
    """The two sides of every comparison of a sentence, in order."""
    out = []
    tokens = sentence.tokens
    for at, token in enumerate(tokens):
        if token.kind != "w" or not _is_pivot(tokens, at):
            continue
        left, right = _left_of(sentence, at), _right_of(sentence, at)
        if token.low in {"before", "after"}:
            left, right = _around(sentence, token)
        pronoun = bool(tokens) and tokens[0].low in {"it", "its", "they", "this"}
        if not right or (not left and not pronoun):
            continue
        passive = bool(_PASSIVE.search(sentence.text)) and bool(concepts(token.low) & _ACTS)
        sign = next(
            (
                polarity(t.low)
                for t in reversed(tokens[: at + 1])
                if t.kind == "w" and polarity(t.low) in {"up", "down", "good", "bad", "fast", "slow"}
            ),
            "",
        )
        out.append(Roles(right, left, token.low, sign) if passive else Roles(left, right, token.low, sign))
    return out


def _around(sentence: Scan, pivot: Token) -> tuple[frozenset[int], frozenset[int]]:
    """The three plain words on each side."""
    words = [
        i for i, t in enumerate(sentence.content) if t.kind == "w" and t is not pivot and t.low not in {"before", "after"} and not t.weak
    ]
    left = [i for i in words if sentence.content[i].start < pivot.start]
    right = [i for i in words if sentence.content[i].start > pivot.start]
    return frozenset(left[-2:]), frozenset(right[:2])


def _is_pivot(tokens: tuple[Token, ...], at: int) -> bool:
    low = tokens[at].low
    after = tokens[at + 1].low if at + 1 < len(tokens) else ""
    if low in {"compared", "relative", "comparison"}:
        return after in {"to", "with"}
    if low == "than" and at and tokens[at - 1].low in {"rather", "other"}:
        return False
    if low == "than" and at + 1 < len(tokens) and tokens[at + 1].kind == "q":
        return False  # "more than four times" bounds a figure
    if low == "as":
        return any(t.low == "as" for t in tokens[max(0, at - 6) : at])
    if low == "that" and after == "of":
        return True
    if low == "of":
        return any(t.value is not None and t.value.unit == "ratio" for t in tokens[max(0, at - 5) : at])
    if low == "over":
        return at + 1 < len(tokens) and tokens[at + 1].kind == "n" and any(polarity(t.low) for t in tokens[max(0, at - 8) : at])
    return low in _AGAINST or low in {"before", "after"} or bool(concepts(low) & _ACTS)


def _right_of(sentence: Scan, at: int) -> frozenset[int]:
    """The first name after the pivot, or the first noun phrase."""
    index = {t.start: i for i, t in enumerate(sentence.content)}
    words: list[int] = []
    for token in sentence.tokens[at + 1 : at + 13]:
        if token.kind == "n" or (token.value is not None and token.value.unit == "bit"):
            return frozenset({index[token.start]})
        if token.kind == "p" or (words and token.low in GOVERNING) or token.kind == "q":
            break
        if token.content and token.low not in _SKIPPED and not polarity(token.low):
            words.append(index[token.start])
    return frozenset(words[:3])


def _left_of(sentence: Scan, at: int) -> frozenset[int]:
    """Names before the pivot that no preposition governs, or the noun phrase that opens the clause."""
    index = {t.start: i for i, t in enumerate(sentence.content)}
    named: list[int] = []
    words: list[int] = []
    previous = ""
    for token in sentence.tokens[:at]:
        if token.kind == "n" and previous not in GOVERNING:
            named.append(index[token.start])
        elif token.kind == "w" and token.content and not token.weak and previous not in GOVERNING:
            if polarity(token.low) and words:
                break
            if not polarity(token.low):
                words.append(index[token.start])
        if token.low not in {"the", "a", "an"}:
            previous = token.low
    return frozenset(named) if named else frozenset(words[:3])


def sides(aligned: Aligned) -> list[Finding]:
    """Who stands on which side of a comparison: exchanged sides contradict, unless the direction is turned as well.

    A source that compares several times is held against the claim's first comparison; one that agrees settles it.
    """
    mine, theirs = roles(aligned.claim), comparisons(aligned.source)
    results = [t for t in aligned.claim.quantities if not is_setting(aligned.claim, t)]
    compares = any(t.low == "than" and _is_pivot(aligned.claim.tokens, k) for k, t in enumerate(aligned.claim.tokens))
    if not theirs and not results and compares:
        other = f"“{phrase(aligned.claim, mine.other)}”" if mine is not None else "another"
        return [Finding("comparator", OPEN, f"more or less than {other}", "no such comparison here")]
    if mine is None:
        return []
    found: list[Finding] = []
    for one in theirs:
        if _kept(aligned, mine, one):
            return []
        found = found or _exchanged(aligned, mine, one)
    return found


def _kept(aligned: Aligned, mine: Roles, theirs: Roles) -> bool:
    """Both have a word of the same side in common, and none on the other side."""
    if mine.word in _ORDER and theirs.word in _ORDER:
        return False
    return any(set(aligned.partners[i]) & theirs.subject for i in mine.subject) or any(
        set(aligned.partners[i]) & theirs.other for i in mine.other
    )


def _exchanged(aligned: Aligned, mine: Roles, theirs: Roles) -> list[Finding]:
    partner = aligned.partners
    if mine.word in _ORDER and theirs.word in _ORDER:
        turned = any(partner[i] and set(partner[i]) <= theirs.other for i in mine.subject) and any(
            partner[i] and set(partner[i]) <= theirs.subject for i in mine.other
        )
        if turned and mine.word == theirs.word:
            return [Finding("comparator", CONTRADICTS, _line(aligned, mine), "the other way round")]
        return []
    said = [i for i in mine.subject if partner[i]]
    subject_moved = bool(said) and all(set(partner[i]) <= theirs.other for i in said)
    other_moved = any(
        (partner[i] and not set(partner[i]) & theirs.other)
        or (not partner[i] and (aligned.inherited[i] or aligned.claim.content[i].kind == "q"))
        for i in mine.other
    )
    if not subject_moved and any(partner[i] and set(partner[i]) <= theirs.subject for i in mine.other):
        claimed, given = f"{mine.word} “{phrase(aligned.claim, mine.other)}”", f"{theirs.word} “{phrase(aligned.source, theirs.other)}”"
        return [Finding("comparator", OPEN, claimed, given)]
    if not subject_moved or not other_moved:
        return []
    if mine.sign and theirs.sign and _opposed(mine.sign, theirs.sign):
        return [Finding("", TURNED, "", "")]
    return [Finding("comparator", CONTRADICTS, _line(aligned, mine), "the other way round")]


_ORDER = frozenset({"before", "after"})


def _line(aligned: Aligned, mine: Roles) -> str:
    return f"“{phrase(aligned.claim, mine.subject)} {mine.word} {phrase(aligned.claim, mine.other)}”"


def _opposed(a: str, b: str) -> bool:
    return {a, b} in ({"up", "down"}, {"good", "bad"}, {"fast", "slow"})


_ASIDE = re.compile(
    r"\b(?:unlike|in contrast (?:to|with)|as opposed to|contrary to|instead of|rather than)\s+[^,;.]+"
    r"|^(?:compared (?:with|to)|relative to|in comparison (?:with|to)|over|against|versus)\s+[^,;.]+?(?=,|\s(?:this|that|it)\b)",
    re.IGNORECASE,
)


def asides(aligned: Aligned) -> list[Finding]:
    """The claim's subject is a name that the source only sets its own subject off against ("Unlike A, B ...")."""
    mine = [i for i in _opening(aligned.claim) if aligned.partners[i]]
    names = [i for i in mine if aligned.claim.content[i].kind == "n"] or mine
    spans = [m.span() for m in _ASIDE.finditer(aligned.source.text)]
    if not names or not spans or _ASIDE.search(aligned.claim.text) or aligned.columns is not None:
        return []

    def aside(j: int) -> bool:
        return any(a <= aligned.source.content[j].start < b for a, b in spans)

    theirs = [t for j, t in enumerate(aligned.source.content) if t.kind != "q" and not t.weak and not aside(j)]
    if not theirs or not all(aside(j) for i in names for j in aligned.partners[i]):
        return []
    return [Finding("subject", OPEN, f"it of {aligned.claim.content[names[0]].text}", f"it of {theirs[0].text}", "only compared with it")]


# What a paper calls its own subject, or its evidence, when it does not name it.
_STANDING_IN = frozenset(
    """method methods approach system systems framework scheme technique algorithm policy model models result results experiment experiments evaluation
    measurement measurements test tests authors paper work study design strategy we it this these such one both gain gains reduction improvement""".split()
)


def subjects(aligned: Aligned) -> list[Finding]:
    """The claim is about a thing that the unit does not name, and the unit is about another one that the claim does not name."""
    mine = _opening(aligned.claim)
    if not mine or any(aligned.partners[i] for i in mine) or aligned.columns is not None:
        return []
    if all(aligned.strength[i] == 0.0 for i in mine):
        return [Finding("subject", OPEN, f"“{phrase(aligned.claim, frozenset(mine))}”", "nothing about it here")]
    topic = aligned.unit.topic
    if (
        topic
        and any(t.kind == "n" and t.key == topic for t in aligned.source.content)
        and all(t.key != topic for t in aligned.claim.content)
    ):
        return [Finding("subject", OPEN, f"“{phrase(aligned.claim, frozenset(mine))}”", f"it of another ({topic})")]
    theirs = [j for j in _opening(aligned.source) if aligned.source.content[j].low not in _STANDING_IN]
    used = aligned.used
    if not theirs or any(j in used for j in theirs) or (theirs[0] > 0 and aligned.source.content[theirs[0]].kind != "n"):
        return []
    return [Finding("subject", OPEN, f"“{phrase(aligned.claim, frozenset(mine))}”", phrase(aligned.source, frozenset(theirs)))]


def _opening(sentence: Scan) -> list[int]:
    """What a sentence is about: the content words before its first verb or direction word that no preposition governs."""
    out: list[int] = []
    index = {t.start: i for i, t in enumerate(sentence.content)}
    governed = False
    for token in sentence.tokens:
        if token.low in GOVERNING:
            if out:
                break
            governed = True
        elif token.low == ",":
            governed = False
        elif token.content and not governed:
            if token.kind == "q" or (out and (polarity(token.low) or token.weak)):
                break
            if not token.weak:
                out.append(index[token.start])
        elif out and token.low in {"is", "are", "was", "were", "has", "have", "can", "does", "do", "will"}:
            break
        elif token.low in {"it", "its", "they", "we"}:
            governed = False
        if len(out) >= 3:
            break
    return out


def exchanged(aligned: Aligned) -> list[Finding]:
    """Two parallel phrases that swapped their partners ("early layers ... identity, deeper layers ... meaning"): a, d, c, b for a, b, c, d."""
    if _PASSIVE.search(aligned.claim.text) or _PASSIVE.search(aligned.source.text):
        return []
    if aligned.order < 0.65:
        return []
    positions = [j for _, j in _pairs(aligned)]
    rank = {j: r for r, j in enumerate(sorted(positions))}
    ranks = [rank[j] for j in positions]
    tiles: list[tuple[int, int]] = []
    for r in ranks:
        if tiles and r == tiles[-1][1] + 1:
            tiles[-1] = (tiles[-1][0], r)
        else:
            tiles.append((r, r))
    firsts = [t[0] for t in tiles]
    for a in range(1, len(tiles) - 2):
        d, c, b = firsts[a], firsts[a + 1], firsts[a + 2]
        if b < c < d and firsts[a - 1] < b and tiles[a + 2][1] + 1 == c and tiles[a + 1][1] + 1 == d:
            words = [aligned.source.content[sorted(positions)[x]].text for x in (d, b)]
            return [Finding("comparator", OPEN, f"“{words[0]}” where the source has “{words[1]}”", "the two exchanged")]
    return []


def _pairs(aligned: Aligned) -> list[tuple[int, int]]:
    """One-to-one partners of names and plain words."""
    counts: dict[int, int] = {}
    for p in aligned.partners:
        for j in p:
            counts[j] = counts.get(j, 0) + 1
    out = []
    for i, p in enumerate(aligned.partners):
        token = aligned.claim.content[i]
        if (
            len(p) == 1
            and counts[p[0]] == 1
            and not aligned.inherited[i]
            and not token.weak
            and not polarity(token.low)
            and token.kind in "nw"
        ):
            out.append((i, p[0]))
    return out


_CLAUSE = re.compile(r";|\b(?:while|whereas|but)\b")


def _goes_on(source: Scan, cut: int) -> bool:
    """The clause behind the cut speaks of the same thing: it says "it" and names nothing else."""
    behind = _CLAUSE.search(source.text, cut + 1)
    members = [t for t in source.tokens if cut < t.start < (behind.start() if behind else len(source.text))]
    return any(t.low in {"it", "its"} for t in members) and not any(t.kind == "n" for t in members)


def attributes(aligned: Aligned) -> list[Finding]:
    """A word that the source only says of another name, right before it ("the calibrated KIVI-4"), and the claim of its own subject."""
    source = aligned.source
    used = aligned.used
    for i, token in enumerate(aligned.claim.content):
        if token.kind != "w" or token.weak or polarity(token.low) or len(aligned.partners[i]) != 1 or not token.low.endswith("ed"):
            continue
        j = aligned.partners[i][0]
        after = source.content[j + 1] if j + 1 < len(source.content) else None
        if after is not None and after.kind == "n" and j + 1 not in used and source.text[source.content[j].end : after.start] == " ":
            return [Finding("subject", OPEN, f"“{token.text}” of its subject", f"it of {after.text}")]
    return []


_RELATIVE = re.compile(r",? (?:which|who) (?P<what>[^,;.]+)")


def relative_clauses(aligned: Aligned) -> list[Finding]:
    """What a "which" clause says belongs to the word before it, not to another part of the sentence ("a sparse part, which holds the outliers, and a rest")."""
    content = aligned.source.content
    for match in _RELATIVE.finditer(aligned.source.text):
        inside = {j for j, t in enumerate(content) if match.start("what") <= t.start < match.end()}
        before = [j for j, t in enumerate(content) if t.start < match.start()][-3:]
        opening = [i for i in _opening(aligned.claim) if aligned.partners[i]]
        of_clause = [
            i for i, p in enumerate(aligned.partners) if p and set(p) <= inside and i not in opening and not aligned.claim.content[i].weak
        ]
        elsewhere = opening and all(not set(aligned.partners[i]) & (inside | set(before)) for i in opening)
        if of_clause and elsewhere and all(min(aligned.partners[i]) > max(inside, default=0) for i in opening):
            word = aligned.claim.content[of_clause[0]].text
            return [
                Finding(
                    "subject", OPEN, f"“{word}” of “{phrase(aligned.claim, frozenset(opening))}”", f"it of “{content[before[-1]].text}”"
                )
            ]
    return []


def clauses(aligned: Aligned) -> list[Finding]:
    """The claim's name stands in one clause of the source and what the claim says of it only in another one."""
    cuts = [c for c in (m.start() for m in _CLAUSE.finditer(aligned.source.text)) if not _goes_on(aligned.source, c)]
    if not cuts or aligned.columns is not None or _CLAUSE.search(aligned.claim.text):
        return []
    place = [sum(t.start > c for c in cuts) for t in aligned.source.content]
    named_at: dict[int, set[int]] = {}
    rest: list[set[int]] = []
    for i, token in enumerate(aligned.claim.content):
        if not aligned.partners[i]:
            continue
        where = {place[j] for j in aligned.partners[i]}
        if token.kind == "n":
            named_at[i] = where
        elif not token.weak:
            rest.append(where)
    for i, where in named_at.items():
        apart = sum(not (w & where) for w in rest)
        if rest and apart > 0.5 * len(rest):
            return [Finding("subject", OPEN, f"it of {aligned.claim.content[i].text}", "it of something else, in another clause")]
    return []
