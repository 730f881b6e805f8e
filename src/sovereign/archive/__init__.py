"""The archive: a static site of published records, their exports, schemas and corrections, and the deposit of a draft elsewhere.

Imports records and seal; refuses to decide whether anything may be published (the gate did) and to fetch anything.
"""

from sovereign.archive.record import Record
from sovereign.archive.site import rebuild, write

__all__ = ["Record", "rebuild", "write"]
