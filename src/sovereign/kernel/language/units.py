"""Units of measure as papers write them, and their canonical form. Imports the standard library only; refuses to guess an unknown unit."""

from __future__ import annotations

import re

# canonical unit, factor from the written unit. Bytes: decimal prefixes are 10^3, binary ones 2^10 (IEC 80000-13).
_BYTE = {"B": 1.0, "KB": 1e3, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30,
    "TiB": 2.0**40}  # fmt: skip
_TIME = {
    "ns": 1e-9, "nanoseconds": 1e-9, "µs": 1e-6, "μs": 1e-6, "us": 1e-6, "microseconds": 1e-6, "microsecond": 1e-6, "ms": 1e-3, "msec": 1e-3,
    "milliseconds": 1e-3, "millisecond": 1e-3, "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "mins": 60.0,
    "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hr": 3600.0, "hrs": 3600.0, "hour": 3600.0, "hours": 3600.0, "day": 86400.0,
    "days": 86400.0, "week": 604800.0, "weeks": 604800.0, "month": 2629800.0, "months": 2629800.0, "year": 31557600.0, "years": 31557600.0,
}  # fmt: skip
_OTHER = {
    "%": ("percent", 1.0), "％": ("percent", 1.0), "percent": ("percent", 1.0), "per cent": ("percent", 1.0), "pct": ("percent", 1.0),
    "percentage points": ("points", 1.0), "percentage point": ("points", 1.0), "percent points": ("points", 1.0), "% points": ("points", 1.0),
    "pp": ("points", 1.0), "pts": ("points", 1.0), "points": ("points", 1.0), "point": ("points", 1.0), "basis points": ("points", 0.01),
    "×": ("ratio", 1.0), "x": ("ratio", 1.0), "X": ("ratio", 1.0), "times": ("ratio", 1.0), "fold": ("ratio", 1.0), "-fold": ("ratio", 1.0),
    "-times": ("ratio", 1.0), "dB": ("decibel", 1.0), "Hz": ("hertz", 1.0), "kHz": ("hertz", 1e3), "MHz": ("hertz", 1e6), "GHz": ("hertz", 1e9),
    "W": ("watt", 1.0), "watts": ("watt", 1.0), "kW": ("watt", 1e3), "mW": ("watt", 1e-3), "J": ("joule", 1.0), "joules": ("joule", 1.0),
    "kJ": ("joule", 1e3), "mJ": ("joule", 1e-3), "kWh": ("joule", 3.6e6), "Wh": ("joule", 3600.0), "bits": ("bit", 1.0), "bit": ("bit", 1.0),
    "-bit": ("bit", 1.0),
    "bytes": ("byte", 1.0), "byte": ("byte", 1.0), "FLOPs": ("flop", 1.0), "FLOPS": ("flop", 1.0), "GFLOPs": ("flop", 1e9), "MFLOPs": ("flop", 1e6),
    "TFLOPs": ("flop", 1e12), "PFLOPs": ("flop", 1e15), "GFLOPS": ("flop", 1e9), "TFLOPS": ("flop", 1e12), "tokens/s": ("token/second", 1.0),
    "token/s": ("token/second", 1.0), "tokens/sec": ("token/second", 1.0), "tok/s": ("token/second", 1.0), "tokens per second": ("token/second", 1.0),
    "tokens/second": ("token/second", 1.0), "tokens/min": ("token/second", 1 / 60), "tokens/minute": ("token/second", 1 / 60),
    "tokens/hour": ("token/second", 1 / 3600),
    "tokens/ms": ("token/second", 1e3), "tokens per minute": ("token/second", 1 / 60), "tokens per hour": ("token/second", 1 / 3600),
    "tokens/h": ("token/second", 1 / 3600),
    "tokens per day": ("token/second", 1 / 86400), "tokens a day": ("token/second", 1 / 86400), "tokens/day": ("token/second", 1 / 86400),
    "tps": ("token/second", 1.0), "Gbps": ("bit/second", 1e9), "Mbps": ("bit/second", 1e6), "Gb/s": ("bit/second", 1e9),
    "Gbit/s": ("bit/second", 1e9), "GB/s": ("byte/second", 1e9), "MB/s": ("byte/second", 1e6), "TB/s": ("byte/second", 1e12), "KB/s": ("byte/second", 1e3),
    "mm": ("meter", 1e-3), "cm": ("meter", 1e-2), "km": ("meter", 1e3), "nm": ("meter", 1e-9), "µm": ("meter", 1e-6), "μm": ("meter", 1e-6),
    "mg": ("gram", 1e-3), "kg": ("gram", 1e3), "µg": ("gram", 1e-6), "μg": ("gram", 1e-6), "g": ("gram", 1.0), "ml": ("liter", 1e-3), "mL": ("liter", 1e-3),
    "°C": ("celsius", 1.0), "°": ("degree", 1.0), "mmHg": ("mmHg", 1.0), "mg/dl": ("mg/dl", 1.0), "mM": ("molar", 1e-3), "µM": ("molar", 1e-6),
    "μM": ("molar", 1e-6), "nM": ("molar", 1e-9),
    "\\%": ("percent", 1.0), "requests/s": ("request/second", 1.0), "req/s": ("request/second", 1.0), "samples/s": ("sample/second", 1.0),
    "images/s": ("image/second", 1.0), "FPS": ("frame/second", 1.0), "fps": ("frame/second", 1.0), "orders of magnitude": ("order", 1.0),
    "order of magnitude": ("order", 1.0),
    "$": ("dollar", 1.0), "USD": ("dollar", 1.0), "dollars": ("dollar", 1.0), "GPU hours": ("gpu-hour", 1.0), "GPU-hours": ("gpu-hour", 1.0),
    "GPU days": ("gpu-hour", 24.0),
}  # fmt: skip
UNITS: dict[str, tuple[str, float]] = {
    **{u: ("byte", f) for u, f in _BYTE.items()},
    **{u: ("second", f) for u, f in _TIME.items()},
    **_OTHER,
}
# K, M, B, T after a number are magnitudes of a count ("7B parameters"), unless more letters follow.
MAGNITUDES = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12,
              "mn": 1e6, "bn": 1e9}  # fmt: skip
del UNITS["B"]

_ALTERNATIVES = "|".join(re.escape(u) for u in sorted(UNITS, key=len, reverse=True))
UNIT_RE = re.compile(rf"[ \u00a0\u202f~]?-?(?P<unit>{_ALTERNATIVES})(?![A-Za-z0-9])")
WORD_UNIT_RE = re.compile(rf"[ \u00a0-]?(?P<unit>{_ALTERNATIVES})(?![A-Za-z0-9])")
MAGNITUDE_RE = re.compile(r"[ \u00a0-]?(?P<m>thousand|million|billion|trillion|mn|bn)\b|(?P<s>[kKMBT])(?![A-Za-z0-9/])")


def canonical(unit: str) -> tuple[str, float]:
    """(canonical name, factor); ("", 1) for an unknown unit."""
    return UNITS.get(unit, ("", 1.0))
