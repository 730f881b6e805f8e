"""Named systems, models and data sets in running text, and when two names are the same. Imports the standard library only; knows no particular system."""

from __future__ import annotations

import re
from functools import lru_cache

_PIECE = r"[A-Za-z0-9]+(?:\.\d+)?"
# A word with an inner capital, a digit beside letters, or all capitals; hyphenated parts belong to it.
_COMPOUND = re.compile(
    r"(?<![\w@])[A-Za-z][A-Za-z0-9]*(?:[-/_.+@][A-Za-z0-9]+)*\+{0,2}(?![\w])|(?<![\w.])\d+[A-Za-z]*(?:[-x×][A-Za-z0-9]+)+(?!\w)"
)
_COMMON_ACRONYMS = frozenset(
    """
    llm llms moe moes vlm vlms mllm mllms gpu gpus cpu cpus tpu tpus nlp nlg nlu ai ml dl rl rlhf api apis ram vram ssd pcie hbm ttft tpot
    flops flop kv mlp mlps ffn ffns cnn cnns rnn rnns lstm lstms gan gans sgd ema pca svd gmm kl mi lr bs cs auc auroc auprc roc map iou
    ndcg mrr bleu rouge wer cer fid psnr ssim mae mse rmse ppl acc em id ids ood iid qa vqa ocr asr tts ner pos sft dpo ppo cot rag json
    html pdf url us uk eu usa i ii iii iv vs db os io i/o fp int bf slo slos sota sd std ci cis ep tp dp pp hz dna rna mrna pcr hiv bmi
    ckd icu rct copd mri ct ecg eeg bp hr or rr p f r n k w d e x y z t b l s m h q v a c ok pde pdes ode odes gnn gnns dnn dnns ann svm
    svms knn bm tf idf tf-idf seq2seq e2e f1 fig eq ss zero-shot 2d 3d 1d pre-ln post-ln xai iot hpc fpga fpgas asic asics nn nns bpe dae
    vae vaes mt nmt smt st kg kgs
    """.split()
)
_CAPITAL_WORDS = frozenset(
    """the a an this that these those it its they we our us i in on at by for with from to as of and or but if is are was were be not no
    all each both some most many few more less than
    table figure fig section sec appendix eq equation algorithm theorem lemma chapter step stage phase part layer et al e.g i.e note notes
    january february march april may june july august
    september october november december monday tuesday wednesday thursday friday saturday sunday english chinese german french spanish
    japanese russian korean arabic italian dutch european
    american asian african bayesian gaussian markov euclidean fourier laplace poisson bernoulli hamming cosine kullback leibler wasserstein
    jensen shannon monte carlo cohen pearson spearman
    here there when where while however moreover furthermore additionally finally first second third next then thus hence therefore
    although though because since after before during under over
    using given based compared unlike like such recent previous prior existing current our their its his her results experiments
    experimental evaluation method methods model models data
    abstract introduction conclusion discussion related background limitations future works work paper study what which who how why can may
    might will would should could do does did has have had
    mixture transformer transformers attention routing expert experts vision language large small deep neural network networks learning
    training inference""".split()
)  # fmt: skip
_FAMILIES = frozenset(
    """
    mixtral mistral llama qwen gemma gemini claude phi falcon bert gpt vicuna alpaca switch arctic grok pythia bloom chinchilla jamba
    deepseek moonlight ling opt vit clip llava jetson orin ampere hopper volta turing nvidia amd intel raspberry adam medusa eagle
    rtx gtx geforce radeon xeon epyc titan lookahead squad imagenet cifar mnist glue superglue
    """.split()
)
_NUMBERED = re.compile(r"[ ](?=[A-Z0-9v])(?:v?\d+(?:\.\d+)*[A-Za-z]?(?:[-x×][A-Za-z0-9]+)*|[A-Z][a-z]+(?=\b))")
_VERSION_AFTER = re.compile(
    r"[ ](?P<v>v?\d+(?:\.\d+)?(?:[-x×]\d*[A-Za-z]?\d*)*[BbMm]?)(?![\w%×])(?!\s?(?:%"
    r"|percent|points|times|×|ms|s\b|GB|MB|layers|experts|devices|GPUs|tokens|to\b|and\b))"
)
_RATE = re.compile(r"^(?:[KMGTkm]?[Bb](?:it|ps)?|tok(?:en)?s?|req(?:uest)?s?|samples?|images?|frames?)/(?:s|sec|second|h|token)$")
_POWER = re.compile(r"^\d+(?:\.\d+)?[eE]-?\d+$")
_SIZE = re.compile(
    r"^\d+(?:\.\d+)?[kKMBT]$|^\d+(?:st|nd|rd|th)$|^\d+(?:x|×)$|^\d+(?:ms|s|GB|MB|KB|TB|B|K|M|h|bit|bits)$|^\d+[-–]\d+%?$|^\d+-[a-z]+$|^\d+[a-z]+$"
)


def spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of names as written, in order, not overlapping."""
    out: list[tuple[int, int]] = []
    for match in _COMPOUND.finditer(text):
        start, end = match.span()
        if out and start < out[-1][1]:
            continue
        word = match.group()
        if (found := _PHRASE.match(text, start)) is not None:
            out.append(found.span())
            continue
        while word and word[-1] in "./-_":
            word, end = word[:-1], end - 1
        if not _is_name(text, word, start):
            continue
        start, end = _trim(word, start, end)
        out.append((start, _with_version(text, text[start:end], end)))
    return _join(text, out)


_TAIL_WORDS = re.compile(
    r"(?:-(?:based|style|like|only|aware|guided|wise|level|tuned|trained|specific"
    r"|free|driven|type|optimal|class|family|agnostic|scale|inspired|compatible))+$"
)
_LEAD_WORDS = re.compile(r"^(?:non|pre|post|anti|multi|semi)-(?=[A-Z])")


def _trim(word: str, start: int, end: int) -> tuple[int, int]:
    """Without adjective endings: "OLMoE-based" names OLMoE."""
    if match := _TAIL_WORDS.search(word):
        end -= len(match.group())
    if match := _LEAD_WORDS.search(word):
        start += match.end()
    return start, end


def _is_name(text: str, word: str, start: int) -> bool:
    bare = _TAIL_WORDS.sub("", word)
    lower = bare.lower()
    if _ET_AL.match(text, start) or _OF_MOE.match(bare):
        return True
    if (
        len(bare) < 2
        or lower in _COMMON_ACRONYMS
        or lower in _CAPITAL_WORDS
        or _SIZE.match(bare)
        or _RATE.match(bare)
        or _POWER.match(bare)
    ):
        return False
    if bare.replace("'", "").islower():
        return (
            any(c.isdigit() for c in bare)
            and bool(re.match(r"^[a-z]{2,}[a-z0-9]*[-_.]?\d", bare))
            and not re.match(
                r"^(?:top|batch|layer|step|p|k|n|r|bs|cs|int|fp|bf|int|pass|recall|ndcg|hit|hits|map|acc|at|level|order|rank|stage|phase)[-@_.=]?\d",
                bare,
            )
        )
    if re.search(r"[a-z0-9][A-Z]", bare) or re.search(r"[A-Z]{2}", bare) or (re.search(r"\d", bare) and re.search(r"[A-Z]", bare)):
        return not re.match(
            r"^(?:F1|F2|P@\d+|R@\d+|k?NDCG@?\d*|nDCG(?:@\d+)?|mAP(?:@[\d.]+)?|ROUGE-[\dL]|BLEU-?\d?|Pass@\d+|Hits?@\d+|mIoU|[A-Z]\d?)$",
            bare,
        ) and not all(
            part.lower() in _COMMON_ACRONYMS or part.lower() in _CAPITAL_WORDS or (part.isalpha() and part.islower())
            for part in re.split(r"[-/]", bare)
        )
    if "-" in bare and any(p[:1].isupper() for p in bare.split("-")[1:]):
        return not all(p.lower() in _CAPITAL_WORDS or p.lower() in _COMMON_ACRONYMS for p in bare.split("-"))
    if "-" in bare and bare.split("-")[0].lower() in _FAMILIES:
        return True
    if bare[0].isupper() and bare[1:].islower():
        if _SERIES.match(text, start + len(word)) or _ET_AL.match(text, start):
            return True
        return lower in _FAMILIES or (_mid_sentence(text, start) and lower not in _CAPITAL_WORDS and "-" not in bare)
    return False


def _mid_sentence(text: str, start: int) -> bool:
    """A capital inside a sentence marks a name; after a stop, a colon, a bracket or at the start it need not."""
    before = text[:start].rstrip()[-1:] if start else ""
    return bool(before) and before not in '.!?:;|#*"“(•' and text[start - 1] not in "\n"


_SERIES = re.compile(r" v?\d+(?:\.\d+)? (?=[A-Z][a-z]+\b)[A-Z][a-z]+")
_PHRASE = re.compile(r"[A-Z][a-z]+-[a-z]+ S?MoEs?\b")  # "Pre-gated MoE"
_OF_MOE = re.compile(r"^[A-Z][A-Za-z0-9]{0,9}-S?MoEs?$")  # "ST-MoE": its parts are common short forms, the whole is a name
_ET_AL = re.compile(r"\b([A-Z][a-zA-Z'’\-]+)(?= et al\b)")


def _with_version(text: str, word: str, end: int) -> int:
    """ "Llama 2", "Mixtral 8x7B", "Jetson Orin": the number or capitalised word that completes a family name."""
    series = _SERIES.match(text, end)
    if series and word[:1].isupper() and word[1:].islower():
        return series.end()
    match = _VERSION_AFTER.match(text, end)
    if match and (word.lower() in _FAMILIES or re.match(r"^\d+x\d+|^\d+×\d+|^v\d", match.group("v"))):
        return match.end()
    return end


def _join(text: str, found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbouring capitalised words are one name ("Jetson Orin"); compounds with inner capitals stay apart."""
    out: list[tuple[int, int]] = []
    for start, end in found:
        if out and text[out[-1][1] : start] == " " and _plain(text[out[-1][0] : out[-1][1]]) and _plain(text[start:end]):
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def _plain(word: str) -> bool:
    return all(p[:1].isupper() and (p[1:].islower() or not p[1:]) for p in word.split(" "))


