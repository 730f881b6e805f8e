"""Canonical JSON, sha256, hash chains and Ed25519 signatures. Imports records' neighbours only (standard library; cryptography lazily).

Canonical JSON here: UTF-8, keys sorted, no insignificant blanks, floats in Python's shortest round-trip form, NaN and infinities refused
(unknown is None, never NaN). It is close to RFC 8785 but not identical to it (number formatting differs for exponents).
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, TypeVar, cast

from sovereign.errors import IntegrityBroken

T = TypeVar("T")
GENESIS = "0" * 64  # the link before the first event of a chain


def plain(value: Any) -> Any:
    """A record, or any nest of records, as JSON-ready values. Raises TypeError for what has no honest JSON form."""
    if value is None or isinstance(value, (str, bool)):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{value!r} has no place in a record: unknown is None")
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(v) for v in value)
    if isinstance(value, PurePath):
        return value.as_posix()
    raise TypeError(f"cannot seal a {type(value).__name__}")


def canonical(value: Any) -> bytes:
    """The bytes that are hashed and signed."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def pretty(value: Any) -> str:
    """The same value for people and files: sorted keys, two-space indent, final newline."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def sha256(value: bytes | str | Path) -> str:
    """Hex digest of bytes, of text as UTF-8, or of a file's content."""
    if isinstance(value, Path):
        with value.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    return hashlib.sha256(value.encode("utf-8") if isinstance(value, str) else value).hexdigest()


def digest(value: Any) -> str:
    """sha256 of the canonical form of a record."""
    return sha256(canonical(value))


def revive(kind: type[T], body: bytes | str) -> T:
    """The record back from its JSON. Raises IntegrityBroken when it does not have the record's shape."""
    from pydantic import ValidationError  # lazily: 0.1 s that --help must not pay

    try:
        return cast(T, _adapter(cast(Any, kind)).validate_json(body))
    except ValidationError as exc:
        first = exc.errors()[0]
        raise IntegrityBroken(
            f"Stored {getattr(kind, '__name__', kind)} does not have its shape: {first['msg']} at {'.'.join(map(str, first['loc']))}."
        ) from exc


@lru_cache(maxsize=64)
def _adapter(kind: Any) -> Any:
    """Building an adapter costs milliseconds, thousands of times in one library."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def link(previous: str, body: Mapping[str, Any]) -> str:
    """The hash of the next event of a chain: over the previous link and the event's canonical body."""
    return sha256(previous.encode("ascii") + b"\n" + canonical(body))


# --- signatures (Ed25519, RFC 8032) ---


def new_key(passphrase: str) -> tuple[bytes, str]:
    """(private key as passphrase-encrypted PKCS#8 PEM, public key in hex)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return pem, key.public_key().public_bytes_raw().hex()


def sign(pem: bytes, passphrase: str, message: bytes) -> tuple[str, str]:
    """(signature, public key), both in hex. Raises IntegrityBroken on a wrong passphrase or a foreign key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = serialization.load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except (ValueError, TypeError) as exc:
        raise IntegrityBroken("The owner key could not be opened.", mend="Check the passphrase.") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise IntegrityBroken("The owner key is not an Ed25519 key.", mend="Run: sovereign review init")
    return key.sign(message).hex(), key.public_key().public_bytes_raw().hex()


def verify_signature(public_key: str, signature: str, message: bytes) -> bool:
    """True only when the signature was made over exactly these bytes with this key; malformed input is False, never an error."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
