"""Three roles review the draft, blind to each other; the score follows from their findings by a written rule (docs/tribunal.md)."""

from sovereign.kernel.tribunal.hearing import by_rule, hold, remedy
from sovereign.kernel.tribunal.record import Dossier, ranked

__all__ = ["Dossier", "by_rule", "hold", "ranked", "remedy"]
