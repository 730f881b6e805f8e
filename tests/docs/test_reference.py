"""The reference is the code's own words: whatever the code has, the pages have; and what the pages name, exists."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import sys
from enum import Enum

import pytest
from tests.docs.reading import ROOT, pages, text_of

import sovereign.errors
import sovereign.records
from sovereign.kernel import policy
from sovereign.settings import Settings

sys.path.insert(0, str(ROOT / "scripts" / "site"))

import fieldnotes
import reference

PAGES = reference.pages()


def test_every_command_and_every_option_is_there() -> None:
    page = PAGES["reference/cli.md"]
    found = list(reference.commands())
    assert len(found) > 35
    for name, command in found:
        part = page.partition(f"## `sovereign {name}` ")[2].partition("\n## ")[0]
        assert part, name
        for parameter in command.params:
            if parameter.name not in (*reference.EVERYWHERE, "help"):
                shown = parameter.opts if parameter.param_type_name == "option" else [reference._name(parameter)]
                assert all(f"`{o}`" in part or ", ".join(shown) in part for o in shown), (name, parameter.name)


def test_every_setting_is_there_with_its_variable_and_no_secret() -> None:
    page = PAGES["reference/settings.md"]
    for name, field in Settings.model_fields.items():
        assert f"`{name}`<br>`{field.validation_alias or 'SOVEREIGN_' + name.upper()}`" in page
    assert not re.search(r"\| *\|$", page, re.M), "a setting without a meaning"
    assert "SecretStr" not in page and "PydanticUndefined" not in page


def test_every_record_and_field_is_there() -> None:
    page = PAGES["reference/records.md"]
    for name in sovereign.records.__all__:
        record = getattr(sovereign.records, name)
        if not isinstance(record, type):
            assert f"`{name}` is" in page
            continue
        part = page.partition(f"### {name} ")[2].partition("\n### ")[0]
        assert part, name
        if issubclass(record, Enum):
            assert all(str(getattr(m, "label", m.value)) in part for m in record), name
        else:
            assert all(f"`{f.name}`" in part for f in dataclasses.fields(record)), name


def test_units_beside_a_field_reach_the_page() -> None:
    """A comment behind a field and a docstring's word on it are all that a reader has of its unit."""
    page = PAGES["reference/records.md"]
    assert "repeats, seeds or items behind the value" in page  # Measurement.n, a comment
    assert "half-width of a stated" in page  # Value.spread, in the docstring
    assert "document.text[start:end] == text" in page  # no field's own: stays with its class


def test_every_fact_rule_error_and_schema_is_there() -> None:
    rules = policy.parse((reference.PACKAGE / "kernel" / "policy.toml").read_text(encoding="utf-8"))
    assert all(f"| `{fact}` |" in PAGES["reference/policy.md"] for fact in policy.FACTS)
    assert all(f". {rule.name} |" in PAGES["reference/policy.md"] for rule in rules)
    kinds = [k for k in vars(sovereign.errors).values() if isinstance(k, type) and issubclass(k, sovereign.errors.SovereignError)]
    assert len(kinds) > 10 and all(f"`{k.__name__}`" in PAGES["reference/errors.md"] for k in kinds)
    for path in reference.files().values():
        assert f"## {json.loads(path.read_text(encoding='utf-8'))['$id']} " in PAGES["reference/schemas.md"]


def test_every_study_and_every_statement_of_a_reference_trial_is_there() -> None:
    """Negatives too: a page that left the falsified ones out would be an advertisement."""
    from sovereign.lab import study
    from sovereign.lab.bench import REFERENCE, read_trial

    page = PAGES["reference/studies.md"]
    assert all(f"## {name}\n" in page for name in study.STUDIES)
    for path in REFERENCE.glob("*/trial.json"):
        trial = read_trial(path)
        part = page.partition(f"{{ #{trial.trial_id} }}")[2].partition("\n##")[0]
        shown = [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")]
        assert shown == [s.verdict.value for s in trial.statements]


def test_the_python_api_shows_what_can_be_called() -> None:
    api = importlib.import_module("sovereign.api")
    page = PAGES["reference/api.md"]
    public = [n for n, v in vars(api).items() if callable(v) and getattr(v, "__module__", "") == api.__name__ and not n.startswith("_")]
    assert all(f"## {n}\n" in page for n in public), public


def test_tables_keep_their_shape() -> None:
    """A bar inside a cell would shift every cell behind it."""
    for name, page in PAGES.items():
        for rows in re.findall(r"(?:^\|.*\n)+", page, re.M):
            counts = {len(re.findall(r"(?<!\\)\|", row)) for row in rows.splitlines()}
            assert len(counts) == 1, (name, rows[:200])


def test_what_a_docstring_says_of_a_field_is_taken_from_the_class() -> None:
    text, told = fieldnotes.said(
        "One thing.\n\nlow/high: the bounds. raw: as written,\nwith its unit.\n\nThe rest.", {"low", "high", "raw"}
    )
    assert text == "One thing.\n\nThe rest."
    assert told == {"low": "the bounds.", "high": "the bounds.", "raw": "as written, with its unit."}
    assert fieldnotes.said("Nothing here: of a field.", {"x"}) == ("Nothing here: of a field.", {})


def test_a_comment_counts_only_behind_code() -> None:
    assert fieldnotes.comments("# alone\nx = 1  # seconds\ny = '# no'\nz = 2  # noqa: E501\n") == {2: "seconds"}


@pytest.mark.parametrize("page", pages())
def test_every_test_and_module_that_a_page_names_exists(page: str) -> None:
    """Guards a page that rests a promise on a test, or explains a file, that is gone."""
    for named in re.findall(r"`((?:tests|src|benchmarks|scripts|examples)/[\w./-]+(?:::\w+)?)`", text_of(page)):
        path, _, test = named.partition("::")
        assert (ROOT / path).exists(), named
        assert not test or re.search(rf"^def {test}\(", (ROOT / path).read_text(encoding="utf-8"), re.M), named


def test_every_page_is_in_the_navigation_once() -> None:
    """Said here too, because the strict build needs the docs extra: a new page wants one line in mkdocs.yml."""
    nav = re.findall(r"^ +- (?:[^#\n]+: )?([\w/.-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    hook = (ROOT / "scripts/site/hook.py").read_text(encoding="utf-8")
    made = set(PAGES) | set(re.findall(r'"[\w/.]+\.md": "([\w/.-]+\.md)"', hook))
    written = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert sorted(nav) == sorted(written | made)
