"""Which questions are the same, and which should be asked next. Imports records; pure: refuses to store, to run and to queue anything.

Two questions are near-duplicates when their words nearly agree AND they have the same facets, numbers and negations: similar is not the same.
A suggestion follows from a finished run: a facet that nobody answered, a comparison key on which sources disagree, a prediction that failed. It is
bounded, and a topic rests when its last runs brought no newly supported claim.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sovereign.records import Facet, FacetKind, GateVerdict, Question, Verdict

ALIKE = 0.75  # share of common words (Jaccard) of near-duplicates; chosen on the pairs in tests/unit/agenda, not calibrated
RESTS_AFTER = 3  # runs of a topic without a newly supported comparison key
PER_RUN = 3  # suggestions that one run may give
_STOP = frozenset(
    "a an and are as at be been by can could do does did for from have has had how in into is it its me my of on or our please s say tell than that the "
    "their there these this those to under us was we were what when where which who whose why will with would you your much many exactly".split()
)
_NOT = frozenset(
    ("not", "no", "never", "without", "except", "neither", "nor", "cannot", "lower", "higher", "more", "less", "increase", "reduce")
)


@dataclass(frozen=True)
class Asked:
    """A question with what decides whether another one is the same."""

    text: str
    facets: frozenset[str]  # facet ids

    @staticmethod
    def of(question: Question) -> Asked:
        return Asked(question.text, frozenset(f.id for f in question.facets))


@dataclass(frozen=True)
class Past:
    """A finished run as the agenda sees it; see `past`."""

    run_id: str
    question: str
    topic: str
    facets: tuple[Facet, ...]
    unanswered: tuple[tuple[str, str], ...]  # (facet id, why not)
    supported: frozenset[tuple[str, str, str]]  # comparison keys of SUPPORTED claims
    contested: tuple[tuple[str, str, str], ...]  # comparison keys on which sources disagree
    failed: tuple[tuple[str, str], ...]  # (study, statement that its trial falsified)


@dataclass(frozen=True)
class Suggestion:
    question: str
    reason: str
    run_id: str  # the run that it follows from
    topic: str
    kind: str  # unanswered_facet | contested_key | failed_prediction


@dataclass(frozen=True)
class Suggested:
    suggestions: tuple[Suggestion, ...]
    resting: tuple[tuple[str, str], ...]  # (topic, why nothing more is suggested for it)


# --- the same question again ---


def words(text: str) -> frozenset[str]:
    """Content words, lower case, plurals and verb endings folded; numbers with their sign and decimals kept."""
    found = re.findall(r"[+-]?\d+(?:\.\d+)?%?|[^\W\d_][\w.]*(?:-\w+)*", text.lower())
    return frozenset(_folded(w.rstrip(".")) for w in found if w not in _STOP)


def _folded(word: str) -> str:
    for ending in ("ies", "es", "s", "ed", "ing"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word.removesuffix("e") if len(word) > 4 else word


def same(a: Asked, b: Asked) -> str | None:
    """Why `a` asks for what `b` asks for, in plain words; None when it does not."""
    mine, theirs = words(a.text), words(b.text)
    if not mine or not theirs:
        return None
    if mine == theirs and a.facets == b.facets:
        return "the same words"
    if a.facets != b.facets or _binding(mine) != _binding(theirs):
        return None
    alike = len(mine & theirs) / len(mine | theirs)
    return f"the same facets and {alike:.0%} of the words" if alike >= ALIKE else None


def _binding(found: frozenset[str]) -> frozenset[str]:
    """Numbers, negations and directions: one of them differing makes another question."""
    turns = frozenset(_folded(w) for w in _NOT)
    return frozenset(w for w in found if w in turns or any(c.isdigit() for c in w))


def duplicate(asked: Asked, known: Iterable[tuple[str, Asked]]) -> tuple[str, str] | None:
    """(its name, why) of the first known question that asks for the same."""
    for name, other in known:
        if (why := same(asked, other)) is not None:
            return name, why
    return None


# --- what to ask next ---


def past(body: Mapping[str, Any]) -> Past:
    """A run's draft.json as the agenda sees it. The topic is its named systems; without one, its metrics and data sets; else the question itself."""
    facets = tuple(Facet(FacetKind(f["kind"]), f["text"]) for f in body["facets"])
    keyed = [(c, (c["key"]["subject"], c["key"]["metric"], c["key"]["condition"])) for c in body["claims"] if c.get("key")]
    return Past(
        run_id=body["run_id"],
        question=body["question"],
        topic=_topic(facets, body["question"]),
        facets=facets,
        unanswered=tuple((c["facet"], c.get("why_not") or "no evidence was found") for c in body["coverage"] if not c["answered"]),
        supported=frozenset(key for c, key in keyed if c["verdict"] == Verdict.SUPPORTED.value),
        contested=tuple(dict.fromkeys(key for c, key in keyed if c.get("contested_by"))),
        failed=tuple(
            (t["study"], s["text"]) for t in body["trials"] for s in t["statements"] if s["verdict"] == GateVerdict.FALSIFIED.value
        ),
    )


