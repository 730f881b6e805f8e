"""Normalise the question and split it into facets. Imports records and errors; refuses what is empty, hopelessly long or not text.

A facet is a named system, a comparator, a metric, a condition or a data set. Words come from three places: a short lexicon of the field's metrics
and data sets (below, with aliases), the grammar of comparison ("relative to", "versus"), and the names that the library knows.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from sovereign import identity
from sovereign.errors import QuestionRefused
from sovereign.kernel.language import occurs, spelling
from sovereign.records import Facet, FacetKind, Question

MAX_CHARACTERS = 2_000  # the longest seed question has 270; what is longer is a document, not a question

# name -> other spellings; a spelling ending in * stands for any ending of the word
METRICS: dict[str, tuple[str, ...]] = {
    "TTFT": ("ttft", "time to first token", "time-to-first-token", "prefill latency"),
    "TPOT": ("tpot", "time per output token", "time-per-output-token", "inter-token latency", "decode latency"),
    "latency": ("latency", "latencies", "response time", "wall-clock time", "inference time", "inference speed"),
    "speed": ("speed", "faster", "slower", "speed-up", "speedup", "speed up", "speeds up"),
    "throughput": ("throughput", "tokens per second", "tokens/s", "tok/s"),
    "memory": ("memory", "memory efficiency", "memory footprint", "vram", "peak memory", "memory consumption"),
    "FLOPs": ("flops", "flop", "compute cost", "computational cost", "compute budget", "compute"),
    "accuracy": ("accuracy", "accurate*", "quality", "benchmark score*", "overall gain"),
    "gap to the optimum": ("belady", "offline optim*", "optimal policy", "gap"),
    "hit ratio": ("hit ratio", "hit rate", "cache hit*", "miss ratio", "miss rate"),
    "communication": ("communication overhead", "communication", "all-to-all", "traffic", "transfer ratio"),
    "energy": ("energy", "power consumption"),
    "perplexity": ("perplexity",),
    "hallucination": ("hallucination*",),
    "load balance": ("load balanc*", "expert utilization", "expert utilisation"),
    "inference efficiency": ("inference efficiency",),
    "parameter count": ("parameter count", "number of parameters", "model size"),
    "similarity": ("similarity", "similar", "separation", "alike"),
}
DATASETS: dict[str, tuple[str, ...]] = {
    "VQAv2": ("vqav2", "vqa-v2", "vqa v2"),
    "VQA benchmarks": ("vqa benchmarks", "standard vqa benchmarks", "visual question answering"),
    "Visual7W": ("visual7w", "visual-7w"),
    "SNLI-VE": ("snli-ve", "snli ve"),
    "AMBER": ("amber",),
    "MMMU": ("mmmu",),
    "ScienceQA-IMG": ("sqa-img", "scienceqa-img", "scienceqa", "scienceqa image"),
    "NLVR2": ("nlvr2", "nlvr"),
    "multi-modal QA": (
        "mmmu",
        "multimodal tasks",
        "multi-modal qa",
        "multimodal qa",
        "multi-modal question answering",
        "multimodal question answering",
    ),
    "multimodal benchmarks": ("multimodal benchmarks", "multi-modal benchmarks"),
    "visual reasoning": ("visual reasoning",),
    "XSUM": ("xsum",),
    "WMT16": ("wmt16",),
    "Alpaca": ("alpaca",),
    "AIME2024": ("aime2024", "aime 2024"),
    "MMLU": ("mmlu",),
    "GSM8K": ("gsm8k",),
    "HumanEval": ("humaneval",),
    "ShareGPT": ("sharegpt",),
}
COMPARATORS: dict[str, tuple[str, ...]] = {
    "dense models": ("dense baseline*", "dense model*", "dense counterpart*", "dense transformer*"),
    "hard-coded modality routing": (
        "hard-coded modality routing",
        "hard modality routing",
        "hand-crafted routing",
        "modality-specific experts",
        "hard routing",
    ),
    "fixed routing": (
        "fixed routing baseline*",
        "fixed routing",
        "fixed top-k",
        "fixed-8",
        "hard-coded modality routing",
        "hard routing",
        "static routing",
        "fixed-k routing",
    ),
    "modality-agnostic MoE": (
        "modality-agnostic fixed-ratio moe baseline*",
        "modality-agnostic",
        "fixed-ratio moe*",
        "unspecialized",
        "unspecialised",
    ),
    "on-demand loading": ("on-demand loading", "on-demand offloading", "naive offloading"),
    "LRU caching": ("lru", "least recently used", "lru cach*"),
    "full GPU residence": ("all experts on the gpu", "gpu-only", "no offloading", "all-in-gpu", "full residency"),
}
_CONDITIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"batch[- ]sizes?(?:\s+(?:of\s+)?\d+(?:\s*(?:-|to|–)\s*\d+)?)?", "batch size", ("batch size", "batch sizes", "batch-size", "batch")),
    (r"(?:moe\s+)?sparsity levels?", "sparsity level", ("sparsity", "activation ratio", "active experts", "experts active", "top-k")),
    (
        r"(?:expert\s+)?activation budgets?(?:\s+from\s+[\d.]+\s*%\s+to\s+[\d.]+\s*%)?",
        "expert activation budget",
        ("activation budget", "budget", "real experts", "active experts"),
    ),
    (r"latency constraints?", "latency constraint", ("latency constraint", "latency budget", "slo")),
    (r"cache sizes?", "cache size", ("cache size", "cache sizes", "cs4", "cs16", "slots")),
    (r"context lengths?|sequence lengths?|prompt lengths?", "sequence length", ("context length", "sequence length", "prompt length")),
    (
        r"(?:single|one|consumer)[- ]gpus?|edge devices?|jetson(?: orin)?|memory-constrained \w+",
        "hardware",
        ("gpu", "edge", "jetson", "device", "a100", "a40"),
    ),
    (r"(?-i:\b(?:[AHBVTL]\d{1,4}|RTX ?\w+)\b)", "hardware", ("gpu", "device")),
    (r"bandwidth", "bandwidth", ("bandwidth", "gb/s", "pcie")),
    (r"\b(?:prefill|decode|decoding)\b", "inference phase", ("prefill", "decode", "decoding")),
)
_COMPARED = re.compile(
    r"\b(?:relative to|compared? (?:to|with|against)|versus|vs\.?|against|over|than)\s+"
    r"((?:[\w/+-]+\s+){0,5}?(?:baselines?|models?|routing|caching|methods?|systems?|approaches|offloading))\b",
    re.I,
)
# a name: an inner capital, a digit in it, or all capitals; with at least one letter
_NAME = re.compile(
    r"(?<![\w.-])(?:[A-Z][a-z]+(?:[A-Z]\w*)+|[A-Z]{2,}[a-z]+\w*|[a-z]+[A-Z]\w*|[A-Z][A-Z0-9]+|[A-Z]\w*(?=-[\w-]*\d))(?:-[\w.]*\w)*(?!\w)"
)
_HARDWARE = re.compile(r"(?:[AHBVTLP]\d{1,4}[A-Z]?|RTX\w*|Orin|Jetson)\Z")
_NOT_SYSTEMS = frozenset(
    "MOE MOES VLM VLMS LLM LLMS GPU GPUS CPU CPUS QA VQA AI ML NLP FLOP FLOPS TTFT TPOT KV API RAM PCIE SSD LRU LFU SLO AND OR NOT SMOE HOW "
    "WHAT WHY WHEN ARXIV PDF URL DOI MLLM MLLMS FFN IO OOD PCA RL SOTA".split()
)


def ask(text: str, known_names: Mapping[str, str] | None = None) -> Question:
    """The normalised question with its facets. `known_names`: lower-case spelling -> name as the library writes it.

    Raises QuestionRefused with the reason and the mend.
    """
    clean = _normalised(text)
    numbered = identity.parse_arxiv_id(clean) if "." in clean else None
    near, remarks = _near_names(clean, known_names or {})
    facets = [*_systems(clean, known_names or {}), *near, *_comparators(clean), *_listed(clean, METRICS, FacetKind.METRIC)]
    if numbered is not None:
        facets.insert(0, Facet(FacetKind.SYSTEM, f"arXiv:{numbered[0]}", (numbered[0],)))
    facets += [*_conditions(clean), *_listed(clean, DATASETS, FacetKind.DATASET)]
    unique: dict[str, Facet] = {}
    for facet in facets:
        unique.setdefault(facet.id, facet)
    return Question(clean, tuple(unique.values()), remarks)


def _normalised(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        raise QuestionRefused(
            f"The question has {len(text):,} characters; at most {MAX_CHARACTERS:,} can be asked.",
            mend="Ask one question; give longer material with --library or sovereign check.",
            station="question",
        )
    bad = sorted({f"U+{ord(c):04X}" for c in text if unicodedata.category(c) in ("Cc", "Co", "Cs", "Cn") and c not in "\t\n\r"})
    if bad:
        raise QuestionRefused(
            f"The question holds control characters ({', '.join(bad[:3])}).", mend="Type it again as plain text.", station="question"
        )
    clean = " ".join("".join(c for c in unicodedata.normalize("NFC", text) if unicodedata.category(c) != "Cf").split())
    if len(re.findall(r"[^\W\d_]{2,}", clean)) < 2:
        raise QuestionRefused(
            "The question is empty." if not clean else f"{clean!r} is too short to be a question.",
            mend='Try: sovereign ask "How does X compare with Y in Z?"',
            station="question",
        )
    return clean


def _listed(text: str, lexicon: Mapping[str, tuple[str, ...]], kind: FacetKind) -> list[Facet]:
    """Lexicon entries in the text, longest spelling first, so that "memory efficiency" does not also give "efficiency"."""
    found: list[tuple[int, Facet]] = []
    taken: list[tuple[int, int]] = []
    spellings = sorted(((a, name) for name, aliases in lexicon.items() for a in aliases), key=lambda p: -len(p[0]))
    for alias, name in spellings:
        for match in spelling(alias).finditer(text):
            if any(s < match.end() and match.start() < e for s, e in taken):
                continue
            taken.append(match.span())
            found.append((match.start(), Facet(kind, name, tuple(sorted({name.lower(), *lexicon[name]})))))
    return [facet for _, facet in sorted(found, key=lambda f: f[0])]


def _systems(text: str, known: Mapping[str, str]) -> list[Facet]:
    """Names by their shape, and names that the library knows; words of the lexicons and of hardware are no systems."""
    reserved = {a.rstrip("*") for lexicon in (METRICS, DATASETS) for aliases in lexicon.values() for a in aliases}
    found: list[tuple[int, Facet]] = []
    for match in _NAME.finditer(text):
        word = re.sub(r"['’]s$", "", match.group(0))
        lower = word.lower()
        if lower in reserved or _HARDWARE.match(word) or (word.upper() in _NOT_SYSTEMS and lower not in known):
            continue
        name = known.get(lower, word)
        found.append((match.start(), Facet(FacetKind.SYSTEM, name, (name.lower(),))))
    for name in known.values():
        hit = occurs(name, text)
        if hit is not None and name.lower() not in reserved and not any(name.lower() in f.aliases for _, f in found):
            found.append((hit.start(), Facet(FacetKind.SYSTEM, name, (name.lower(),))))
    return [facet for _, facet in sorted(found, key=lambda f: f[0])]


def _near_names(text: str, known: Mapping[str, str]) -> tuple[list[Facet], tuple[str, ...]]:
    """Generic short forms that are one plural away from a known name ("SMOE" / SMoES): both readings are searched, and the draft says so."""
    facets, remarks = [], []
    for word in dict.fromkeys(re.findall(r"(?<![\w-])[A-Z]{3,}(?![\w-])", text)):
        lower = word.lower()
        for other in (f"{lower}s", lower.removesuffix("s")):
            if lower not in known and other != lower and other in known:
                facets.append(Facet(FacetKind.SYSTEM, known[other], (other,)))
                remarks.append(f"\u201c{word}\u201d names no single system; it was also read as {known[other]}.")
    return facets, tuple(remarks)


def _comparators(text: str) -> list[Facet]:
    found = _listed(text, COMPARATORS, FacetKind.COMPARATOR)
    for match in _COMPARED.finditer(text):
        phrase = re.sub(r"^(?:the|a|an|its|their|other)\s+", "", match.group(1).strip(), flags=re.I)
        if not any(spelling(a).search(phrase) for f in found for a in f.aliases) and len(phrase.split()) > 1:
            found.append(Facet(FacetKind.COMPARATOR, phrase, (phrase.lower(),)))
    return found


def _conditions(text: str) -> list[Facet]:
    out = []
    for pattern, name, aliases in _CONDITIONS:
        match = re.search(pattern, text, re.I)
        if match:
            as_written = match.group(0)
            out.append(Facet(FacetKind.CONDITION, as_written if any(c.isdigit() for c in as_written) else name, aliases))
    return out
