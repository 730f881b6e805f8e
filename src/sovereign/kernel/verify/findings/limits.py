"""Hedges, scope, settings and what a statement rests on (a rate, a cause, a report, a plan). Imports alignment and the lexicon; refuses values."""

from __future__ import annotations

import re

from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.scan import Scan
from sovereign.kernel.verify.align import Aligned
from sovereign.kernel.verify.findings.base import (
    CONTRADICTS,
    OPEN,
    QUALIFIES,
    Bound,
    Finding,
)


def hedges(aligned: Aligned) -> list[Finding]:
    """A hedge of the source over words that the claim repeats, dropped by the claim."""
    if any(t.low in lex.HEDGES or t.low in {"can"} for t in aligned.claim.tokens):
        return []
    for cue, head in _over(aligned, lex.HEDGES):
        return [Finding("hedge", QUALIFIES, "it outright", f"“{cue}”", f"over “{head}”")]
    return []


def scope(aligned: Aligned) -> list[Finding]:
    """The claim says all, always or only where the source does not; or drops the source's most, some, on average."""
    claim_words, source_words = aligned.claim.words, aligned.source.words
    findings = []
    wide = (claim_words & lex.UNIVERSAL) - source_words - {"fully", "wholly", "each", "must", "whole", "strictly"}
    if "only" in wide and re.search(r"\bonly (?:about |around |some )?(?:\d|slightly|marginally|a |two|three)", aligned.claim.text.lower()):
        wide -= {"only"}
    wide -= {w for w in wide if _same_scope(w, source_words)}
    if wide:
        word = sorted(wide)[0]
        found = sorted(source_words & lex.PARTIAL)
        findings.append(Finding("scope", QUALIFIES, f"“{word}”", f"“{found[0]}”" if found else "nothing so wide"))
    if not claim_words & lex.PARTIAL and not any(t.low in lex.HEDGES for t in aligned.claim.tokens) and not wide:
        for cue, head in _over(aligned, lex.PARTIAL - lex.HEDGES, reach=1):
            findings.append(Finding("scope", QUALIFIES, f"“{head}” without limit", f"“{cue} {head}”"))
            break
    return findings


_SCOPES: tuple[frozenset[str], ...] = (
    frozenset(
        """
            all every each any across whole everywhere always consistently universally regardless irrespective invariably whenever both
            entire
            """.split()
    ),
    frozenset("never no none not".split()),
    frozenset("only solely exclusively merely just alone purely simply".split()),
    frozenset("entirely completely fully totally wholly full complete entire whole perfectly".split()),
    frozenset("guarantee guarantees guaranteed must prove proves proven ensure ensures strictly required necessary".split()),
)


def _same_scope(word: str, source: frozenset[str]) -> bool:
    return any(word in group and source & group for group in _SCOPES)


def _over(aligned: Aligned, cues: frozenset[str], reach: int = 3) -> list[tuple[str, str]]:
    """(cue, head): cues of the source one of whose next `reach` content words the claim says."""
    out = []
    holders = aligned.used
    for token in aligned.source.tokens:
        if token.low not in cues or token.kind != "w":
            continue
        after = [(j, t) for j, t in enumerate(aligned.source.content) if t.start > token.start and t.clause <= token.clause + 1][:reach]
        head = next((t for j, t in after if j in holders and not t.weak), None)
        if head is not None:
            out.append((token.text, head.text))
    return out


_FRONTED = re.compile(r"^(?:For|When|Under|If|Among)\b[^,;:()]{3,90},")


def settings_dropped(aligned: Aligned, bound: Bound) -> list[Finding]:
    """A setting that opens the source sentence and that the claim leaves out: the claim is wider than its source."""
    match = _FRONTED.match(aligned.source.text)
    if match is None or aligned.claim.text[: match.end()].lower() == match.group().lower():
        return []
    inside = [j for j, t in enumerate(aligned.source.content) if t.end <= match.end() and not t.weak]
    parts = aligned.parts[1]
    if bound.to and all(parts[j] > 0 for j in bound.to.values()):
        return []  # it opens another statement of the sentence
    used = aligned.used | set(bound.to.values())
    missing = [j for j in inside if j not in used]
    if len(inside) >= 2 and len(missing) >= 0.6 * len(inside):
        return [Finding("condition", QUALIFIES, "it without a setting", f"“{match.group().rstrip(',')}”")]
    return []


_BECAUSE = re.compile(
    r"\b(?:because|due to|caused by|thanks to|owing to|as a result of|stems? from|attributable to|results? from|explained by|leads? to|causes?|since)\b",
    re.IGNORECASE,
)


