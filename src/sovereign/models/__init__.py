"""Language models and embedders behind the ports. Imports layers 0-1 and httpx; every heavy library lazily.

A model is chosen by name, `provider:NAME`, and only that one is ever called: there is no fallback to another provider, model or address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sovereign.errors import SettingsInvalid, UnknownName

if TYPE_CHECKING:  # httpx is loaded when a model is built
    from sovereign.models._chat import Exchange, Progress
    from sovereign.models.accounting import Budget
    from sovereign.ports import Embedder, Model
    from sovereign.settings import Settings

__all__ = ["PROVIDERS", "build_embedder", "build_model", "is_local", "panel_names"]


@dataclass(frozen=True)
class Provider:
    """Where a provider is, unless settings.model_base_url says otherwise, and whether it wants a key. `free`: runs on the person's own machine."""

    base_url: str
    needs_key: bool
    free: bool = False
    protocol: str = "openai"


PROVIDERS = {
    "openai": Provider("https://api.openai.com/v1", True),
    "anthropic": Provider("https://api.anthropic.com", True, protocol="anthropic"),
    "nim": Provider("https://integrate.api.nvidia.com/v1", True),
    "openrouter": Provider("https://openrouter.ai/api/v1", True),
    "ollama": Provider("http://127.0.0.1:11434/v1", False, free=True),
    "vllm": Provider("http://127.0.0.1:8000/v1", False, free=True),
}
SCRIPTED = "scripted"


def panel_names(specs: Sequence[str]) -> list[tuple[str, int | None, str]]:
    """(specification, seed, the name its answers are kept under) of every model of a panel. The same name again is the same model with another seed, 2, 3, …

    Raises UnknownName and SettingsInvalid as build_model does; needs no key.
    """
    out: list[tuple[str, int | None, str]] = []
    seen: dict[str, int] = {}
    for spec in specs:
        bare = _bare_name(spec)
        seen[bare] = seen.get(bare, 0) + 1
        seed = seen[bare] if seen[bare] > 1 else None
        out.append((spec, seed, _seeded(bare, seed)))
    return out


def _bare_name(spec: str) -> str:
    provider, _, rest = spec.partition(":")
    if provider == SCRIPTED:
        from sovereign.models.scripted import NAME

        return NAME
    known = _provider("model", provider)
    if not rest:
        raise SettingsInvalid(f"The model {spec!r} names no model.", mend=f"Write {provider}:NAME.")
    from sovereign.models.accounting import FREE, UNKNOWN, split_price

    return f"{provider}:{split_price(rest, FREE if known.free else UNKNOWN)[0]}"


def _seeded(bare: str, seed: int | None) -> str:
    return bare if seed is None else f"{bare}#{seed}"


def build_model(
    settings: Settings,
    *,
    name: str | None = None,
    budget: Budget | None = None,
    keep: Callable[[Exchange], None] = lambda _exchange: None,
    progress: Progress | None = None,
    seed: int | None = None,
    **wire: Any,
) -> Model | None:
    """The model that `name` (default settings.model) names; None for "". `budget`: shared by all models of a run. `wire`: options of _wire.Wire.

    Raises UnknownName for a provider that does not exist, SettingsInvalid for a missing key, a bad address, or an outside address when offline.
    Opens no connection.
    """
    wanted = settings.model if name is None else name
    if not wanted:
        return None
    provider, _, rest = wanted.partition(":")
    if provider == SCRIPTED:
        from sovereign.models.scripted import NAME, Scripted

        named = _seeded(NAME, seed)
        return Scripted.from_file(Path(rest), keep=keep, name=named) if rest else Scripted(keep=keep, name=named)
    full = _seeded(_bare_name(wanted), seed)
    known = _provider("model", provider)
    from sovereign.models.accounting import FREE, UNKNOWN, Budget, split_price
    from sovereign.models.anthropic import Anthropic
    from sovereign.models.openai_compatible import OpenAICompatible

    bare, price = split_price(rest, FREE if known.free else UNKNOWN)
    line = _line(settings, known, full, wire)
    kind = Anthropic if known.protocol == "anthropic" else OpenAICompatible
    held = budget if budget is not None else Budget(settings.model_budget_usd)
    return kind(full, bare, line, price=price, budget=held, seed=seed, keep=keep, progress=progress)


