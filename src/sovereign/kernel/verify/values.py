"""Whether two quantities agree: units, rounding, ranges, spreads, relations, and values that follow from two others. Imports records only.

Refuses to decide which quantities belong together (align.py binds them). Units of every value are canonical already.
"""

from __future__ import annotations

import math
from enum import StrEnum

from sovereign.records import Relation, Value


class Agreement(StrEnum):
    EQUAL = "equal"
    QUALIFIED = "qualified"  # the number is right, its relation is not ("up to 10 %" for "10 %")
    UNIT = "unit"  # same figure, other unit
    FINER = "finer"  # the claim is more exact than the source
    OFF = "off"


_COUNTLESS = {"", "percent", "points", "ratio", "order"}


def tolerance(value: Value) -> float:
    """Half a unit of the last place that was written; 5 % of the value for "about". Number words and counts are exact."""
    if value.relation is Relation.ABOUT:
        digits = 0.0 if value.decimals is None else 0.5 * 10.0**-value.decimals
        return max(digits, 0.05 * abs(value.low))
    if value.decimals is None or (value.decimals == 0 and value.unit == "") or (value.decimals < 0 and value.unit == ""):
        return 0.0 if value.decimals is None or value.decimals >= 0 else 0.5 * 10.0**-value.decimals
    return 0.5 * 10.0**-value.decimals


def agree(claim: Value, source: Value, *, signed: bool = False) -> Agreement:
    """How the claim's quantity stands to the source's. Signs count only when `signed`; otherwise the direction slot judges them."""
    pair = _same_unit(claim, source)
    if pair is None:
        return Agreement.UNIT if _same_figure(claim, source) else Agreement.OFF
    factor_claim, offset = pair
    c_low, c_high = claim.low * factor_claim, claim.high * factor_claim
    s_low, s_high = source.low, source.high
    if offset:
        return Agreement.EQUAL if _close(c_low, offset, tolerance(claim) * abs(factor_claim)) else Agreement.OFF
    if not signed:
        c_low, c_high, s_low, s_high = abs(c_low), abs(c_high), abs(s_low), abs(s_high)
        c_low, c_high, s_low, s_high = min(c_low, c_high), max(c_low, c_high), min(s_low, s_high), max(s_low, s_high)
    step = tolerance(claim) * abs(factor_claim)
    if claim.spread is not None and source.spread is not None and not _close(claim.spread * abs(factor_claim), source.spread, step):
        return Agreement.OFF
    return _relation(claim, source, (c_low, c_high), (s_low, s_high), step)


def _relation(claim: Value, source: Value, c: tuple[float, float], s: tuple[float, float], step: float) -> Agreement:
    bound = {Relation.AT_LEAST, Relation.AT_MOST}
    if claim.relation is Relation.BETWEEN or source.relation is Relation.BETWEEN:
        if claim.relation is source.relation:
            return Agreement.EQUAL if _close(c[0], s[0], step) and _close(c[1], s[1], step) else Agreement.OFF
        if claim.relation is Relation.AT_LEAST:
            return Agreement.EQUAL if s[0] >= c[0] * (1 - 1e-9) and s[0] <= 1.6 * c[0] else Agreement.OFF
        if claim.relation is Relation.AT_MOST:
            return Agreement.EQUAL if s[1] <= c[1] * (1 + 1e-9) and s[1] >= 0.6 * c[1] else Agreement.OFF
        if source.relation is Relation.BETWEEN:  # a point of a range: the claim is narrower than its source
            return Agreement.QUALIFIED if s[0] - step <= c[0] <= s[1] + step else Agreement.OFF
        narrow = abs(c[1] - c[0]) <= 0.2 * max(abs(c[0]), abs(c[1]))
        return Agreement.EQUAL if narrow and c[0] - step <= s[0] <= c[1] + step else Agreement.OFF
    near = _close(c[0], s[0], step)
    if claim.relation is source.relation and claim.relation in bound and not near:  # a looser bound follows from a tighter one
        looser = s[0] >= c[0] if claim.relation is Relation.AT_LEAST else s[0] <= c[0]
        return Agreement.EQUAL if looser and abs(s[0] - c[0]) <= 0.35 * max(abs(s[0]), abs(c[0])) else Agreement.OFF
    if near and {claim.relation, source.relation} == {Relation.AT_MOST, Relation.UP_TO}:
        return Agreement.EQUAL
    if claim.relation in bound and source.relation not in bound:
        holds = s[0] >= c[0] * (1 - 1e-9) if claim.relation is Relation.AT_LEAST else s[0] <= c[0] * (1 + 1e-9)
        tight = abs(s[0] - c[0]) <= 0.35 * max(abs(s[0]), abs(c[0]))
        if source.relation is Relation.UP_TO and near:
            return Agreement.QUALIFIED
        return Agreement.EQUAL if holds and tight else Agreement.OFF
    if not near:
        source_step = tolerance(source)
        if (claim.decimals or 0) > (source.decimals or 0) and _close(c[0], s[0], source_step) and source_step > 0:
            return Agreement.FINER
        return Agreement.OFF
    if claim.relation is source.relation or (source.relation in bound and claim.relation in bound):
        return Agreement.EQUAL if claim.relation is source.relation else Agreement.OFF
    if claim.relation is Relation.ABOUT and source.relation is Relation.EQUAL:
        return Agreement.EQUAL
    return Agreement.QUALIFIED


