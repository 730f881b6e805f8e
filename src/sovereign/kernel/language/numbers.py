"""Reads quantities: numbers in every form papers use, with unit, spread, range and relation. Imports records and units; refuses dates, citations and
numbers that are parts of names (the scanner keeps those away)."""

from __future__ import annotations

import math
import re

from sovereign.kernel.language.units import MAGNITUDE_RE, MAGNITUDES, UNIT_RE, canonical
from sovereign.records import Relation, Value

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d{1,3}(?:[\u00a0\u202f\u2009 ]\d{3})+(?![\d.,])|\d+(?:\.\d+)?|\.\d+)"
_EXPONENT = re.compile(r"[eE](?P<e>[+\-−]?\d{1,3})(?!\w|\.\d)|\s?[×x·*]\s?10\s?(?:\^|\*\*)?\s?\{?(?P<p>[+\-−–]?\d{1,3})\}?(?![\w%])")
_SPREAD = re.compile(rf"\s?(?:±|\+/[-−–]|\+-|\\pm)\s?(?P<n>{NUMBER})")
_RANGE = re.compile(rf"(?:\s?[–—]\s?|-|\s(?:to|and)\s)(?P<sign>[-−–]?)(?P<n>{NUMBER})")
_NUMBER = re.compile(NUMBER)
WORDS: dict[str, float] = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13,
    "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100, "dozen": 12, "thousand": 1e3, "million": 1e6, "billion": 1e9,
    "trillion": 1e12, "zero": 0,
}  # fmt: skip
RATIOS: dict[str, float] = {
    "twice": 2, "thrice": 3, "twofold": 2, "threefold": 3, "fourfold": 4, "fivefold": 5, "tenfold": 10, "double": 2, "doubles": 2, "doubled": 2,
    "doubling": 2, "triple": 3, "triples": 3, "tripled": 3, "tripling": 3, "quadruple": 4, "quadruples": 4, "quadrupled": 4, "half": 0.5, "halves": 0.5,
    "halved": 0.5, "halving": 0.5, "halve": 0.5, "order-of-magnitude": 10,
}  # fmt: skip
_VALIDATION = re.compile(r"[ -](?:stratified |nested |grouped )?(?:cross|CV\b)", re.IGNORECASE)  # five-fold cross-validation counts folds
_PARTS = {
    "half": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "twentieth": 20,
    "hundredth": 100,
}
_FRACTION = re.compile(
    r"(?:(?P<n>a|an|one|two|three|four|five|six|seven|eight|nine)[ -])(?P<d>half|third|quarter|fourth|fifth|sixth"
    r"|seventh|eighth|ninth|tenth|twentieth|hundredth)s?\b(?! (?:layer|token|row|column"
    r"|stage|step|expert|epoch|time|author|section|place|party|dimension|order|power))",
    re.IGNORECASE,
)
_WORD_UNIT = re.compile(
    r"(?:[ \-](?:and[ ])?(?P<tens>one|two|three|four|five|six|seven|eight|nine))?(?:[ \-](?P<mag>hundred|thousand|million|billion|trillion))?"
)
_ONE_IN = re.compile(r"one(?: (?:time|case|token|request|prompt))? in (?P<n>[a-z]+|\d{1,3})\b(?![-.,]?\d)", re.IGNORECASE)
_HALF_OF = re.compile(r" an? (?=[a-z])")
_POWER_OF_TEN = re.compile(r"\s?(?:\^|\*\*)\s?\{?(?P<p>[+\-−–]?\d{1,2})\}?(?![\w%])")
_SHARED_MAGNITUDE = re.compile(rf"\s(?:and|or)\s(?P<n>{NUMBER})(?=\s?[A-Za-z])")
_BEFORE: tuple[tuple[re.Pattern[str], Relation], ...] = (
    (re.compile(r"(?:\bup to(?: an?)?|\bas (?:much|many|high|large|low|little|few|fast) as"
        r"|\bmaximum(?: of)?|\bat best|\bpeak(?: of)?|\bby up to)\s*[(~]?$"), Relation.UP_TO),
    (re.compile(r"(?:\bat most|\bno more than|\bless than|\bfewer than|\bunder|\bbelow|\bnot exceeding"
        r"|\bwithin|\bcapped at|\bdoes not exceed|\blower than|\bsmaller than|≤|<=|<|\\leq?)\s*$"), Relation.AT_MOST),
    (re.compile(r"(?:\bat least|\bno less than|\bno fewer than|\bmore than|\bover|\babove|\bexceed(?:s|ed|ing)?|\bgreater than"
        r"|\bhigher than|\blarger than|\blonger than|\bbeyond|\ba minimum of|\bminimum of|≥|>=|>|\\geq?)\s*$"), Relation.AT_LEAST),
    (re.compile(r"(?:\babout|\baround|\bapproximately|\broughly|\bnearly|\balmost|\bclose to"
        r"|\bnear|\bcirca|\bapprox\.?|\bsome|\bon the order of|~|∼|≈|≃|\\approx|\\sim)\s*$"), Relation.ABOUT),
)  # fmt: skip
_HEDGED_BOUND = re.compile(r"(?<=than )(?:about|around|approximately|roughly|some) $")  # "less than about 10" bounds all the same
_RANGE_LEAD = re.compile(r"\b(?:between|from|range[sd]?|ranging|in|of|within|lie|lies)\s*$")