def _topic(facets: Sequence[Facet], question: str) -> str:
    for kinds in ((FacetKind.SYSTEM,), (FacetKind.METRIC, FacetKind.DATASET)):
        held = sorted({f.text.lower() for f in facets if f.kind in kinds})
        if held:
            return " + ".join(held)
    return " ".join(sorted(words(question)))[:120] or question[:120]


def suggest(
    runs: Sequence[Past], known: Sequence[tuple[str, Asked]], *, facets_of: Callable[[str], frozenset[str]] | None = None, at_most: int = 10
) -> Suggested:
    """Follow-up questions of these runs, oldest run first in `runs`, newest run's first in the answer; at most `at_most`, and PER_RUN for each run.

    `known`: (name, question) of everything asked or queued already; `facets_of` reads the facets of a question as the question station does. A resting
    topic gives nothing and says why.
    """
    resting = {topic: why for topic in dict.fromkeys(r.topic for r in runs) if (why := _rests([r for r in runs if r.topic == topic]))}
    held = list(known)
    out: list[Suggestion] = []
    for run in reversed(runs):
        given = 0
        for suggestion, facets in _follow_ups(run):
            if run.topic in resting or given >= PER_RUN or len(out) >= at_most:
                break
            asked = Asked(suggestion.question, facets_of(suggestion.question) if facets_of else facets)
            if duplicate(asked, held) is not None:
                continue
            held.append((suggestion.question, asked))
            out.append(suggestion)
            given += 1
    return Suggested(tuple(out), tuple(resting.items()))


def _rests(runs: Sequence[Past]) -> str | None:
    """Diminishing returns: the last RESTS_AFTER runs of a topic supported nothing that earlier ones had not."""
    if len(runs) <= RESTS_AFTER:
        return None
    before = frozenset[tuple[str, str, str]]().union(*(r.supported for r in runs[:-RESTS_AFTER]))
    new = frozenset[tuple[str, str, str]]().union(*(r.supported for r in runs[-RESTS_AFTER:])) - before
    return None if new else f"its last {RESTS_AFTER} runs supported no claim that earlier runs had not"


def _follow_ups(run: Past) -> list[tuple[Suggestion, frozenset[str]]]:
    about = next((f for f in run.facets if f.kind is FacetKind.SYSTEM), None)
    by_id = {f.id: f for f in run.facets}
    out = []
    for key in run.contested:
        subject, metric, condition = key
        text = f"What is the {metric or 'result'} of {subject or (about.text if about else 'the system')}"
        text += f" under {condition}, and why do the sources differ?" if condition else ", and why do the sources differ?"
        out.append(
            (
                Suggestion(text, f"sources disagree on {' · '.join(p for p in key if p)}", run.run_id, run.topic, "contested_key"),
                frozenset[str](),
            )
        )
    for study, statement in run.failed:
        text = f"Under which conditions does the following hold, which the trial “{study}” did not confirm: {statement.rstrip('.')}?"
        out.append((Suggestion(text, f"the trial of {study} falsified it", run.run_id, run.topic, "failed_prediction"), frozenset[str]()))
    for facet_id, why in run.unanswered:
        facet = by_id.get(facet_id)
        if facet is not None:
            kept = frozenset(f.id for f in (facet, about) if f is not None)
            out.append(
                (Suggestion(_about(facet, about), f"{facet_id} was not answered: {why}", run.run_id, run.topic, "unanswered_facet"), kept)
            )
    return out


def _about(facet: Facet, system: Facet | None) -> str:
    name = system.text if system is not None and system.id != facet.id else ""
    if not name:
        return f"What does the literature report about {facet.text}?"
    return {
        FacetKind.METRIC: f"What {facet.text} does {name} reach, and under which conditions was it measured?",
        FacetKind.COMPARATOR: f"How does {name} compare with {facet.text} in the same setting?",
        FacetKind.DATASET: f"What does {name} reach on {facet.text}?",
        FacetKind.CONDITION: f"What does {name} reach under {facet.text}?",
        FacetKind.SYSTEM: f"What does the literature report about {facet.text} and {name}?",
    }[facet.kind]
