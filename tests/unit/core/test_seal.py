"""What is sealed stays what it was: canonical bytes, chains, signatures."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign import seal
from sovereign.errors import IntegrityBroken
from sovereign.records import Facet, FacetKind, Failed, Found, Paper, Question, SearchRecord

plain_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(plain_json)
def test_canonical_form_does_not_depend_on_key_order_and_reads_back(value: object) -> None:
    body = seal.canonical(value)
    assert json.loads(body) == json.loads(json.dumps(value))
    assert seal.canonical(json.loads(body)) == body


def test_what_has_no_honest_form_is_refused() -> None:
    """NaN in a record would read as a number; unknown is None."""
    for bad in (math.nan, math.inf, object(), b"bytes"):
        with pytest.raises(TypeError):
            seal.canonical({"x": bad})


def test_records_come_back_as_they_were() -> None:
    found = SearchRecord("arxiv", "q", "named_system", Found((Paper("arxiv:2604.23996", "SMoES", ("A",), 2026),), total=None))
    failed = SearchRecord("arxiv", "q", "named_system", Failed("429", "rate_limited", 3.0))
    question = Question("Why?", (Facet(FacetKind.METRIC, "TPOT", ("tpot",)),))
    for record in (found, failed, question):
        assert seal.revive(type(record), seal.canonical(record)) == record


def test_a_body_of_another_shape_is_an_integrity_error_not_a_guess() -> None:
    with pytest.raises(IntegrityBroken, match="does not have its shape"):
        seal.revive(Question, b'{"text": 3}')


def test_signature_covers_exactly_these_bytes() -> None:
    pem, public = seal.new_key("a passphrase")
    signature, signer = seal.sign(pem, "a passphrase", b"draft")
    assert signer == public
    assert seal.verify_signature(public, signature, b"draft")
    assert not seal.verify_signature(public, signature, b"draft.")
    assert not seal.verify_signature(seal.new_key("")[1], signature, b"draft")
    assert not seal.verify_signature(public, "00" * 64, b"draft")
    assert not seal.verify_signature("not hex", "not hex", b"draft")
    with pytest.raises(IntegrityBroken, match="could not be opened"):
        seal.sign(pem, "another passphrase", b"draft")