_REPORTED = re.compile(
    r"\b(?:not (?:the case|true|correct) that|claim(?:s|ed)? that|is said to|are said to|was said to|allegedly|reportedly|could not be (?:confirmed"
        r"|reproduced)|unconfirmed|not (?:been )?confirmed|would (?:be|have|reach|need|give|reduce|cut)|"
    r"hypothetical(?:ly)?|in theory|were to|has been retracted|is false|is wrong|is incorrect|contrary to)\b", re.IGNORECASE,
)  # fmt: skip


_NOT_ASSERTED = re.compile(
    r"^(?:OBJECTIVES?|AIMS?|PURPOSE|DESIGN|METHODS?|SETTING|PARTICIPANTS|INTERVENTIONS?|MEASUREMENTS"
        r"|ELIGIBILITY|DATA SOURCES|STUDY SELECTION|Eligibility criteria|Main [Oo]utcomes?)\b|"
    r"\b(?:whether|hypothesi[sz]ed?(?: that)?|we (?:ask|asked|test|tested) if|(?:aim|aims|aimed|sought"
        r"|designed|seek) to|to (?:determine|evaluate|assess|investigate|examine|test|explore) (?:if|the|how|a)|"
    r"(?:was|were|is|are|remains?|remained) (?:lacking|unclear|unknown|untested|poorly (?:defined"
        r"|understood)|an open question|to be (?:seen|shown|determined)|controversial))\b", re.MULTILINE,
)  # fmt: skip


_GOAL = re.compile(
    r"\b(?:goal|target|objective|ambition|intention|hope)s?\b[^.;]{0,60}?\b(?:is|was|are|were) (?:to|that)\b|\b(?:hope|intend|plan)s? to\b",
    re.IGNORECASE,
)
_PAPER = re.compile(r"(?<![\d.])\d{4}\.\d{4,5}(?![\d%])")  # arXiv numbers: they tell namesakes apart


def circumstances(aligned: Aligned) -> list[Finding]:
    """What a statement rests on: a rate per another thing, a cause that the source does not give, words that the source only reports or supposes."""
    out = []
    mine, theirs = _per(aligned.claim), _per(aligned.source)
    used = aligned.used
    for i in mine:
        if theirs and not aligned.partners[i] and aligned.strength[i] == 0.0 and any(j not in used for j in theirs):
            other = next(j for j in theirs if j not in used)
            out.append(
                Finding(
                    "unit",
                    CONTRADICTS if aligned.order >= 0.5 else OPEN,
                    f"per {aligned.claim.content[i].text}",
                    f"per {aligned.source.content[other].text}",
                )
            )
    if mine and len(theirs) > len(mine) and all(aligned.partners[i] for i in mine) and (more := [j for j in theirs if j not in used]):
        out.append(
            Finding("unit", OPEN, f"per {aligned.claim.content[mine[0]].text}", f"per {aligned.source.content[more[0]].text} as well")
        )
    if not mine and theirs and aligned.claim.words & {"total", "altogether", "overall"} and not any(j in used for j in theirs):
        out.append(Finding("unit", OPEN, "a total", f"per {aligned.source.content[theirs[0]].text}"))
    if (cause := _BECAUSE.search(aligned.claim.text)) and not _BECAUSE.search(aligned.source.text):
        out.append(Finding("scope", OPEN, f"“{cause.group()}”", "no cause"))
    if (aim := _NOT_ASSERTED.search(aligned.source.text)) and not _NOT_ASSERTED.search(aligned.claim.text):
        out.append(Finding("hedge", OPEN, "it outright", f"“{aim.group()}”", "it asks or plans, it does not state"))
    if (goal := _GOAL.search(aligned.source.text)) and not _GOAL.search(aligned.claim.text):
        out.append(Finding("hedge", OPEN, "it outright", f"“{goal.group()}”", "a goal is no result"))
    if aligned.source.text.rstrip().endswith("?"):
        out.append(Finding("hedge", OPEN, "it outright", "it as a question"))
    mine_ids, their_ids = set(_PAPER.findall(aligned.claim.text)), set(_PAPER.findall(aligned.source.text))
    if mine_ids and their_ids and not mine_ids & their_ids:
        out.append(Finding("subject", OPEN, f"it of {min(mine_ids)}", f"it of {min(their_ids)}", "another paper"))
    if (report := _REPORTED.search(aligned.source.text)) and not _REPORTED.search(aligned.claim.text):
        out.append(Finding("hedge", OPEN, "it outright", f"“{report.group()}”"))
    return out


def _per(sentence: Scan) -> list[int]:
    """Content indices of what follows "per"."""
    out = []
    for token in sentence.tokens:
        if token.low == "per":
            behind = [i for i, t in enumerate(sentence.content) if t.start > token.end and t.kind != "q"][:2]
            joined = len(behind) == 2 and sentence.text[sentence.content[behind[0]].end : sentence.content[behind[1]].start] == " and "
            out += behind if joined else behind[:1]
    return out
