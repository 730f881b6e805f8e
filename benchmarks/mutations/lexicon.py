"""Word lists of the mutation rules. They are this suite's own: no list is shared with, or imported from, any verifier.

Imports nothing.
"""

OPPOSITES: tuple[tuple[str, str], ...] = (
    ("increases", "decreases"), ("increase", "decrease"), ("increased", "decreased"), ("increasing", "decreasing"),
    ("reduces", "increases"), ("reduce", "increase"), ("reduced", "increased"), ("reducing", "increasing"), ("reduction", "increase"),
    ("improves", "worsens"), ("improve", "worsen"), ("improved", "worsened"), ("improving", "worsening"), ("improvement", "deterioration"),
    ("improvements", "deteriorations"), ("raises", "lowers"), ("lowers", "raises"), ("lowering", "raising"), ("rises", "falls"),
    ("falls", "rises"), ("grows", "shrinks"), ("shrinks", "grows"), ("drops", "climbs"), ("climbs", "drops"), ("higher", "lower"),
    ("lower", "higher"), ("faster", "slower"), ("slower", "faster"), ("larger", "smaller"), ("smaller", "larger"), ("better", "worse"),
    ("worse", "better"), ("fewer", "more"), ("above", "below"), ("below", "above"), ("exceeds", "falls short of"),
    ("exceeding", "falling short of"), ("outperforms", "underperforms"), ("outperform", "underperform"), ("outperforming", "underperforming"),
    ("surpasses", "falls short of"), ("surpass", "fall short of"), ("beats", "loses to"), ("loses", "gains"), ("gains of", "losses of"),
    ("gain of", "loss of"), ("accelerates", "slows down"), ("accelerating", "slowing down"), ("speedup", "slowdown"),
    ("speedups", "slowdowns"), ("speed-up", "slow-down"), ("saves", "wastes"), ("saving", "wasting"), ("savings", "extra costs"),
    ("shorter", "longer"), ("longer", "shorter"), ("best", "worst"), ("highest", "lowest"), ("lowest", "highest"), ("fastest", "slowest"),
    ("strengthens", "weakens"), ("weakens", "strengthens"), ("maximum", "minimum"), ("doubles", "halves"), ("halves", "doubles"),
    ("cuts", "raises"), ("cutting", "raising"), ("boosts", "depresses"), ("boosting", "depressing"), ("degrades", "improves"),
    ("decreases", "increases"), ("decrease", "increase"), ("decreased", "increased"), ("decreasing", "increasing"),
)  # fmt: skip

FINITE_VERBS: dict[str, str] = {
    "achieves": "achieve", "reaches": "reach", "requires": "require", "needs": "need", "uses": "use", "reduces": "reduce",
    "improves": "improve", "increases": "increase", "outperforms": "outperform", "delivers": "deliver", "yields": "yield",
    "scores": "score", "matches": "match", "beats": "beat", "exceeds": "exceed", "enables": "enable", "provides": "provide",
    "supports": "support", "surpasses": "surpass", "obtains": "obtain", "attains": "attain", "lowers": "lower", "raises": "raise",
    "takes": "take", "keeps": "keep", "drops": "drop", "falls": "fall", "rises": "rise", "changes": "change", "compresses": "compress",
    "runs": "run", "removes": "remove", "maintains": "maintain", "outpaces": "outpace", "consumes": "consume", "generates": "generate",
}  # fmt: skip

AUXILIARIES: tuple[str, ...] = ("is", "are", "was", "were", "can", "has been", "have been")

UNIT_SWAPS: tuple[tuple[str, str], ...] = (
    (r"(?<=\d)\s?ms\b", " s"), (r"(?<=\d)\s?GB\b", " MB"), (r"(?<=\d)\s?MB\b", " GB"), (r"(?<=\d)\s?tokens/s\b", " tokens/min"),
    (r"(?<=\d)\s?(?:x|×)(?![\w\d])", "%"), (r"(?<=\d)\s?(?:\\)?%", "x"), (r"(?<=\d)\s?percentage points\b", " times"),
    (r"(?<=\d)\s?points\b", " times"), (r"(?<=\d)\s?billion\b", " million"), (r"(?<=\d)\s?million\b", " billion"),
    (r"(?<=\d)\s?trillion\b", " million"), (r"(?<=\d)\s?minutes\b", " hours"), (r"(?<=\d)\s?hours\b", " minutes"),
    (r"(?<=\d)\s?s\b(?!/)", " ms"), (r"(?<=\d)\s?times\b", " percent"), (r"(?<=\d)\s?seconds\b", " milliseconds"),
)  # fmt: skip

