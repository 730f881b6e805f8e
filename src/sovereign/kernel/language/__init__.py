"""Shared reading of scientific sentences: sentences, words, names, quantities, slots. Below the stations; imports records and the standard library only."""

from sovereign.kernel.language.facets import mentions, occurs, spelling
from sovereign.kernel.language.naming import alias_key, names
from sovereign.kernel.language.segment import sentences
from sovereign.kernel.language.slots import comparison_key, parse_slots
from sovereign.kernel.language.words import tokens

__all__ = ["alias_key", "comparison_key", "mentions", "names", "occurs", "parse_slots", "sentences", "spelling", "tokens"]
