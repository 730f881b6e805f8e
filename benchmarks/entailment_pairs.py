"""Collects the general pairs for benchmarks/train_entailment.py from git snapshots of seven public repositories. Standard library and git only.

    python benchmarks/entailment_pairs.py --snapshots /work/.mirror --out pairs.jsonl

Only data whose licence lets trained weights be passed on. Left out for that reason: HealthVer, the COVID-Fact claims and NLI4CT (their repositories
state no licence), ANLI, SICK and XNLI (non-commercial). The output stays out of the package; each line: {premise, claim, label: SUPPORT|REFUTE|NEI,
from}. Refuses other commits.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

# repository -> (commit, licence of what is used)
SNAPSHOTS = {
    "asaakyan/covidfact": ("ceeb613cde5a6c19dea4f2c165654e510ff52b10", "FEVER development pairs in RTE-Fever: CC BY-SA 3.0 (FEVER, Wikipedia)"),
    "TalSchuster/FeverSymmetric": ("fa25d17e73ea0694edc78133ec654b9f32f6db73", "CC BY-SA 3.0 (DATA_LICENSE)"),
    "acmi-lab/counterfactually-augmented-data": ("6f232a1d2a11462a30ce08fb4825b734ab30828e", "Apache-2.0; sentences from SNLI, CC BY-SA 4.0"),
    "google-research/fool-me-twice": ("d9db753e5acf91c0d9bf543db327ab655661eb94", "Apache-2.0; sentences from Wikipedia, CC BY-SA 3.0"),
    "BIU-NLP/Breaking_NLI": ("8a7658c1ce6b732f4e8af3b06560f1a13b8b18b0", "CC BY-SA 4.0"),
    "OanaMariaCamburu/e-SNLI": ("7b585a3f077fdea899780eb0473940522ae44a2e", "MIT; sentences of SNLI dev and test, CC BY-SA 4.0"),
    "jayded/evidence-inference": ("b9831b6c59b52ac2d277f757d413ececf0949a8d", "MIT; spans of open-access articles of PubMed Central"),
}  # fmt: skip
Row = tuple[str, str, str]  # premise, claim, label
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "``": '"', "''": '"'}
_NLI = {"entailment": "SUPPORT", "contradiction": "REFUTE", "neutral": "NEI"}
_FEVER = {"SUPPORTS": "SUPPORT", "REFUTES": "REFUTE"}


def stored(folder: Path, repository: str, path: str) -> bytes:
    """One file of the named commit."""
    git = folder / repository.replace("/", "+") / "repo"
    done = subprocess.run(["git", f"--git-dir={git}", "show", f"{SNAPSHOTS[repository][0]}:{path}"], capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{repository}: {path} is not there: {done.stderr.decode().strip()}")
    return done.stdout


def plain(text: str) -> str:
    """Undoes the Penn Treebank brackets and the blanks before punctuation."""
    words = [_BRACKETS.get(w, w) for w in text.split()]
    return re.sub(r" ([.,;:!?%)\]]|'s\b|n't\b)", r"\1", re.sub(r"([(\[]) ", r"\1", " ".join(words)))


def fever(folder: Path) -> Iterator[Row]:
    """13,332 balanced pairs of FEVER's development set with gold evidence; "not_entailment" is REFUTES there."""
    premises, claims, labels = (
        stored(folder, "asaakyan/covidfact", f"RTE-Fever/processed/dev.{part}").decode().splitlines()
        for part in ("raw.input0", "raw.input1", "label")
    )
    for premise, claim, label in zip(premises, claims, labels, strict=True):
        yield premise, claim, "SUPPORT" if label == "entailment" else "REFUTE"


def symmetric(folder: Path) -> Iterator[Row]:
    for part in ("dev", "test"):
        for line in stored(folder, "TalSchuster/FeverSymmetric", f"symmetric_v0.2/fever_symmetric_{part}.jsonl").decode().splitlines():
            row = json.loads(line)
            yield row.get("evidence") or row["evidence_sentence"], row["claim"], _FEVER[row.get("gold_label") or row["label"]]


def counterfactual(folder: Path) -> Iterator[Row]:
    for part in ("train", "dev", "test"):
        text = stored(folder, "acmi-lab/counterfactually-augmented-data", f"NLI/all_combined/{part}.tsv").decode()
        for row in csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["gold_label"] in _NLI:
                yield row["sentence1"], row["sentence2"], _NLI[row["gold_label"]]


def fool_me_twice(folder: Path) -> Iterator[Row]:
    for part in ("dev", "test"):
        for line in stored(folder, "google-research/fool-me-twice", f"dataset/{part}.jsonl").decode().splitlines():
            row = json.loads(line)
            if row["gold_evidence"]:
                yield " ".join(e["text"] for e in row["gold_evidence"]), row["text"], _FEVER[row["label"]]