SCOPE_SWAPS: tuple[tuple[str, str], ...] = (
    (r"\bby up to\b", "by an average of"), (r"\bup to\b", "on average"), (r"\bin most cases\b", "in every case"),
    (r"\bmost of\b", "all of"), (r"\bmost\b(?=\s+[a-z]+s\b)", "all"), (r"\bsome\b(?=\s+[a-z]+s\b)", "all"),
    (r"\bin some\b", "in all"), (r"\bin certain\b", "in all"), 
    (r"\b(?:several|many)\b(?= (?:models|tasks|benchmarks|settings|datasets|cases|workloads|scenarios)\b)", "all"), (r"\boften\b", "always"),
    (r"\busually\b", "always"), (r"\btypically\b", "always"), (r"\bgenerally\b", "always"),
    (r"\bon average\b", "in every single case"), (r"\bsometimes\b", "always"),
)  # fmt: skip

# A modal or an adverb of doubt, and what a claim without the doubt would say. "{v}" is the verb that follows.
HEDGES: tuple[tuple[str, str], ...] = (
    (r"\b(?:may|might|could) be\b", "is"), (r"\b(?:may|might|could) ([a-z]+)\b", "{v}"), (r"\bappears? to be\b", "is"),
    (r"\bseems? to be\b", "is"), (r"\bsuggests that\b", "proves that"),
    (r"\bsuggest that\b", "prove that"), (r"\bsuggesting that\b", "proving that"),
    (r"\bis likely to\b", "is certain to"), (r"\bis probably\b", "is certainly"), (r"\bpotentially\b", "certainly"),
    (r"\bis possibly\b", "is certainly"),
)  # fmt: skip

SWAP_AROUND: tuple[str, ...] = (
    "outperforms", "outperform", "surpasses", "surpass", "beats", "exceeds", "outperforming", "than", "compared to", "compared with",
    "relative to", "whereas", "while",
)  # fmt: skip

SYMMETRIC: tuple[str, ...] = ("match", "comparable", "similar", "equal", "equivalent", "same", "on par", "as well as", "tie")

DATASETS: tuple[str, ...] = ("MMLU", "GSM8K", "HumanEval", "XSum", "ScienceQA", "MMMU", "WikiText-103", "AlpacaEval", "MATH", "ImageNet")
HARDWARE: tuple[str, ...] = ("A100", "H100", "H200", "A40", "RTX 4090", "RTX 3090", "V100", "T4", "Jetson Orin Nano", "L40S")

OPENERS: tuple[str, ...] = (
    "Furthermore", "Moreover", "In addition", "Additionally", "As a result", "Specifically", "Notably", "Concretely", "Finally", "Overall",
    "Importantly", "However", "In particular", "Consequently", "Empirically", "Crucially", "Remarkably",
)  # fmt: skip

NOT_SELF_CONTAINED: tuple[str, ...] = ("this", "these", "it", "they", "their", "that", "such", "both", "here", "there", "its", "the former")

# Capitalised tokens that are not systems, data sets or machines.
NOT_NAMES: frozenset[str] = frozenset(
    "GPU GPUs CPU CPUs LLM LLMs MoE MoEs SMoE VLM VLMs MLLM MLLMs RAM VRAM SSD KV FLOP FLOPs IO I/O API AI NLP QA RL SFT LoRA "
    "BF16 FP16 FP8 INT4 INT8 FP32 NPU NPUs TPU TPUs SOTA PPL TTFT TPOT DRAM HBM PCIe NVLink ML DL EP TP DP PP FFN MLP".split()
)

# Ends of compounds that look like names and are not systems.
NOT_A_SYSTEM: tuple[str, ...] = (
    "-based",
    "-only",
    "-enhanced",
    "-level",
    "-aware",
    "-free",
    "-wise",
    "-bit",
    "-style",
    "-bench",
    "-Bench",
    "Bench",
    "QA",
)

# First words of a sentence that lose their capital when something is put before them.
SENTENCE_OPENERS: frozenset[str] = frozenset(
    "The A An Its Our We Without Accuracy Latency Decoding Throughput Experiments Extensive Results Applying Using Inference Training".split()
)

# Heads of a sentence that connect it to the one before and do not belong at its end.
CONNECTIVES: frozenset[str] = frozenset(
    {
        "In addition", "In contrast", "In particular", "In general", "In total", "In short", "In turn", "In practice", "In summary",
        "For example", "For instance", "On the contrary", "On the other hand", "At the same time", "On average", "At its core",
    }
)  # fmt: skip

# Words of direction that are also idioms ("falls squarely in"); flipped only where an amount or a cause follows.
IDIOMATIC: frozenset[str] = frozenset({"falls", "rises", "drops", "climbs", "cuts", "cutting", "grows", "shrinks", "above", "below"})
AMOUNT_FOLLOWS = r"\s(?:by|from|to|as|with|when|off|that of|the|its|their|\d)\b"
