"""Every prompt and answer as blobs, so that a resumed run pays nothing twice and a replay needs no model. Imports ports and this package.

`Keeper` writes each exchange as one blob, notes key -> digest and tells both as soon as they happen; `Kept` answers from there before it asks; `Recorded`
answers from there only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from typing import Any

from sovereign import seal
from sovereign.errors import IntegrityBroken
from sovereign.models import shapes
from sovereign.models._chat import Exchange, key_of
from sovereign.models.accounting import UNKNOWN
from sovereign.ports import Blobs, Model


class Keeper:
    """Give `keeper.keep` to build_model. `index`: key -> blob digest of good answers; `log`: every exchange's digest in order.

    `tell` gets ("model_paid", tokens and money of one exchange, good or refused) and ("model_answered", key and blob of a good answer) at once, so that a
    run that stops in the middle of a station has paid for nothing that it must ask again.
    """

    def __init__(
        self,
        blobs: Blobs,
        index: MutableMapping[str, str] | None = None,
        tell: Callable[[str, Mapping[str, Any]], object] = lambda _kind, _body: None,
    ):
        self.blobs, self.tell = blobs, tell
        self.index: MutableMapping[str, str] = {} if index is None else index
        self.log: list[str] = []
        self._lock = threading.Lock()

    def keep(self, exchange: Exchange) -> None:
        digest = self.blobs.put(seal.canonical(exchange))
        usage = exchange.usage
        bound = usage.cost_usd if usage.cost_usd is not None else UNKNOWN.of(usage.tokens_in, usage.tokens_out)
        paid = {
            "blob": digest, "model": exchange.model, "purpose": exchange.purpose, "tokens_in": usage.tokens_in, "tokens_out": usage.tokens_out,
            "cost_usd": usage.cost_usd, "at_most_usd": bound, "estimated": usage.estimated,
        }  # fmt: skip
        with self._lock:
            self.log.append(digest)
            self.tell("model_paid", paid)
            if exchange.answer is not None:
                self._note(key_of(exchange.model, exchange.prompt, exchange.shape, exchange.purpose), exchange.model, digest)

    def note(self, key: str, model: str, prompt: str, shape: Mapping[str, Any], purpose: str, answer: Mapping[str, Any]) -> None:
        """The answer that a question ended with, under the question's own key (a repaired answer was kept under the repair's prompt)."""
        if key in self.index:
            return
        body = {"model": model, "purpose": purpose, "prompt": prompt, "shape": shape, "answer": answer}
        digest = self.blobs.put(seal.canonical(body))
        with self._lock:
            self._note(key, model, digest)

    def _note(self, key: str, model: str, digest: str) -> None:
        if key not in self.index:
            self.index[key] = digest
            self.tell("model_answered", {"key": key, "blob": digest, "model": model})

    def answer(self, key: str, shape: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The kept answer; None when there is none. Raises IntegrityBroken when what is kept no longer has the shape."""
        with self._lock:
            digest = self.index.get(key)
        if digest is None:
            return None
        held = json.loads(self.blobs.get(digest)).get("answer")
        if not isinstance(held, dict) or shapes.problems(held, shape):
            raise IntegrityBroken("A kept answer of a model does not have the shape it was kept with.", subject=digest)
        return held


class Kept:
    """A model that is asked only for what is not kept yet. Satisfies ports.Model."""

    def __init__(self, model: Model, keeper: Keeper):
        self.model, self.keeper, self.name = model, keeper, model.name

    def ask(self, prompt: str, *, shape: Mapping[str, Any], purpose: str) -> Mapping[str, Any]:
        key = key_of(self.name, prompt, shape, purpose)
        known = self.keeper.answer(key, shape)
        if known is not None:
            return known
        answer = self.model.ask(prompt, shape=shape, purpose=purpose)
        self.keeper.note(key, self.name, prompt, shape, purpose, answer)
        return answer

    def stream(self, prompt: str, *, purpose: str) -> AsyncIterator[str]:
        return self.model.stream(prompt, purpose=purpose)


class Recorded:
    """The answers of a finished run and nothing else: what replay uses. Satisfies ports.Model; opens no connection."""

    def __init__(self, name: str, keeper: Keeper):
        self.name, self.keeper = name, keeper

    def ask(self, prompt: str, *, shape: Mapping[str, Any], purpose: str) -> Mapping[str, Any]:
        known = self.keeper.answer(key_of(self.name, prompt, shape, purpose), shape)
        if known is None:
            raise IntegrityBroken(
                f"The run has no record of this question to {self.name} ({purpose}).", mend="Replay needs the run's own prompts, unchanged."
            )
        return known

    def stream(self, prompt: str, *, purpose: str) -> AsyncIterator[str]:
        raise IntegrityBroken("A recorded model has no stream.")