def names(text: str) -> tuple[str, ...]:
    """Names as written, each once per canonical form, in order."""
    seen: dict[str, str] = {}
    for start, end in spans(text):
        written = text[start:end]
        seen.setdefault(alias_key(written), written)
    return tuple(seen.values())


@lru_cache(maxsize=65536)
def alias_key(name: str) -> str:
    """Canonical form: case, hyphens and blanks do not count ("VQA-v2" = "VQAv2"; "SMOES" = "SMoES"); the plural s of an acronym does not
    either ("SMoEs" = "SMoE").

    A lower-case s after a capital is a plural, a capital S is part of the name: SMoES and SMoE stay different.
    """
    text = name.strip().replace("×", "x").replace("’", "'").removesuffix("'s")
    if len(text) > 2 and text.endswith("s") and (text[-2].isupper() or (len(text) > 3 and text[-2] == "E" and text[-3] == "o")):
        text = text[:-1]
    if len(text) > 2 and text.endswith("s") and text[-2].isdigit():
        text = text[:-1]
    return re.sub(r"[\s\-_./+@]+", "", text).lower()


@lru_cache(maxsize=65536)
def parts(name: str) -> tuple[str, ...]:
    """The components of a name, canonical: ("olmoe", "1b", "7b")."""
    return tuple(alias_key(p) for p in re.split(r"[\s\-_/]+", name.strip().replace("×", "x")) if p)


@lru_cache(maxsize=65536)
def specialises(narrow: str, wide: str) -> bool:
    """The narrow name is the wide one with further components at its end ("OLMoE-1B-7B" of "OLMoE"); "SMoES" does not specialise "SMoE"."""
    a, b = parts(narrow), parts(wide)
    return len(a) > len(b) > 0 and a[: len(b)] == b
