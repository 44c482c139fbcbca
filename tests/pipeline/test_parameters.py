"""What a parameter may be: every wrong value is refused with the range, every right one is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insaat_cli.errors import UsageError
from insaat_cli.pipeline.parameters import Kind, Parameter, ParamValue, number_text

SIDE = Parameter(
    kind=Kind.INT, minimum=64, maximum=5000, unit="px", about="longest side of a depth map"
)
SHARE = Parameter(kind=Kind.FLOAT, minimum=0.0, maximum=1.0)
WAY = Parameter(kind=Kind.TEXT, choices=("auto", "own", "cuda"), about="how depth is measured")
MODEL = Parameter(kind=Kind.INT, choices=(1, 2, 5))
LIST = Parameter(kind=Kind.LIST, choices=("glb", "obj"))
BOX = Parameter(kind=Kind.BOX)
TRUTH = Parameter(kind=Kind.BOOL)
CARD = Parameter(kind=Kind.INT, minimum=-2, maximum=63, nullable=True)


def refusal(parameter: Parameter, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parameter.parsed("stage.name", text)
    return f"{caught.value.message} {caught.value.hint}".strip()


def test_the_message_says_value_range_unit_and_meaning() -> None:
    assert refusal(SIDE, "-5") == (
        "stage.name is -5; it must be a whole number from 64 to 5000 px "
        "(longest side of a depth map)"
    )
    assert refusal(WAY, "CUDDA") == (
        "stage.name is 'CUDDA'; it must be auto, own or cuda (how depth is measured) "
        "did you mean cuda?"
    )


@pytest.mark.parametrize(
    ("parameter", "text", "says"),
    [
        (SIDE, "5001", "from 64 to 5000 px"),
        (SIDE, "64.5", "a whole number"),
        (SIDE, "1e3", "a whole number"),
        (SIDE, "", "a whole number"),
        (SIDE, "null", "a whole number"),
        (SIDE, "9" * 5000, "a whole number"),
        (SHARE, "nan", "is nan; it must be a number from 0 to 1"),
        (SHARE, "inf", "is inf;"),
        (SHARE, "-inf", "is -inf;"),
        (SHARE, "1e400", "is inf;"),
        (SHARE, "1.0000001", "from 0 to 1"),
        (SHARE, "-0.1", "from 0 to 1"),
        (WAY, "", "auto, own or cuda"),
        (WAY, "x" * 5000, "…;"),
        (MODEL, "3", "it must be 1, 2 or 5"),
        (LIST, "glb,docx", "one or more of glb, obj, separated by commas"),
        (LIST, "", "one or more of"),
        (BOX, "everything", "auto, off or xmin,ymin,zmin,xmax,ymax,zmax"),
        (BOX, "1,1,1,0,0,0", "auto, off or"),
        (BOX, "0,0,0,1,1,nan", "auto, off or"),
        (TRUTH, "maybe", "true or false"),
        (CARD, "-3", "a whole number from -2 to 63, or null"),
        (replace(SIDE, maximum=None), "63", "a whole number at least 64 px"),
        (replace(SIDE, minimum=None), "5001", "a whole number at most 5000 px"),
    ],
)
def test_what_is_not_allowed_is_refused(parameter: Parameter, text: str, says: str) -> None:
    assert says in refusal(parameter, text)
    assert len(refusal(parameter, text)) < 400


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (SIDE, "64", 64),
        (SIDE, "5000", 5000),
        (SHARE, "1", 1.0),
        (SHARE, "0.25", 0.25),
        (WAY, "own", "own"),
        (MODEL, "5", 5),
        (LIST, "obj, glb", "obj, glb"),
        (BOX, "off", "off"),
        (BOX, "-1,0,-1,1,2,1", "-1,0,-1,1,2,1"),
        (TRUTH, "Yes", True),
        (CARD, "none", None),
        (CARD, "", None),
        (CARD, "0", 0),
        (Parameter.like(None), "7", 7),
        (Parameter.like(None), "nan", "nan"),
        (Parameter.like("best"), "anything at all", "anything at all"),
    ],
)
def test_what_is_allowed_keeps_its_type(parameter: Parameter, text: str, value: ParamValue) -> None:
    found = parameter.parsed("stage.name", text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", [True, "800", 800.5, None, math.nan, [800]])
def test_a_file_can_give_no_other_type(value: ParamValue) -> None:
    with pytest.raises(UsageError):
        SIDE.checked("stage.name", value)


NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=True, allow_infinity=True)


@given(
    kind=st.sampled_from([Kind.INT, Kind.FLOAT]),
    ends=st.tuples(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6)),
    value=NUMBERS,
)
def test_a_number_is_taken_just_where_it_is_in_range(
    kind: Kind, ends: tuple[int, int], value: float
) -> None:
    parameter = Parameter(kind=kind, minimum=min(ends), maximum=max(ends))
    whole = isinstance(value, int)
    good = min(ends) <= value <= max(ends) and (whole or kind is Kind.FLOAT)
    try:
        found = parameter.parsed("s.p", str(value))
    except UsageError as error:
        assert not good
        assert number_text(min(ends)) in error.message
    else:
        assert good
        assert found == value
        assert type(found) is (int if kind is Kind.INT else float)


@given(
    kind=st.sampled_from([Kind.INT, Kind.FLOAT]),
    ends=st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)),
    value=st.integers(-5000, 5000),
)
def test_a_clamped_number_is_allowed_and_changed_only_where_it_must_be(
    kind: Kind, ends: tuple[int, int], value: int
) -> None:
    parameter = Parameter(kind=kind, minimum=min(ends), maximum=max(ends))
    found = parameter.clamped(value if kind is Kind.INT else float(value))
    assert parameter.checked("s.p", found) == found
    if min(ends) <= value <= max(ends):
        assert found == value


@given(text=st.text())
def test_no_text_is_more_than_a_usage_error(text: str) -> None:
    for parameter in (SIDE, SHARE, WAY, MODEL, LIST, BOX, TRUTH, CARD, Parameter.like(None)):
        try:
            found = parameter.parsed("s.p", text)
        except UsageError:
            continue
        assert parameter.checked("s.p", found) == found