def relation_before(text: str, start: int) -> Relation:
    """The relation that the words right before a number state."""
    window = _HEDGED_BOUND.sub("", text[max(0, start - 30) : start].lower())
    for pattern, relation in _BEFORE:
        if pattern.search(window):
            return relation
    return Relation.EQUAL


def _float(digits: str) -> float:
    return float(re.sub(r"[,\s]", "", digits))


def _sign(text: str, start: int) -> tuple[float, int]:
    """(sign, where the number begins with its sign) for the number whose first digit stands at `start`."""
    if start == 0 or text[start - 1] not in "+-−–":
        return 1.0, start
    before = text[start - 2] if start >= 2 else " "
    if before.isalnum() or before in ")]}%.":
        return 1.0, start
    if text[start - 1] == "–" and before.isspace() and start >= 3 and text[start - 3].isdigit():
        return 1.0, start
    return (1.0 if text[start - 1] == "+" else -1.0), start - 1


def read(text: str, start: int) -> Value | None:
    """The quantity whose first digit stands at `start`, with everything that belongs to it; None when no number stands there."""
    match = _NUMBER.match(text, start)
    if match is None:
        return None
    digits, end = match.group(), match.end()
    sign, begin = _sign(text, start)
    number = sign * _float(digits)
    decimals = len(digits.split(".")[1]) if "." in digits else 0
    scale = 1.0
    if digits == "10" and (power_of_ten := _POWER_OF_TEN.match(text, end)):
        power = int(power_of_ten.group("p").replace("−", "-").replace("–", "-"))
        number, end, decimals = sign * 10.0**power, power_of_ten.end(), -power
    if exponent := _EXPONENT.match(text, end):
        power = int((exponent.group("e") or exponent.group("p")).replace("−", "-").replace("–", "-"))
        if abs(power) < 100:
            scale, end, decimals = 10.0**power, exponent.end(), decimals - power
    spread = None
    spread_match = _SPREAD.match(text, end)
    low = high = number
    unit, factor, unit_end = _unit(text, end)
    if spread_match is None and unit:
        spread_match = _SPREAD.match(text, unit_end)
    if spread_match is not None:
        spread, end = _float(spread_match.group("n")), spread_match.end()
        after, after_factor, after_end = _unit(text, end)
        if after or not unit:
            unit, factor, unit_end = after, after_factor, after_end
        else:
            unit_end = end
    relation = relation_before(text, begin)
    if relation is Relation.AT_LEAST and not unit and not decimals and text[max(0, begin - 5) : begin].lower() == "over ":
        relation = Relation.EQUAL  # "over 13 workloads" counts them
    if spread is None and (upper := _range(text, begin, end if not unit else unit_end, unit)):
        high, end = upper
        relation = Relation.BETWEEN
        low, high = min(low, high), max(low, high)
        after, after_factor, after_end = _unit(text, end)
        if after:
            unit, factor, unit_end = after, after_factor, after_end
        else:
            unit_end = max(end, unit_end) if unit else end
    if not unit and factor == 1.0 == scale and spread is None and relation is not Relation.BETWEEN:
        factor = _shared_magnitude(text, end, number)
    if text[begin - 1 : begin] == "$" or text[begin - 2 : begin] == "$ ":
        unit = unit or "dollar"
    if unit or unit_end > end:
        end = max(end, unit_end)
    scale *= factor
    decimals -= _shift(factor)
    if not math.isfinite(high * scale):
        return None  # beyond the floats: as good as any word
    return Value(
        raw=text[begin:end].strip(), low=low * scale, high=high * scale, unit=unit, relation=relation,
        spread=None if spread is None else spread * scale, decimals=decimals, start=begin, end=end,
    )  # fmt: skip


def _shared_magnitude(text: str, end: int, number: float) -> float:
    """The magnitude of "733" in "733 and 381 million": said once, of figures of one size; 1 where none is shared."""
    other = _SHARED_MAGNITUDE.match(text, end)
    magnitude = None if other is None else MAGNITUDE_RE.match(text, other.end())
    if other is None or magnitude is None:
        return 1.0
    size = _float(other.group("n"))
    return MAGNITUDES[magnitude.group("m") or magnitude.group("s")] if 0.05 <= abs(number) / (size or 1.0) <= 20 else 1.0


def _shift(factor: float) -> int:
    """By how many places a power-of-ten factor moves the point; 0 for other factors."""
    shift, value = 0, factor
    while value >= 9.999999 and shift < 15:
        value, shift = value / 10, shift + 1
    while 0 < value < 0.9999999 and shift > -15:
        value, shift = value * 10, shift - 1
    return shift if abs(value - 1) < 1e-6 else 0