def breaking(folder: Path) -> Iterator[Row]:
    """Every second pair: the set repeats its patterns."""
    with zipfile.ZipFile(io.BytesIO(stored(folder, "BIU-NLP/Breaking_NLI", "breaking_nli_dataset.zip"))) as held:
        lines = held.read("data/dataset.jsonl").decode().splitlines()
    for line in lines[::2]:
        row = json.loads(line)
        if row["gold_label"] in _NLI:
            yield row["sentence1"], row["sentence2"], _NLI[row["gold_label"]]


def snli(folder: Path) -> Iterator[Row]:
    """SNLI's development and test pairs, 19.7 thousand; the training files are too large for the snapshot."""
    for part in ("dev", "test"):
        premises, claims, labels = (
            stored(folder, "OanaMariaCamburu/e-SNLI", f"dataset/eSNLI/{name}.{part}").decode().splitlines()
            for name in ("s1", "s2", "labels")
        )
        for premise, claim, label in zip(premises, claims, labels, strict=True):
            if label in _NLI:
                yield premise, claim, _NLI[label]


# What a trial found -> sentences that say it of (intervention I, outcome O, comparator C). Ours.
_FOUND = {
    1: ("{I} increases {O} compared with {C}.", "{O} is higher with {I} than with {C}.", "{I} raises {O}.", "{C} results in lower {O} than {I}.",
        "Compared with {C}, {I} leads to greater {O}.", "{I} is associated with an increase in {O}."),
    -1: ("{I} reduces {O} compared with {C}.", "{O} is lower with {I} than with {C}.", "{I} decreases {O}.", "{C} results in higher {O} than {I}.",
         "Compared with {C}, {I} leads to less {O}.", "{I} is associated with a decrease in {O}."),
    0: ("{I} does not change {O} compared with {C}.", "{O} does not differ between {I} and {C}.", "{I} has no effect on {O}.",
        "{I} and {C} are equally effective with respect to {O}."),
}  # fmt: skip


def trials(folder: Path) -> Iterator[Row]:
    """Evidence Inference 2.0 (DeYoung et al. 2020): what a span of a trial's report says of (intervention, outcome, comparator), as claims.

    Of each accepted span one claim that it supports, one or two that it refutes, and one of another outcome of the same article that the span does not
    name.
    """
    rng = random.Random(20200508)
    text = stored(folder, "jayded/evidence-inference", "annotations/prompts_merged.csv").decode("utf-8-sig")
    prompts = {row["PromptID"]: row for row in csv.DictReader(io.StringIO(text))}
    beside: dict[str, list[dict[str, str]]] = {}
    for row in prompts.values():
        beside.setdefault(row["PMCID"], []).append(row)
    seen: set[tuple[str, str]] = set()
    text = stored(folder, "jayded/evidence-inference", "annotations/v2_annotations.csv").decode("utf-8-sig")
    for row in csv.DictReader(io.StringIO(text)):
        prompt, span = prompts.get(row["PromptID"]), " ".join(row["Annotations"].split())
        if prompt is None or row["Valid Label"] != "True" or not 40 <= len(span) <= 900 or (row["PromptID"], span) in seen:
            continue
        seen.add((row["PromptID"], span))
        found = int(row["Label Code"])
        yield span, _filled(prompt, found, rng), "SUPPORT"
        other = -found if found else rng.choice((1, -1))
        yield span, _filled(prompt, other, rng), "REFUTE"
        if found and rng.random() < 0.4:
            yield span, _filled(prompt, 0, rng), "REFUTE"
        words = set(re.findall(r"[a-z]{4,}", span.lower()))
        idle = [p for p in beside[prompt["PMCID"]] if not words & set(re.findall(r"[a-z]{4,}", p["Outcome"].lower()))]
        if idle:
            yield span, _filled(rng.choice(idle), rng.choice((1, -1, 0)), rng), "NEI"


def _filled(prompt: dict[str, str], found: int, rng: random.Random) -> str:
    parts = {"I": prompt["Intervention"], "O": prompt["Outcome"], "C": prompt["Comparator"]}
    text = rng.choice(_FOUND[found]).format(**{k: " ".join(v.split()).strip(" .") for k, v in parts.items()})
    return text[:1].upper() + text[1:]


SETS = {
    "fever": fever,
    "symmetric": symmetric,
    "counterfactual": counterfactual,
    "fool-me-twice": fool_me_twice,
    "breaking-nli": breaking,
    "snli": snli,
    "trials": trials,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshots", type=Path, required=True, help="folder of git directories named owner+name/repo")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    counts: dict[str, dict[str, int]] = {}
    seen: set[Row] = set()
    with args.out.open("w", encoding="utf-8") as stream:
        for name, rows in SETS.items():
            tally = counts.setdefault(name, {})
            for premise, claim, label in rows(args.snapshots):
                row = (plain(premise), plain(claim), label)
                if row in seen or not row[0] or not row[1]:
                    continue
                seen.add(row)
                tally[label] = tally.get(label, 0) + 1
                stream.write(json.dumps({"premise": row[0], "claim": row[1], "label": label, "from": name}, ensure_ascii=False) + "\n")
    print(json.dumps({"pairs": len(seen), "sets": counts}, sort_keys=True))


if __name__ == "__main__":
    main()
