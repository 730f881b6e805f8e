"""One typed settings object, from a file and the environment; the only reader of the environment. Refuses unknown names in the file.

Order: defaults < `<workspace>/sovereign.toml` < environment (SOVEREIGN_*) < what the command line passes. Secrets never show in a repr.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from sovereign.errors import SettingsInvalid


class Settings(BaseSettings):
    """Every knob with its unit. Keys are read from the environment or the file and are never written anywhere.

    What a field does not say itself: http_timeout_s: of one request. results_per_query: papers asked of each source, per query.
    semantic_scholar_key/openalex_key/zenodo_token: sent to that service only. model_base_url: empty for the provider's own address.
    model_key: sent to that endpoint only. lab: whether `ask` may run experiments, and at which preset.
    read_memory_mib: of the child process that reads one document. max_document_mib: a larger document is refused.
    max_pages: of a PDF; the rest is reported as unread. revision_rounds: at most so many after the first hearing.
    policy_file: a rule file in place of the default policy.
    """

    model_config = SettingsConfigDict(env_prefix="SOVEREIGN_", extra="forbid", frozen=True)

    home: Path = Field(description="the workspace")
    database_url: str = Field("", description="empty: SQLite inside the workspace; or postgresql://... shared by several workers")
    owner: str = Field("owner", description="the name that stands beside a signature")

    sources: tuple[str, ...] = Field(
        ("local", "arxiv", "semantic_scholar", "openalex"), description="where `ask` looks when --sources is not given"
    )
    default_library: bool = Field(True, description="whether the reading notes that ship with the package are part of the library")
    offline: bool = Field(False, description="never open a network connection")
    http_timeout_s: float = Field(20.0, gt=0, le=300)
    http_cache_mib: int = Field(512, ge=1, description="size of the answers kept in http_cache; those used least recently go first")
    search_deadline_s: float = Field(60.0, gt=0, description="total for all live sources of one question")
    results_per_query: int = Field(20, ge=1, le=200)
    arxiv_base: str = "https://export.arxiv.org/api/query"
    arxiv_interval_s: float = Field(
        3.0, ge=0, le=60, description="pause between requests; arXiv's terms ask for 3 s, only a mirror may have less"
    )
    semantic_scholar_base: str = "https://api.semanticscholar.org/graph/v1"
    semantic_scholar_key: SecretStr | None = None
    openalex_base: str = "https://api.openalex.org"
    openalex_key: SecretStr | None = None
    crossref_base: str = "https://api.crossref.org"
    datacite_base: str = "https://api.datacite.org"
    contact_email: str = Field("", description="sent to services that ask for one, only when set")

    model: str = Field("", description="empty: no language model; scripted; openai:NAME; anthropic:NAME; ollama:NAME; nim:NAME")
    reviewers: tuple[str, ...] = Field(
        (), description="further models that review beside `model`; the same name again is the same model with another seed"
    )
    model_base_url: str = ""
    model_key: SecretStr | None = None
    model_budget_usd: float = Field(1.0, ge=0, description="cap per run")

    embedder: str = Field(
        "",
        pattern="^(minilm)?$",
        description="vectors of library search; empty: the base install's own; minilm: the encoder extra, after a reindex",
    )
    entailment: str = Field("off", pattern="^(off|on)$", description="on: the pair model of the encoder extra judges beside the slots")

    lab: str = Field("off", pattern="^(off|smoke|standard|gpu)$")
    read_timeout_s: float = Field(60.0, gt=0, description="per document")
    read_memory_mib: int = Field(2048, ge=256)
    max_document_mib: int = Field(64, ge=1)
    max_pages: int = Field(400, ge=1)
    max_admitted: int = Field(12, ge=1, le=200, description="papers admitted per run")
    max_claims: int = Field(24, ge=1, le=1000, description="claims kept per run")
    lab_budget_s: float = Field(1800.0, ge=0)  # of what the studies of one run may take together, by their own estimate
    revision_rounds: int = Field(2, ge=0, le=5)
    policy_file: Path | None = None
    agenda_limits: dict[str, int] = Field(
        {}, description='runs at a time over all workers that use a source or a model: {"arxiv": 1, "model": 2}; empty: no limit'
    )
    agenda_standing: int = Field(
        0, ge=0, le=20, description="how many suggested questions workers may queue by themselves when the agenda is empty; 0: none, ever"
    )

    zenodo_base: str = "https://zenodo.org/api"
    zenodo_token: SecretStr | None = None
    key_passphrase: SecretStr | None = Field(None, description="for scripts; people are asked on the terminal")
    source_date_epoch: int | None = Field(
        None, validation_alias="SOURCE_DATE_EPOCH", description="fixes the clock (reproducible-builds.org)"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings)


def default_home() -> Path:
    """$SOVEREIGN_HOME, else the platform's data folder."""
    if given := os.environ.get("SOVEREIGN_HOME"):
        return Path(given).expanduser()
    from platformdirs import user_data_path

    return user_data_path("sovereign", appauthor=False)


def load(workspace: Path | None = None, **overrides: Any) -> Settings:
    """Raises SettingsInvalid with the name of the setting and what is wrong with it."""
    home = (workspace or default_home()).expanduser().absolute()
    chosen = {k: v for k, v in overrides.items() if v is not None}
    try:
        from_file = tomllib.loads((home / "sovereign.toml").read_text("utf-8")) if (home / "sovereign.toml").is_file() else {}
        in_environment = {name for name in Settings.model_fields if f"SOVEREIGN_{name.upper()}" in os.environ}
        return Settings(**{**{k: v for k, v in from_file.items() if k not in in_environment}, **chosen, "home": home})
    except tomllib.TOMLDecodeError as exc:
        raise SettingsInvalid(f"{home / 'sovereign.toml'} is not valid TOML: {exc}.") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        raise SettingsInvalid(
            f"Setting {'.'.join(map(str, first['loc']))!r}: {first['msg']}.",
            mend=f"Look in {home / 'sovereign.toml'} and the SOVEREIGN_* environment.",
        ) from exc


def has_terminal_colours() -> bool:
    """https://no-color.org: any non-empty NO_COLOR turns colours off."""
    return not os.environ.get("NO_COLOR")
