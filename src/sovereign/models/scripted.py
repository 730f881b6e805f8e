"""The scripted model: answers by rules, for tests and demonstrations. Ships with the package, needs nothing, is deterministic, knows nothing.

It reads the JSON material out of the prompt and answers by the prompt's name: it proposes sentences that stand in the passages, rewords with a handful of
synonyms, judges only what stands word for word in a passage, and finds nothing in a review. `scripted:FILE` takes answers from a JSON file first:
{"purpose": [answer, answer, ...]}; a string instead of an object stands for prose, as a real model may give.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from sovereign.errors import ModelFailed, NotFound, SettingsInvalid
from sovereign.models import shapes
from sovereign.models._chat import Exchange
from sovereign.models.accounting import Usage, tokens

_MATERIAL = re.compile(r"<<<MATERIAL\n(.*)\nMATERIAL>>>", re.S)
_SYNONYMS = (("reduces", "lowers"), ("compared with", "relative to"), ("reaches", "attains"))
NAME = "scripted/1"


class Scripted:
    """Satisfies ports.Model. `script`: purpose -> answers, used up in order, then the rules answer."""

    def __init__(
        self, script: Mapping[str, list[Any]] | None = None, *, keep: Callable[[Exchange], None] = lambda _exchange: None, name: str = NAME
    ):
        self.name = name
        self.script = {purpose: list(answers) for purpose, answers in (script or {}).items()}
        self.keep = keep

    @classmethod
    def from_file(cls, path: Path, *, keep: Callable[[Exchange], None] = lambda _exchange: None, name: str = NAME) -> Scripted:
        """Raises NotFound or SettingsInvalid."""
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except OSError as exc:
            raise NotFound(f"The script {path} cannot be read: {exc.strerror}.") from exc
        except ValueError as exc:
            raise SettingsInvalid(f"The script {path} is not valid JSON: {exc}.") from exc
        if not isinstance(body, dict) or not all(isinstance(v, list) for v in body.values()):
            raise SettingsInvalid(f"The script {path} is not of the form {{purpose: [answers]}}.")
        return cls(body, keep=keep, name=name)

    def ask(self, prompt: str, *, shape: Mapping[str, Any], purpose: str) -> Mapping[str, Any]:
        """Raises ModelFailed(bad_shape) when the script's own answer does not have the shape, or no rule knows this purpose."""
        queued = self.script.get(purpose)
        answer: Any = queued.pop(0) if queued else _by_rule(prompt, purpose)
        wrong = "; ".join(shapes.problems(answer, shape)) if isinstance(answer, dict) else "the answer is not a JSON object"
        usage = Usage(tokens(prompt), tokens(json.dumps(answer)), 0.0, estimated=True)
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        self.keep(Exchange(self.name, purpose, prompt, shape, text, None if wrong else answer, wrong, usage, 1))
        if wrong:
            raise ModelFailed(
                f"The scripted model has no answer for {purpose!r} in the asked shape: {wrong}.", model=self.name, kind="bad_shape"
            )
        return dict(answer)

    async def stream(self, prompt: str, *, purpose: str) -> AsyncIterator[str]:
        for word in f"The scripted model has read {len(prompt)} characters for {purpose}.".split(" "):
            yield word + " "


def _by_rule(prompt: str, purpose: str) -> Any:
    match = _MATERIAL.search(prompt)
    try:
        material = json.loads(match.group(1)) if match else {}
    except ValueError:
        material = {}
    rule = {"queries": _queries, "claims": _claims, "slots": _slots, "reword": _reword, "judge": _judge}.get(purpose)
    if rule is not None:
        return rule(material)
    return (
        {"findings": [], "score": float(material.get("rule_score", 10.0))} if purpose.startswith("review") else "no rule for this purpose"
    )


def _queries(material: Mapping[str, Any]) -> Any:
    words = [
        w for w in re.findall(r"[\w-]{4,}", str(material.get("question", ""))) if w.lower() not in {"does", "what", "with", "compared"}
    ]
    return {"queries": [" ".join([*words[:3], "evaluation"])] if len(words) > 2 else []}


def _claims(material: Mapping[str, Any]) -> Any:
    """Sentences with a number, as they stand."""
    out = []
    for passage in material.get("passages", []):
        for sentence in re.findall(r"[^.!?]*\d[^!?]*?[.!?](?=\s|$)", str(passage.get("text", "")))[:2]:
            out.append({"passage": passage.get("n", 0), "quote": sentence.strip()})
    return {"claims": out[:8]}


def _slots(_material: Mapping[str, Any]) -> Any:
    return {"slots": []}


def _reword(material: Mapping[str, Any]) -> Any:
    out = []
    for item in material.get("statements", []):
        text = str(item.get("text", ""))
        for old, new in _SYNONYMS:
            if re.search(rf"\b{old}\b", text):
                text = re.sub(rf"\b{old}\b", new, text, count=1)
                break
        out.append({"id": str(item.get("id", "")), "text": text})
    return {"sentences": out}


def _judge(material: Mapping[str, Any]) -> Any:
    claim = str(material.get("statement", "")).strip()
    if claim and any(claim.rstrip(".") in str(p.get("text", "")) for p in material.get("passages", [])):
        return {"verdict": "SUPPORTED", "quote": claim.rstrip("."), "reason": "the passage says it word for word"}
    return {"verdict": "UNRESOLVED", "quote": "", "reason": "no passage says it word for word"}
