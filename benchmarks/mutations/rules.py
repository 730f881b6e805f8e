"""Grammar of the mutation suite: how a true sentence becomes a false one of a stated kind, or a true variant of itself.

May import the suite's own word lists. Refuses to judge a claim, and shares nothing with a verifier. Every rule returns None when it
cannot make a mutant that is certainly not what the sentence says; a rule never guesses.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.mutations import lexicon as words

Rule = Callable[[str, random.Random, "Setting"], "tuple[str, str] | None"]


@dataclass(frozen=True)
class Setting:
    """What a rule may draw on besides the sentence. names_here: names in the same source; names_elsewhere: names of other sources."""

    source: str
    names_here: tuple[str, ...] = ()
    names_elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class Number:
    """One changeable number: offsets, value, digits after the point, and the words on either side of it."""

    start: int
    end: int
    value: float
    decimals: int
    before: str
    after: str


_NUMBER = re.compile(
    r"(?<![\w.,^$\-–~/:])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w-]|[.,]\d|\$|\s?\^)(?!\s?(?:bit|-))|(?<![\w.,^$\-–/:])(\d+)(\.\d+)?(?=[x×]\b|[x×](?=\s))"
)
_NAME = re.compile(r"\b(?:[A-Z][a-z]+[A-Z0-9][\w]*|[A-Z]{2,}[a-z]+[\w]*|[A-Z][A-Za-z]*\d[\w.]*|[A-Z]{3,})(?:-[\w.]+)*\b")
_YEAR = re.compile(r"^(?:19|20)\d\d$")


def numbers(sentence: str) -> list[Number]:
    """Numbers that stand for a quantity. Left out: years, citations, section and figure numbers, parts of names, exponents."""
    found = []
    for match in _NUMBER.finditer(sentence):
        text = match.group(0)
        before, after = sentence[: match.start()], sentence[match.end() :]
        if _YEAR.match(text) or re.search(
            r"(?:Fig(?:ure)?|Table|Sec(?:tion)?|Eq|Appendix|Algorithm|Step|version|v|p <|p=|pages)\.?\s*$", before, re.I
        ):
            continue
        opened = before.rfind("[")
        if opened > before.rfind("]") and re.fullmatch(r"[\d,;\s–-]*", before[opened + 1 :]) and "]" in after:
            continue  # inside citation brackets
        if re.search(r"\d,\s$", before) and len(text) == 3:
            continue  # "19, 415": a thousands mark with a space
        if before.rstrip().endswith(("[", "(", ";", "{")) and after.startswith(("]", ")", ",", ";", "}")):
            continue
        if re.search(r"[A-Z][\w]*\s$", before) and not re.match(r"\s?(?:%|x|×|GB|MB|ms|points|tokens|times|GPU|expert)", after):
            continue  # "Qwen 3", "Claude 4": part of a name
        decimals = len(text.partition(".")[2])
        found.append(Number(match.start(), match.end(), float(text.replace(",", "")), decimals, before, after))
    return found


def names(sentence: str) -> list[str]:
    """Named systems, data sets and machines, in order, each once."""
    seen: dict[str, None] = {}
    for match in _NAME.finditer(sentence):
        if match.group(0) not in words.NOT_NAMES:
            seen.setdefault(match.group(0))
    return list(seen)


def systems(text: str) -> list[str]:
    """Names that can be the subject of a statement: not plain acronyms, data sets, machines or compounds of adjectives."""
    kept = []
    for name in names(text):
        mixed = re.search(r"[a-z]", name) and (re.search(r"\d", name) or len(re.findall(r"[A-Z]", name)) > 1)
        if not mixed or name in words.DATASETS or name in words.HARDWARE:
            continue
        if not name.endswith(words.NOT_A_SYSTEM) and not re.fullmatch(r"[A-Z]{2,}s", name):
            kept.append(name)
    return kept


def _write(value: float, decimals: int, like: str) -> str:
    return f"{value:,.{decimals}f}" if "," in like else f"{value:.{decimals}f}"


def _put(sentence: str, number: Number, text: str) -> str:
    return sentence[: number.start] + text + sentence[number.end :]


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _pick(items: Sequence[Number], rng: random.Random) -> Number | None:
    return rng.choice(list(items)) if items else None


def change_number(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """Another value of the same order: 15-60 % away, and on the side that a stated bound does not cover."""
    number = _pick([n for n in numbers(sentence) if n.value > 1 or n.decimals], rng)
    if number is None or number.value == 0:
        return None
    factor = rng.uniform(1.18, 1.6)
    lower_bound = re.search(r"(?:at least|over|more than|above|exceed\w*|beyond)\s*$", number.before)
    upper_bound = re.search(r"(?:at most|under|less than|below|within|up to)\s*$", number.before)
    down = bool(upper_bound) or (not lower_bound and rng.random() < 0.5)
    value = number.value / factor if down else number.value * factor
    if re.match(r"\s?\\?%", number.after) and number.value <= 100 < value:
        value = number.value / factor
    text = _write(value, number.decimals, sentence[number.start : number.end])
    if float(text.replace(",", "")) == number.value or re.search(rf"(?<![\d.]){re.escape(text)}(?![\d.]\d)", setting.source):
        return None
    return _put(sentence, number, text), f"{sentence[number.start : number.end]} -> {text}"


def change_magnitude(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """The decimal point moved by one or two places; the digits stay."""
    number = _pick([n for n in numbers(sentence) if n.value >= 2 or (n.decimals and n.value > 0)], rng)
    if number is None:
        return None
    percent = re.match(r"\s?\\?%", number.after)
    up = not percent and rng.random() < 0.5
    steps = rng.choice((1, 1, 2))
    value = number.value * 10**steps if up else number.value / 10**steps
    decimals = max(0, number.decimals - steps) if up else number.decimals + steps
    if not up and re.search(r"(?:at least|over|more than|above)\s*$", number.before):
        return None
    if up and re.search(r"(?:at most|under|less than|below|up to)\s*$", number.before):
        return None
    text = _write(value, decimals, sentence[number.start : number.end])
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return _put(sentence, number, text), f"{sentence[number.start : number.end]} -> {text}"


def change_unit(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """The same figure with another unit (percent to times, ms to s, GB to MB)."""
    options = [(pattern, new) for pattern, new in words.UNIT_SWAPS if re.search(pattern, sentence)]
    if not options:
        return None
    pattern, new = rng.choice(options)
    if re.search(r"\bbillion|\bmillion|\btrillion", new) and re.search(r"\bparameter-", sentence):
        return None
    return re.sub(pattern, new, sentence, count=1), f"unit became{new}"


def flip_direction(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """One word of direction or rank replaced by its opposite; sentences with several such words are left out, as flips may cancel."""
    hits = [(m, new) for old, new in words.OPPOSITES for m in re.finditer(rf"(?<![-\w]){re.escape(old)}(?![-\w])", sentence)]
    hits = [(m, new) for m, new in hits if m.group(0) not in words.IDIOMATIC or re.match(words.AMOUNT_FOLLOWS, sentence[m.end() :])]
    if not hits or len(hits) > 2:
        return None
    match, new = rng.choice(hits)
    return sentence[: match.start()] + new + sentence[match.end() :], f"{match.group(0)} -> {new}"


def negate(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """ "not" put into the main clause, or taken out of it. Sentences with "only", "no" or two negations are left out."""
    if re.search(r"\b(?:only|no|never|neither|nor|without|none|unless|whether|if|hardly)\b", sentence, re.I):
        return None
    nots = list(re.finditer(r"\b(?:does not|do not|cannot|not)\b", sentence))
    if nots:
        if len(nots) > 1 or nots[0].group(0) in ("does not", "do not"):
            return _unnegate(sentence) if len(nots) == 1 else None
        text = sentence.replace("cannot", "can") if nots[0].group(0) == "cannot" else sentence.replace(" not ", " ", 1)
        return (text, "negation taken out") if text != sentence else None
    for verb, base in words.FINITE_VERBS.items():
        if (
            re.search(rf"\b{verb}\b(?=\s(?!\w+\s(?:of|in)\s\w+\s(?:is|are))[\w(])", sentence)
            and len(re.findall(rf"\b{verb}\b", sentence)) == 1
        ):
            return re.sub(rf"\b{verb}\b", f"does not {base}", sentence), f"{verb} -> does not {base}"
    for aux in words.AUXILIARIES:
        hits = re.findall(rf"\b{aux}\b", sentence)
        if len(hits) == 1:
            new = "cannot" if aux == "can" else (aux.replace(" been", " not been") if " " in aux else f"{aux} not")
            return re.sub(rf"\b{aux}\b", new, sentence), f"{aux} -> {new}"
    return None


def _unnegate(sentence: str) -> tuple[str, str] | None:
    match = re.search(r"\bdoes not (\w+)\b", sentence)
    if not match:
        return None
    verb = third_person(match.group(1))
    return sentence[: match.start()] + verb + sentence[match.end() :], "negation taken out"


def third_person(verb: str) -> str:
    """Third person singular of a regular verb, and of "have", "do", "be"."""
    irregular = {"have": "has", "do": "does", "be": "is", "go": "goes"}
    if verb in irregular:
        return irregular[verb]
    if verb.endswith(("s", "x", "ch", "sh", "z")):
        return verb + "es"
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


def akin(a: str, b: str) -> bool:
    """True for spellings or members of one family: FT-Transformer and FTTransformer, ViT and ViTs, LLaMA and LLaMA-30b."""
    x, y = (re.sub(r"[^a-z0-9]", "", n.lower()) for n in (a, b))
    return x in y or y in x


def change_subject(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """The first named system replaced by another: one of the same source where there is one, else one of another source."""
    here = systems(sentence)
    if not here or sentence.find(here[0]) > len(sentence) * 0.6:
        return None
    near = [n for n in setting.names_here if n not in here and not akin(n, here[0])]
    pool = near or [n for n in setting.names_elsewhere if n not in setting.source and not akin(n, here[0])]
    if not pool:
        return None
    new = rng.choice(pool)
    text = re.sub(rf"(?<![\w-]){re.escape(here[0])}(?![\w-])", new, sentence)
    return (text, f"{here[0]} -> {new}") if text != sentence else None


def swap_compared(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """The two named sides of a comparison exchanged."""
    if any(re.search(rf"\b{re.escape(w)}", sentence, re.I) for w in words.SYMMETRIC):
        return None
    for pivot in words.SWAP_AROUND:
        match = re.search(rf"\b{pivot}\b", sentence)
        if not match:
            continue
        left, right = systems(sentence[: match.start()]), systems(sentence[match.end() :])
        if len(left) != 1 or len(right) != 1 or left[0] == right[0] or left[0] in right[0] or right[0] in left[0]:
            continue
        if match.start() - sentence.find(left[0]) > 120 or sentence.find(right[0], match.end()) - match.end() > 40:
            continue
        mark = "\x00"
        text = sentence.replace(left[0], mark).replace(right[0], left[0]).replace(mark, right[0])
        return text, f"{left[0]} <-> {right[0]}"
    return None


def _kind_of(number: Number) -> str:
    match = re.match(r"\s?(\\?%|x\b|×|points|GB|MB|ms|s\b|tokens/s|billion|million|[a-z]+)?", number.after)
    return (match.group(1) or "") if match else ""


def swap_numbers(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """Two values of one kind exchanged. Plain lists ("4, 8 and 16 GPUs") and ranges are left out: exchanged they say the same."""
    found = numbers(sentence)
    pairs = []
    for i, a in enumerate(found):
        for b in found[i + 1 :]:
            between = sentence[a.end : b.start]
            plain = re.fullmatch(r"(?:\s?(?:x|pp|ms|GB|B|M|K|points))?[\s\d.,/×%\\–~+-]*(?:and|or|to|x)?[\s\d.,+]*", between)
            listed = plain and not re.search(r"\brespectively\b|\bfrom\s*$", sentence[b.end :] + " " + a.before[-6:])
            if (
                listed
                or abs(a.value - b.value) <= 0.06 * max(a.value, b.value)
                or re.search(r"\b(?:between|rang\w+ from|from about)\s*$", a.before)
            ):
                continue
            ka, kb = _kind_of(a), _kind_of(b)
            if ka == kb or {ka, kb} <= {"", "and", "on", "in", "to", "for", "with", "at", "while", "after"}:
                pairs.append((a, b))
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    ta, tb = sentence[a.start : a.end], sentence[b.start : b.end]
    return sentence[: a.start] + tb + sentence[a.end : b.start] + ta + sentence[b.end :], f"{ta} <-> {tb}"


def widen_scope(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """A quantifier or a stated maximum made general, or the named setting at the head replaced by "every"."""
    for pattern, new in words.SCOPE_SWAPS:
        if re.search(pattern, sentence):
            return re.sub(pattern, new, sentence, count=1), f"widened to {new}"
    match = re.match(r"(On|With|For|Under) ((?:the )?[A-Z][\w.-]*(?:\s[A-Z\d][\w.-]*)?), ", sentence)
    if match and names(match.group(2)):
        return f"On every model and every data set, {sentence[match.end() :]}", "setting at the head made general"
    return None


def change_condition(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """The batch size, machine or data set of the statement replaced by another of its kind."""
    match = re.search(r"\b(batch(?: size)?(?: of)?) (\d+)\b", sentence)
    if match:
        new = str(int(match.group(2)) * rng.choice((2, 4, 8)))
        return sentence[: match.start(2)] + new + sentence[match.end(2) :], f"{match.group(0)} -> {new}"
    for pool in (words.HARDWARE, words.DATASETS):
        here = [w for w in pool if re.search(rf"(?<![\w-]){re.escape(w)}(?![\w-])", sentence)]
        if here:
            old = rng.choice(here)
            choices = [w for w in pool if w not in setting.source]
            if choices:
                new = rng.choice(choices)
                return re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", new, sentence), f"{old} -> {new}"
    return None


def drop_hedge(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """A modal or an adverb of doubt removed."""
    for pattern, new in words.HEDGES:
        match = re.search(pattern, sentence)
        if not match:
            continue
        if "{v}" in new:
            if match.group(1) in ("not", "also", "be", "have", "even", "still", "only") or match.group(1).endswith("ly"):
                continue
            plural = re.search(r"[a-z]{3,}s\s$", sentence[: match.start()]) and not re.search(r"ss\s$", sentence[: match.start()])
            new = match.group(1) if plural else third_person(match.group(1))
        return sentence[: match.start()] + new + sentence[match.end() :], f"{match.group(0)} -> {new}"
    return None


def verbatim(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """The sentence itself."""
    return sentence, "unchanged"


def trim(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """An opener, a parenthesis without figures, or a closing participle clause taken off; what remains still holds."""
    text = sentence
    for opener in words.OPENERS:
        if text.startswith(opener + ", "):
            text = _first_upper(text[len(opener) + 2 :])
            break
    text = re.sub(r"\s\((?![^)]*\d)[^)]{1,60}\)", "", text)
    text = re.sub(r", (?:demonstrating|showing|highlighting|indicating|which shows|suggesting|confirming|making)\b[^,;:]*\.$", ".", text)
    return (text, "trimmed") if text != sentence and len(text.split()) >= 5 else None


def reorder(sentence: str, rng: random.Random, setting: Setting) -> tuple[str, str] | None:
    """A short adverbial moved from the head to the end or the other way; the words stay."""
    head = re.match(r"((?:On|At|With|For|Under|In) [^,;:]{3,40}), ([^,;:]+)\.$", sentence)
    if head and head.group(1) not in words.CONNECTIVES and not re.match(r"(?:In this|In doing|In our) ", head.group(1)):
        rest = head.group(2)
        return f"{_first_upper(rest)} {head.group(1)[0].lower()}{head.group(1)[1:]}.", "adverbial moved to the end"
    tail = re.match(r"([^,;:]{15,}) ((?:on|at|under|across) (?!\d)(?:a |an |the )?[\w.-]+(?: [\w.-]+){0,3})\.$", sentence)
    twice = tail and re.search(r"\b(?:on|at|under|across|by|and|while|whereas|but)\b", tail.group(1)[8:])
    if (
        tail
        and not twice
        and not re.search(r"\bby\b|\d\s?%", tail.group(2))
        and not re.search(r"\b(?:based|depends?|focus\w*|trained)$", tail.group(1))
    ):
        rest = tail.group(1)
        first = rest.split()[0]
        common = first.isalpha() and first[1:] == first[1:].lower() and not re.search(rf"[a-z,] {first}\b", setting.source)
        if common and first not in words.SENTENCE_OPENERS:
            return None
        rest = rest[0].lower() + rest[1:] if common else rest
        return f"{_first_upper(tail.group(2))}, {rest}.", "adverbial moved to the head"
    return None


MUTANTS: dict[str, Rule] = {
    "number": change_number,
    "unit": change_unit,
    "magnitude": change_magnitude,
    "direction": flip_direction,
    "negation": negate,
    "subject": change_subject,
    "comparator_swap": swap_compared,
    "number_swap": swap_numbers,
    "scope_widened": widen_scope,
    "condition_changed": change_condition,
    "hedge_dropped": drop_hedge,
}
VARIANTS: dict[str, Rule] = {"verbatim": verbatim, "trimmed": trim, "reordered": reorder}

_REFUSED = ("CONTRADICTED", "NOT_FOUND", "UNRESOLVED")
ACCEPTABLE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(MUTANTS, _REFUSED),
    "scope_widened": (*_REFUSED, "QUALIFIED"),
    "condition_changed": (*_REFUSED, "QUALIFIED"),
    "hedge_dropped": (*_REFUSED, "QUALIFIED"),
    **dict.fromkeys(VARIANTS, ("SUPPORTED",)),
}
