"""Whether a text speaks of a facet, by whole words. Imports records and naming; refuses similarity."""

from __future__ import annotations

import re
from functools import lru_cache

from sovereign.kernel.language.naming import alias_key, names
from sovereign.records import Facet, FacetKind

# a facet's word with another meaning: the accuracy of a predictor is not the accuracy of the model
_OTHER_SENSE = {"accuracy": re.compile(r"\b(?:prediction|predictor|predictive|path|routing|cache|expert) accurac|accurac\w* of (?:expert |path |the )?predict", re.I)}


@lru_cache(maxsize=4096)
def spelling(alias: str) -> re.Pattern[str]:
    """The pattern that finds one alias as whole words; blanks and hyphens are alike, a trailing * stands for any ending."""
    body = r"[\s-]*".join(re.escape(p) for p in re.split(r"[\s-]+", alias.rstrip("*")))
    return re.compile(rf"(?<![\w-]){body}" + (r"\w*" if alias.endswith("*") else r"(?!\w)"), re.I)


def mentions(facet: Facet, text: str) -> bool:
    """True when any spelling of the facet stands in the text; for a system also by its alias key, so that SMOES is SMoES and SMoE is not."""
    if facet.kind is FacetKind.SYSTEM:
        keys = {alias_key(a) for a in (facet.text, *facet.aliases)}
        if any(alias_key(n) in keys for n in names(text)):
            return True
    other = _OTHER_SENSE.get(facet.text.lower())
    clean = other.sub(" ", text) if other else text
    return any(spelling(a).search(clean) for a in facet.aliases or (facet.text.lower(),))
