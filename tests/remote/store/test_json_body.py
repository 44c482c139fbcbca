"""Whatever stands under a key: an object, or a ValueError."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insaat_cli.remote.store.json_body import Fields, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"\xff", b'{"a": NaN}', b'{"a": -Infinity}', b"[" * 100_000,
        b'{"a":' * 100_000, b'{"a":' * 30 + b"1" + b"}" * 30, b'{"a": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_plain_object_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_json(body)


@given(st.binary(max_size=100) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_every_body_is_an_object_or_a_value_error(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(read_json(body), dict)


@given(VALUES)
def test_a_field_has_its_type_or_is_refused(value: object) -> None:
    takers = {
        "text": lambda fields: fields.text("x", most=3),
        "whole": lambda fields: fields.whole("x", most=100),
        "number": lambda fields: fields.number("x"),
        "flag": lambda fields: fields.flag("x"),
        "texts": lambda fields: fields.texts("x", most=2, each=3),
    }
    kinds = {"text": str, "whole": int, "number": float, "flag": bool, "texts": tuple}
    for name, take in takers.items():
        fields = Fields({"x": value, "y": 1})
        try:
            assert type(take(fields)) is kinds[name]
        except ValueError:
            continue
        assert fields.rest() == {"y": 1}
