"""Tokens and money: estimates before a call, the bill after it, one cap per run. Standard library and errors only; ships no price list, which would be stale.

A price is given with the model's name, `openai:NAME@IN/OUT` in US dollars per million tokens. Local models cost nothing. A model without a price is charged
against the cap at CEILING, above any list price known to us, so that a cap holds even then; its cost is reported as unknown, not as that figure.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

from sovereign.errors import ModelFailed, SettingsInvalid

CHARS_PER_TOKEN = 3.0  # English runs near 4; figures and names cut finer, and an estimate should err upwards
CEILING = (30.0, 180.0)  # US dollars per million tokens in and out; an assumption, used only against the cap


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens. `known` False: CEILING stands in, and no cost is reported."""

    usd_in: float
    usd_out: float
    known: bool = True

    def of(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.usd_in + tokens_out * self.usd_out) / 1e6


FREE = Price(0.0, 0.0)
UNKNOWN = Price(*CEILING, known=False)


@dataclass(frozen=True)
class Usage:
    """What one call took. `estimated`: the endpoint did not say, the tokens were counted from characters. cost_usd None: no price is known."""

    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    estimated: bool = False


@dataclass(frozen=True)
class Estimate:
    """Before it starts: at most this much. usd is an upper bound; `priced` False when it rests on CEILING."""

    calls: int
    tokens_in: int
    tokens_out: int
    usd: float
    priced: bool


def tokens(text: str) -> int:
    """An upward estimate."""
    return math.ceil(len(text.encode("utf-8")) / CHARS_PER_TOKEN)


def split_price(name: str, default: Price) -> tuple[str, Price]:
    """`NAME@IN/OUT` into name and price. Raises SettingsInvalid for a price that cannot be read."""
    bare, mark, price = name.rpartition("@")
    if not mark:
        return name, default
    try:
        usd_in, usd_out = (float(p) for p in price.split("/"))
    except ValueError as exc:
        raise SettingsInvalid(
            f"The price in {name!r} cannot be read.", mend="Write it as NAME@IN/OUT, in US dollars per million tokens."
        ) from exc
    if not (0 <= usd_in < 1e4 and 0 <= usd_out < 1e4):
        raise SettingsInvalid(f"The price in {name!r} is not between 0 and 10 000 US dollars per million tokens.")
    return bare, Price(usd_in, usd_out)


@dataclass
class Budget:
    """One run's cap, shared by all its calls; safe under threads. Money is reserved before a call and settled after it."""

    cap_usd: float
    spent_usd: float = 0.0  # with CEILING where no price is known
    tokens_in: int = 0
    tokens_out: int = 0
    calls: int = 0
    unpriced: bool = False
    _reserved: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def reserve(self, price: Price, tokens_in: int, tokens_out: int, *, model: str) -> float:
        """Raises ModelFailed(over_budget) before anything is sent when this call could pass the cap."""
        wanted = price.of(tokens_in, tokens_out)
        with self._lock:
            if self.spent_usd + self._reserved + wanted > self.cap_usd and wanted > 0:
                guess = (
                    ""
                    if price.known
                    else f" ({model} has no known price; {CEILING[0]:g}/{CEILING[1]:g} US dollars per million tokens are assumed)"
                )
                raise ModelFailed(
                    f"The next call could cost {wanted:.4f} US dollars, with {self.spent_usd:.4f} of {self.cap_usd:g} spent{guess}; it was not sent.",
                    model=model,
                    kind="over_budget",
                    mend="Raise model_budget_usd, name the price as MODEL@IN/OUT, or choose a local model; then resume the run.",
                )
            self._reserved += wanted
        return wanted

    def settle(self, price: Price, reserved: float, tokens_in: int, tokens_out: int, *, model: str) -> None:
        """The bill. Raises ModelFailed(over_budget) when it passed the cap although the estimate did not; what was answered is kept by then."""
        with self._lock:
            self._reserved -= reserved
            self.spent_usd += price.of(tokens_in, tokens_out)
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out
            self.calls += 1
            self.unpriced |= not price.known
            over = self.spent_usd > self.cap_usd
        if over:
            raise ModelFailed(
                f"The bill of {self.spent_usd:.4f} US dollars is over the cap of {self.cap_usd:g}; nothing more is sent.",
                model=model,
                kind="over_budget",
                mend="Raise model_budget_usd and resume the run; what was answered is kept and not paid again.",
            )

    def release(self, reserved: float) -> None:
        """A call that failed before it was billed."""
        with self._lock:
            self._reserved -= reserved

    def cost_usd(self) -> float | None:
        """What was spent; None when a model without a known price was used."""
        return None if self.unpriced else round(self.spent_usd, 6)
