"""The owner's gate over a workspace: keys, decisions, publication, corrections, invalidation, audit. Layer 3 beside path.

Imports the kernel's review and publish stations (pure), the store and the archive; refuses to ask anybody anything and to open a connection: faces
bring the passphrase, the choice and the note.
"""

from sovereign.gate.audit import Report, audit_folder, audit_workspace
from sovereign.gate.bundle import export_bundle
from sovereign.gate.decide import correct, corrections_of, decide, send_back, signatures_of
from sovereign.gate.holding import Held, held, overview, queue
from sovereign.gate.invalidate import flag_sources, flags_of, rested_on
from sovereign.gate.keys import create_key, has_key, known_keys, owner_fingerprint
from sovereign.gate.release import publish, record_of

__all__ = [
    "Held", "Report", "audit_folder", "audit_workspace", "correct", "corrections_of", "create_key", "decide", "export_bundle", "flag_sources",
    "flags_of", "has_key", "held", "known_keys", "overview", "owner_fingerprint", "publish", "queue", "record_of", "rested_on", "send_back",
    "signatures_of",
]  # fmt: skip
