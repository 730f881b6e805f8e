"""What the guard can find between a claim and one unit of evidence: one module per slot. Every finding names its slot, quotes both sides and says
whether it contradicts, qualifies or leaves open. Imports alignment; refuses to weigh findings against each other (guard.py does)."""

from sovereign.kernel.verify.findings.base import CONTRADICTS, NOTED, OPEN, QUALIFIES, TURNED, Bound, Finding, side_of
from sovereign.kernel.verify.findings.denials import SAME_OBJECT, negations, opposites, untouched
from sovereign.kernel.verify.findings.directions import directions
from sovereign.kernel.verify.findings.figures import values
from sovereign.kernel.verify.findings.limits import circumstances, hedges, scope, settings_dropped
from sovereign.kernel.verify.findings.named import name_slot, named
from sovereign.kernel.verify.findings.sides import asides, attributes, clauses, exchanged, relative_clauses, sides, subjects
from sovereign.kernel.verify.findings.wording import wording
from sovereign.kernel.verify.layout import head_of

__all__ = [
    "CONTRADICTS", "NOTED", "OPEN", "QUALIFIES", "SAME_OBJECT", "TURNED", "Bound", "Finding", "asides", "attributes", "circumstances", "clauses", "directions",
    "exchanged", "head_of", "hedges", "name_slot", "named", "negations", "opposites", "relative_clauses", "scope", "settings_dropped", "side_of",
    "sides", "subjects", "untouched", "values", "wording",
]  # fmt: skip
