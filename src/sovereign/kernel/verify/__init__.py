"""Verification: one file per verifier, and combine.py, the written rule. Imports records, ports and the shared language reading; refuses
to fetch or to draft."""

from sovereign.kernel.verify.combine import COMBINATION_VERSION, verify_claim
from sovereign.kernel.verify.corroborate import corroborate
from sovereign.kernel.verify.legacy_tfidf import LegacyTfidf
from sovereign.kernel.verify.lexical import LexicalVerifier
from sovereign.kernel.verify.semantic import SemanticVerifier
from sovereign.kernel.verify.slots import SlotsVerifier
from sovereign.kernel.verify.statement import make_claim, split_claims

VERIFIERS: dict[str, type] = {v.name: v for v in (LegacyTfidf, LexicalVerifier, SemanticVerifier, SlotsVerifier)}

__all__ = ["COMBINATION_VERSION", "VERIFIERS", "corroborate", "make_claim", "split_claims", "verify_claim"]