def _unit(text: str, at: int) -> tuple[str, float, int]:
    """(canonical unit, factor, end); magnitudes (7B) give unit "" with a factor."""
    magnitude = MAGNITUDE_RE.match(text, at)
    factor = 1.0
    if magnitude is not None:
        factor = MAGNITUDES[magnitude.group("m") or magnitude.group("s")]
        at = magnitude.end()
    unit = UNIT_RE.match(text, at)
    if unit is None:
        return "", factor, at
    written = unit.group("unit")
    if written in {"s", "h", "g", "J", "W", "min"} and not text[at : at + 1].isspace() and text[at : at + 1] not in written:
        return "", factor, at
    if written in {"x", "X"} and re.match(r"\s?\d", text[unit.end() :][:2]):  # 2 x 4 is a product
        return "", factor, at
    if (
        written in {"fold"}
        and text[unit.end() : unit.end() + 1] == " "
        and text[at : at + 1] == "-"
        and "cross" in text[unit.end() : unit.end() + 8]
    ):
        return "", factor, at
    name, by = canonical(written)
    return name, factor * by, unit.end()


def _range(text: str, begin: int, end: int, unit: str) -> tuple[float, int] | None:
    match = _RANGE.match(text, end)
    if match is None:
        return None
    joint = match.group().strip()
    lead = text[max(0, begin - 10) : begin].lower()
    if joint.startswith("and") and not lead.rstrip().endswith("between"):
        return None
    if (
        joint.startswith("to")
        and not (_RANGE_LEAD.search(lead) and not lead.rstrip().endswith("from"))
        and not re.search(r"(?:^|[\s(])(?:of|by|in|about)?\s*$", lead)
    ):
        return None
    if joint.startswith("to") and lead.rstrip().endswith("from"):
        return None
    if text[match.end() : match.end() + 1].isalpha() and not MAGNITUDE_RE.match(text, match.end()) and not UNIT_RE.match(text, match.end()):
        return None
    after = _unit(text, match.end())[0]
    if unit and after and after != unit:
        return None
    value = _float(match.group("n"))
    if joint[0] == "-" and text[match.end() : match.end() + 1] == "-":
        return None
    return value, match.end()


def read_fraction(text: str, start: int) -> Value | None:
    """ "a tenth", "two thirds", "one-quarter" at `start`, in percent; None when no fraction stands there. Exact as a percentage to half a point."""
    if rare := _ONE_IN.match(text, start):
        parts = WORDS.get(rare.group("n").lower()) or (float(rare.group("n")) if rare.group("n").isdigit() else 0.0)
        if parts < 2:
            return None
        return Value(rare.group(), 100 / parts, 100 / parts, "percent", relation_before(text, start), None, 0, start, rare.end())
    match = _FRACTION.match(text, start)
    if match is None:
        return None
    top = {"a": 1.0, "an": 1.0, "one": 1.0}.get(match.group("n").lower()) or WORDS[match.group("n").lower()]
    value = 100.0 * top / _PARTS[match.group("d").lower()]
    return Value(match.group(), value, value, "percent", relation_before(text, start), None, 0, start, match.end())


def read_words(text: str, start: int, word: str) -> Value | None:
    """A number written as a word at `start` ("two", "twice", "three hundred"); None when the word is none, or stands for none here."""
    lower = word.lower()
    end = start + len(word)
    if lower == "half" and (article := _HALF_OF.match(text, end)):
        unit, factor, unit_end = _unit(text, article.end())
        if unit in {"second", "byte"}:  # "half a second"
            return Value(text[start:unit_end], factor / 2, factor / 2, unit, relation_before(text, start), None, None, start, unit_end)
    if lower in RATIOS:
        value = RATIOS[lower]
        return Value(text[start:end], value, value, "ratio", relation_before(text, start), None, None, start, end)
    tail = _WORD_UNIT.match(text, end)
    if lower == "one" and not (tail and tail.group("mag") and not tail.group("tens")):
        return None  # a pronoun more often than a count, but for "one million"
    if lower not in WORDS and lower != "one":
        return None
    if text[end : end + 5].lower() == "-shot" or text[end : end + 5].lower() == "-hot ":
        return None
    number = WORDS.get(lower, 1.0)
    if tail is not None and tail.end() > end:
        if tail.group("tens") and number in range(20, 100) and text[end] == "-":
            number += WORDS.get(tail.group("tens"), 1.0)
            end = tail.end()
        if tail.group("mag") and (tail.group("tens") is None or end == tail.end()):
            number *= WORDS[tail.group("mag")]
            end = tail.end()
    unit, factor, unit_end = _unit(text, end)
    if text[end : end + 5].lower() == "-fold" and not _VALIDATION.match(text, end + 5):
        unit, factor, unit_end = "ratio", 1.0, end + 5
    if unit:
        end = unit_end
    elif factor != 1.0:
        number, end = number * factor, unit_end
        factor = 1.0
    value = number * factor
    return Value(text[start:end], value, value, unit, relation_before(text, start), None, None, start, end)
