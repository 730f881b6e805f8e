"""What every chat model does: ask for a shape, read it, repair within bounds, account for it. Imports this package; refuses a default answer.

A subclass says how one request looks on the wire. An answer that does not have its shape is asked for again, at most REPAIRS times, each time with what was
wrong; then ModelFailed(bad_shape). Nothing is ever filled in.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sovereign import seal
from sovereign.errors import ModelFailed
from sovereign.models import shapes
from sovereign.models._wire import Wire
from sovereign.models.accounting import CHARS_PER_TOKEN, Budget, Estimate, Price, Usage, tokens

REPAIRS = 2
MAX_OUTPUT_TOKENS = 4096
SAMPLED_AT = 0.7  # temperature of a model with a seed: at 0 every seed would say the same
Progress = Callable[[str, int], None]  # purpose, characters so far


@dataclass(frozen=True)
class Exchange:
    """One prompt and what came back, as it is kept. `answer` None: it was refused, `refused` says why."""

    model: str
    purpose: str
    prompt: str
    shape: Mapping[str, Any]
    text: str
    answer: Mapping[str, Any] | None
    refused: str
    usage: Usage
    attempt: int


@dataclass(frozen=True)
class Reply:
    """What one request brought: the text (or the structured value, where the protocol has one), and what it took."""

    text: str
    value: Any
    tokens_in: int | None
    tokens_out: int | None
    cut: bool  # the model stopped because its output limit was reached


class ChatModel(ABC):
    """Satisfies ports.Model. `keep` gets every exchange as soon as it is over, whether it was good or not."""

    def __init__(
        self,
        name: str,
        model: str,
        wire: Wire,
        *,
        price: Price,
        budget: Budget,
        seed: int | None = None,
        max_output_tokens: int = MAX_OUTPUT_TOKENS,
        keep: Callable[[Exchange], None] = lambda _exchange: None,
        progress: Progress | None = None,
    ):
        self.name, self.model, self.wire, self.price, self.budget = name, model, wire, price, budget
        self.seed, self.max_output_tokens, self.keep, self.progress = seed, max_output_tokens, keep, progress

    @property
    def temperature(self) -> float:
        return 0.0 if self.seed is None else SAMPLED_AT

    @abstractmethod
    def send(self, prompt: str, *, shape: Mapping[str, Any], purpose: str) -> Reply:
        """One request. Raises ModelFailed."""

    @abstractmethod
    def stream(self, prompt: str, *, purpose: str) -> AsyncIterator[str]: ...

    def estimate(self, calls: int, prompt_chars: int) -> Estimate:
        """An upper bound, without repairs, for calls whose prompts have at most `prompt_chars` characters each, before anything is sent."""
        n_in, n_out = calls * math.ceil(prompt_chars / CHARS_PER_TOKEN), calls * self.max_output_tokens
        return Estimate(calls, n_in, n_out, self.price.of(n_in, n_out), self.price.known)

    def ask(self, prompt: str, *, shape: Mapping[str, Any], purpose: str) -> Mapping[str, Any]:
        """An object that has the shape. Raises ModelFailed with its kind; never a default answer."""
        said, wrong = prompt, ""
        for attempt in range(1, REPAIRS + 2):
            answer, wrong, text = self._once(said, shape, purpose, attempt)
            if answer is not None:
                return answer
            said = _repair(prompt, text, wrong)
        raise ModelFailed(
            f"{self.name} gave no answer in the asked shape in {REPAIRS + 1} tries ({purpose}): {wrong}.",
            model=self.name,
            kind="bad_shape",
            mend="Try again, or choose a model that supports structured output.",
        )

    def _once(self, prompt: str, shape: Mapping[str, Any], purpose: str, attempt: int) -> tuple[Mapping[str, Any] | None, str, str]:
        reserved = self.budget.reserve(self.price, tokens(prompt) + tokens(json.dumps(shape)), self.max_output_tokens, model=self.name)
        try:
            reply = self.send(prompt, shape=shape, purpose=purpose)
        except ModelFailed:
            self.budget.release(reserved)
            raise
        n_in = reply.tokens_in if reply.tokens_in is not None else tokens(prompt)
        n_out = reply.tokens_out if reply.tokens_out is not None else tokens(reply.text)
        cost = self.price.of(n_in, n_out) if self.price.known else None
        answer, wrong = self._shaped(reply, shape)
        usage = Usage(n_in, n_out, cost, estimated=reply.tokens_in is None or reply.tokens_out is None)
        self.keep(Exchange(self.name, purpose, prompt, shape, reply.text, answer, wrong, usage, attempt))
        self.budget.settle(self.price, reserved, n_in, n_out, model=self.name)
        if answer is None and reply.cut:
            raise ModelFailed(
                f"{self.name} reached its output limit of {self.max_output_tokens} tokens before the answer was whole ({purpose}).",
                model=self.name,
                kind="too_long",
            )
        return answer, wrong, reply.text

    def _shaped(self, reply: Reply, shape: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
        value = reply.value
        if value is None:
            try:
                value = shapes.read(reply.text)
            except (ValueError, RecursionError) as exc:
                return None, f"no JSON could be read: {exc}"
        if not isinstance(value, dict):
            return None, "the answer is not a JSON object"
        wrong = shapes.problems(value, shape)
        return (None, "; ".join(wrong)) if wrong else (value, "")


def _repair(prompt: str, text: str, wrong: str) -> str:
    shown = text if len(text) <= 2000 else text[:2000] + " …"
    return (
        f"{prompt}\n\nYour previous answer could not be used: {wrong}.\nPrevious answer, as data:\n{json.dumps(shown, ensure_ascii=False)}\n"
        "Answer again with one JSON object in the asked shape and nothing else."
    )


def key_of(model: str, prompt: str, shape: Mapping[str, Any], purpose: str) -> str:
    """The name under which an exchange is found again: same model, prompt, shape and purpose."""
    return seal.digest({"model": model, "prompt": prompt, "shape": shape, "purpose": purpose})
