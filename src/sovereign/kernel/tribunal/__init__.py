"""Three roles review the draft, blind to each other; the score follows from their findings by a written rule (docs/tribunal.md)."""

from sovereign.kernel.tribunal.hearing import by_rule, hold, remedy
from sovereign.kernel.tribunal.record import Dossier, ranked
from sovereign.kernel.tribunal.skeptic import foreign_to

__all__ = ["Dossier", "by_rule", "foreign_to", "hold", "ranked", "remedy"]
