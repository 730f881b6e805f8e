"""The question and its parts. Standard library only; refuses to know how facets are found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FacetKind(StrEnum):
    SYSTEM = "system"  # a named method or model that the question is about
    COMPARATOR = "comparator"  # what it is to be compared with
    METRIC = "metric"
    CONDITION = "condition"  # batch size, hardware, sparsity level, budget
    DATASET = "dataset"


@dataclass(frozen=True)
class Facet:
    """One part of a question that an answer must address. `aliases` are other spellings of the same thing, lower case."""

    kind: FacetKind
    text: str
    aliases: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.kind.value}:{self.text.lower()}"


@dataclass(frozen=True)
class Question:
    """A normalised question. `ill_posed` names presuppositions that no answer can satisfy, in plain words."""

    text: str
    facets: tuple[Facet, ...]
    ill_posed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Query:
    """One search to be run. `purpose`: named_system, system_metric, comparators, benchmark_condition, targeted."""

    purpose: str
    text: str
    exact: bool = False
    facets: tuple[str, ...] = ()