def _close(a: float, b: float, step: float) -> bool:
    return abs(a - b) <= step * (1 + 1e-6) + 1e-9 * max(abs(a), abs(b))


def _same_figure(a: Value, b: Value) -> bool:
    return _close(abs(_written(a)), abs(_written(b)), 1e-9)


def _written(value: Value) -> float:
    """The figure before the unit, as printed."""
    digits = "".join(c for c in value.raw.replace(",", "").split("±")[0] if c.isdigit() or c == ".").strip(".")
    try:
        return float(digits) if digits else value.low
    except ValueError:
        return value.low


def _same_unit(claim: Value, source: Value) -> tuple[float, float] | None:
    """(factor that brings the claim to the source's unit, fixed value to compare with or 0); None when the units exclude each other."""
    a, b = claim.unit, source.unit
    if a == b:
        return 1.0, 0.0
    if {a, b} == {"percent", ""}:
        plain = source if b == "" else claim
        fraction = abs(plain.high) <= 1.0 and (plain.decimals or 0) >= 2
        if not fraction:
            return (1.0, 0.0) if _same_figure(claim, source) or (plain.decimals or 0) > 0 else None
        return (0.01, 0.0) if a == "percent" else (100.0, 0.0)
    if {a, b} == {"percent", "points"}:
        return None
    if {a, b} == {"ratio", "percent"}:
        ratio = (claim if a == "ratio" else source).low
        percent = (source if a == "ratio" else claim).low
        if ratio <= 0:
            return None
        options = [100 * ratio, 100 * abs(1 - ratio)] + ([100 * (1 - 1 / ratio)] if ratio > 1 else [])
        best = min(options, key=lambda o: abs(abs(percent) - o))
        if abs(abs(percent) - best) <= 0.5 + 1e-6:
            return 1.0, claim.low
        return None
    if {a, b} == {"ratio", ""}:
        return 1.0, 0.0
    if "" in (a, b) and claim.low and _same_figure(claim, source) and len(claim.raw.replace(".", "").strip("0 ")) > 1:
        return source.low / claim.low, 0.0  # the unit is said once and left out the second time
    return None


def relative_change(old: float, new: float) -> float | None:
    """Change in percent of the old value; None when there is no old value to relate to."""
    return None if old == 0 else 100.0 * (new - old) / abs(old)


def derived(claim: Value, first: Value, second: Value, *, share: bool = False) -> str | None:
    """How the claim's relative figure follows from two absolute values, in words; None when it does not. `share`: the claim states a part of a whole."""
    if (first.unit != second.unit and "" not in (first.unit, second.unit)) or first.unit in {"points"} or first.low == second.low:
        return None
    old, new = first.low, second.low
    if min(abs(old), abs(new)) <= 0:
        return None
    step = max(tolerance(claim), 0.05 if claim.unit == "percent" else 0.005)
    if share and claim.unit == "percent":
        part = 100.0 * min(abs(old), abs(new)) / max(abs(old), abs(new))
        return f"{second.raw} against {first.raw} is {part:.1f} %" if _close(abs(claim.low), part, step) else None
    if claim.unit == "percent" and first.unit != "percent":
        change = relative_change(old, new)
        if change is not None and math.isfinite(change) and _close(abs(claim.low), abs(change), step):
            return f"{first.raw} to {second.raw} is {change:+.1f} %"
    if claim.unit == "points" and first.unit in {"percent", ""} and _close(abs(claim.low), abs(new - old), step):
        return f"{first.raw} to {second.raw} is {new - old:+.4g} points"
    if claim.unit == "ratio" and claim.low > 1:
        ratio = max(old, new) / min(old, new)
        if _close(claim.low, ratio, step):
            return f"{first.raw} against {second.raw} is {ratio:.2f}×"
    return None


def shown(value: Value) -> str:
    """As written, with the relation where it is not plain."""
    lead = {Relation.UP_TO: "up to ", Relation.AT_LEAST: "at least ", Relation.AT_MOST: "at most ", Relation.ABOUT: "about "}
    return lead.get(value.relation, "") + value.raw
