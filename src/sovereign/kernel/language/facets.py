"""Whether a text speaks of a facet, by whole words. Imports records and naming; refuses similarity."""

from __future__ import annotations

import re
from functools import lru_cache

from sovereign.kernel.language.naming import alias_key, names
from sovereign.records import Facet, FacetKind

# a facet's word with another meaning: the accuracy of a predictor is not the accuracy of the model
_OTHER_SENSE = {
    "accuracy": re.compile(
        r"\b(?:prediction|predictor|predictive|path|routing|cache|expert) accurac|accurac\w* of (?:expert |path |the )?predict", re.I
    ),
    "latency": re.compile(r"\bat inference[- ]time", re.I),
}


@lru_cache(maxsize=4096)
def spelling(alias: str) -> re.Pattern[str]:
    """The pattern that finds one alias as whole words; blanks and hyphens are alike, a trailing * stands for any ending."""
    body = r"[\s-]*".join(re.escape(p) for p in re.split(r"[\s-]+", alias.rstrip("*")))
    return re.compile(rf"(?<![\w-]){body}" + (r"\w*" if alias.endswith("*") else r"(?!\w)"), re.I)


def occurs(name: str, text: str) -> re.Match[str] | None:
    """Where a system's name stands in the text. Ordinary words must not become systems: "much" is not MUCH, "Beam search" is not BEAM.

    As written, always; in any letter case only for names of several words, or of five letters and more with an inner capital beside small
    letters (so that SMOES and smoes are SMoES). A name inside a longer name (SMoE in MC-SMoE, DeepSeek in DeepSeek-V2) does not count.
    """
    loose = " " in name or (sum(c.isalpha() for c in name) >= 5 and any(c.isupper() for c in name[1:]) and any(c.islower() for c in name))
    body = r"[\s-]+".join(re.escape(p) for p in name.split())
    return re.search(rf"(?<![\w-]){body}(?![\w]|-\w*\d|-[A-Z])", text, re.I if loose else 0)


def mentions(facet: Facet, text: str) -> bool:
    """True when any spelling of the facet stands in the text; for a system also by its alias key, so that SMOES is SMoES and SMoE is not."""
    if facet.kind is FacetKind.SYSTEM:
        key = alias_key(facet.text)
        return occurs(facet.text, text) is not None or any(alias_key(n) == key for n in names(text))
    other = _OTHER_SENSE.get(facet.text.lower())
    clean = other.sub(" ", text) if other else text
    return any(spelling(a).search(clean) for a in facet.aliases or (facet.text.lower(),))
