"""Which side of the split a named thing belongs to. Standard library only; refuses randomness: a name is always on the same side."""

from __future__ import annotations

import zlib

HELDOUT_SHARE = 0.25  # of files and topics


def side(name: str) -> str:
    """'heldout' for a quarter of all names, by their CRC-32."""
    return "heldout" if zlib.crc32(name.encode()) % 1000 < HELDOUT_SHARE * 1000 else "train"