def build_embedder(
    settings: Settings, name: str, *, dimension: int | None = None, budget: Budget | None = None, **wire: Any
) -> Embedder | None:
    """The embedder that `name` names; None for "" (the library's own latent embedder is used then). `nim:` without a name is nv-embedqa-e5-v5.

    Raises UnknownName and SettingsInvalid as build_model does; any other embedder needs its `dimension`, as in `ollama:nomic-embed-text#768`.
    """
    if not name:
        return None
    provider, _, rest = name.partition(":")
    known = _provider("embedder", provider)
    if known.protocol != "openai":
        raise SettingsInvalid(f"{provider} offers no embeddings.", mend="Choose openai, nim, openrouter, ollama or vllm.")
    from sovereign.models.accounting import FREE, UNKNOWN, split_price
    from sovereign.models.http_embedding import NIM_DIMENSION, NIM_MODEL, HttpEmbedder

    bare, price = split_price(rest, FREE if known.free else UNKNOWN)
    bare, _, size = bare.partition("#")
    nim = provider == "nim" and bare in ("", NIM_MODEL, NIM_MODEL.split("/")[1])
    model = NIM_MODEL if nim else bare
    if size and not size.isdigit():
        raise SettingsInvalid(f"The dimension in {name!r} cannot be read.", mend="Write it as PROVIDER:NAME#DIMENSION.")
    wide = dimension or (int(size) if size else None) or (NIM_DIMENSION if nim else None)
    if not model or wide is None:
        raise SettingsInvalid(f"The embedder {name!r} needs a name and a dimension.", mend="Write it as PROVIDER:NAME#DIMENSION.")
    line = _line(settings, known, f"{provider}:{model}", wire)
    return HttpEmbedder(line, model, wide, provider=provider, asymmetric=provider == "nim", price=price, budget=budget)


def is_local(url: str) -> bool:
    """Whether an address is this machine."""
    return (urlsplit(url).hostname or "") in ("127.0.0.1", "localhost", "::1")


def _provider(what: str, name: str) -> Provider:
    if name not in PROVIDERS:
        raise UnknownName(what, name, sorted(f"{p}:NAME" for p in PROVIDERS) + ([SCRIPTED] if what == "model" else []))
    return PROVIDERS[name]


def _line(settings: Settings, provider: Provider, full: str, options: dict[str, Any]) -> Any:
    from sovereign.models._wire import Wire

    base = settings.model_base_url or provider.base_url
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise SettingsInvalid(
            f"The address {base!r} of the model cannot be used.", mend="Set model_base_url to http(s)://HOST[:PORT]/PATH."
        )
    if settings.offline and not is_local(base):
        raise SettingsInvalid(f"{full} is outside this machine, and offline is set.", mend="Choose a local model, scripted, or none.")
    key = settings.model_key.get_secret_value() if settings.model_key is not None else ""
    if provider.needs_key and not key and not is_local(base):
        raise SettingsInvalid(f"{full} needs a key.", mend="Set SOVEREIGN_MODEL_KEY.")
    if key and parts.scheme == "http" and not is_local(base):
        raise SettingsInvalid(f"A key is not sent over plain http to {parts.hostname}.", mend="Use https.")
    if provider.protocol == "anthropic":
        from sovereign.models.anthropic import VERSION

        headers = {"x-api-key": key, "anthropic-version": VERSION}
    else:
        headers = {"authorization": f"Bearer {key}"} if key else {}
    return Wire(base, headers, model=full, **options)
