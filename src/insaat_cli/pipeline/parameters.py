"""What the parameters of stages may be: type, range, unit and meaning, described in one place.

The parameters of a built-in stage stand in `stages/NAME.yaml`, those of a pipeline's own commands
in the pipeline file. Checks of every setting, `insaat pipelines show`, `docs/parameters.md` and
shell completion all read these descriptions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from insaat_cli.errors import UsageError
from insaat_cli.formatting import did_you_mean
from insaat_cli.pipeline.region import AUTO, OFF, read_box

ParamValue = bool | int | float | str | None
Params = Mapping[str, ParamValue]
TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
NULL = ("null", "none", "")
BOX_FORM = "xmin,ymin,zmin,xmax,ymax,zmax"
SHOWN_CHARACTERS = 80
"""Of a wrong value, in an error."""


class Kind(StrEnum):
    """The type of a parameter, under its name in YAML files."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    TEXT = "text"
    LIST = "list"
    """Choices, separated by commas."""
    BOX = "box"
    """A region of interest: auto, off or two corners."""
    ANY = "any"
    """Not described, and null by default: any single value."""

    @property
    def is_number(self) -> bool:
        return self in (Kind.INT, Kind.FLOAT)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """The description of one parameter of a stage."""

    kind: Kind
    minimum: float | None = None
    """The smallest number allowed; None: there is none. `maximum` likewise."""
    maximum: float | None = None
    choices: tuple[int | str, ...] = ()
    """The only values of a number or text, or the items of a list; (): all."""
    nullable: bool = False
    """Null is a value, too."""
    unit: str = ""
    about: str = ""
    """Its meaning: a sentence without a capital and a full stop."""

    @classmethod
    def like(cls, default: ParamValue) -> Parameter:
        """The parameter of which only a default is known: every value of its type is allowed."""
        match default:
            case bool():
                return cls(kind=Kind.BOOL)
            case int():
                return cls(kind=Kind.INT)
            case float():
                return cls(kind=Kind.FLOAT)
            case str():
                return cls(kind=Kind.TEXT)
        return cls(kind=Kind.ANY, nullable=True)

    def checked(self, name: str, value: ParamValue) -> ParamValue:
        """`value` in the type of this parameter.

        Raises UsageError, which says what the parameter `name` may be, for another type and for
        values outside of range and choices.
        """
        if value is None and self.nullable:
            return None
        if self.kind is Kind.FLOAT and type(value) is int and abs(value) < 2**53:
            value = float(value)
        if not self._has_type(value) or not self._is_allowed(value):
            raise self._refusal(name, value)
        return value

    def parsed(self, name: str, text: str) -> ParamValue:
        """The value that `text` stands for on the command line, checked."""
        if self.nullable and text.lower() in NULL:
            return None
        try:
            value = READERS[self.kind](text)
        except (KeyError, ValueError):
            raise self._refusal(name, text) from None
        return self.checked(name, value)

    def clamped(self, value: ParamValue) -> ParamValue:
        """A number moved into the range; anything else as it is."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        low = value if self.minimum is None else max(value, self.minimum)
        inside = low if self.maximum is None else min(low, self.maximum)
        return int(inside) if self.kind is Kind.INT else inside

    @property
    def range(self) -> str:
        """The allowed values in short, for tables: `64 to 5000 px`, `auto, own or cuda`."""
        words = self._range() if self.kind.is_number and not self.choices else self._choices()
        words = words.replace(BOX_FORM, "a box")
        return f"{words} or null" if self.nullable and self.kind is not Kind.ANY else words

    @property
    def allowed(self) -> str:
        """The allowed values in words, to stand after "it must be"."""
        if self.kind.is_number and not self.choices:
            type_name = "a whole number" if self.kind is Kind.INT else "a number"
            range_ = self._range()
            words = f"{type_name} {'from ' if self._is_closed else ''}{range_}".strip()
        elif self.kind is Kind.LIST:
            words = f"one or more of {self._choices()}, separated by commas"
        else:
            words = self._choices()
        return f"{words}, or null" if self.nullable else words

    @property
    def _is_closed(self) -> bool:
        return self.minimum is not None and self.maximum is not None

    def _range(self) -> str:
        low, high = self.minimum, self.maximum
        words = ""
        if low is not None and high is not None:
            words = f"{number_text(low)} to {number_text(high)}"
        elif low is not None:
            words = f"at least {number_text(low)}"
        elif high is not None:
            words = f"at most {number_text(high)}"
        return f"{words} {self.unit}".strip()

    def _choices(self) -> str:
        match self.kind:
            case Kind.BOOL:
                known: Sequence[int | str] = ("true", "false")
            case Kind.BOX:
                known = (AUTO, OFF, BOX_FORM)
            case Kind.ANY:
                return "any value"
            case _:
                known = self.choices
        if not known:
            return "text"
        *others, last = [str(choice) for choice in known]
        between = ", " if self.kind is Kind.LIST else " or "
        return f"{', '.join(others)}{between}{last}" if others else last

    def _has_type(self, value: ParamValue) -> bool:
        match self.kind:
            case Kind.ANY:
                return True
            case Kind.BOOL:
                return isinstance(value, bool)
            case Kind.INT:
                return type(value) is int
            case Kind.FLOAT:
                return isinstance(value, float) and math.isfinite(value)
        return isinstance(value, str)

    def _is_allowed(self, value: ParamValue) -> bool:
        match value, self.kind:
            case str(), Kind.BOX:
                return value in (AUTO, OFF) or _is_box(value)
            case str(), Kind.LIST:
                return all(item.strip() in self.choices for item in value.split(","))
            case bool(), _:
                return True
            case int() | float(), _:
                too_small = self.minimum is not None and value < self.minimum
                too_large = self.maximum is not None and value > self.maximum
                return not too_small and not too_large and value in (self.choices or [value])
        return value in (self.choices or [value])

    def _refusal(self, name: str, value: ParamValue) -> UsageError:
        shown = repr(value) if isinstance(value, str) else value_text(value)
        if len(shown) > SHOWN_CHARACTERS:
            shown = shown[:SHOWN_CHARACTERS] + "…"
        about = f" ({self.about})" if self.about else ""
        return UsageError(
            f"{name} is {shown}; it must be {self.allowed}{about}",
            hint=did_you_mean(str(value), [str(choice) for choice in self.choices]),
        )


def value_text(value: ParamValue) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    return number_text(value) if isinstance(value, int | float) else value


def number_text(number: float) -> str:
    """`0.5`, `20000`: as short as it can be."""
    return f"{number:.0f}" if isinstance(number, float) and number.is_integer() else str(number)


def _is_box(text: str) -> bool:
    try:
        read_box(text)
    except UsageError:
        return False
    return True


def _guess(text: str) -> ParamValue:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else text
    return text


READERS: Mapping[Kind, Callable[[str], ParamValue]] = {
    Kind.BOOL: lambda text: TRUTH[text.lower()],
    Kind.INT: int,
    Kind.FLOAT: float,
    Kind.TEXT: str,
    Kind.LIST: str,
    Kind.BOX: str,
    Kind.ANY: _guess,
}
