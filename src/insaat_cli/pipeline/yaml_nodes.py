"""Strict reading of YAML nodes: plain values out, or an error with file and line.

Only YAML's safe scalars are built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from insaat_cli.errors import UsageError
from insaat_cli.formatting import suggestion
from insaat_cli.pipeline.parameters import ParamValue


def compose(text: str, source: str) -> yaml.Node:
    """The root node of a YAML text; `source` is its name in error messages."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UsageError(f"{source}{line}: not valid YAML: {problem}") from error
    if root is None:
        raise UsageError(f"{source}:1: the file is empty")
    return root


class NodeReader:
    """Turns YAML nodes into values, and what is wrong with them into errors with a line."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._constructor = yaml.constructor.SafeConstructor()

    def fail(self, node: yaml.Node, message: str, hint: str = "") -> UsageError:
        return UsageError(f"{self.source}:{node.start_mark.line + 1}: {message}", hint=hint)

    @contextmanager
    def blaming(self, node: yaml.Node) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise self.fail(node, str(error)) from error
        except UsageError as error:
            raise self.fail(node, error.message, error.hint) from error

    def mapping(
        self, node: yaml.Node, what: str, known: Iterable[str] | None
    ) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, f"{what} must be a mapping (key: value)")
        found: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = self.scalar(key_node, str, f"a key of {what}")
            if key in found:
                raise self.fail(key_node, f"{what}: duplicate key {key!r}")
            if known is not None and key not in known:
                raise self.fail(key_node, f"{what}: unknown key {key!r}", suggestion(key, known))
            found[key] = value_node
        return found

    def sequence(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.fail(node, f"{what} must be a list")
        return list(node.value)

    def value(self, node: yaml.Node, what: str) -> ParamValue:
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(node, f"{what} must be a single value")
        try:
            built = self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise self.fail(node, f"{what}: cannot read {node.value!r}") from error
        if built is not None and not isinstance(built, bool | int | float | str):
            raise self.fail(node, f"{what} is a {type(built).__name__}, put it in quotes")
        return built

    def scalar(self, node: yaml.Node, kind: type, what: str) -> Any:
        built = self.value(node, what)
        if kind is float and isinstance(built, int) and not isinstance(built, bool):
            return float(built)
        if not isinstance(built, kind) or (kind is not bool and isinstance(built, bool)):
            names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
            raise self.fail(node, f"{what} is {built!r}, it must be {names[kind]}")
        return built

    def texts(self, node: yaml.Node, what: str) -> tuple[str, ...]:
        return tuple(
            self.scalar(item, str, f"an item of {what}") for item in self.sequence(node, what)
        )

    def number(self, node: yaml.Node, what: str) -> float:
        number = self.scalar(node, float, what)
        if not 0 <= number < float("inf"):
            raise self.fail(node, f"{what} is {number}, it must not be negative or infinite")
        return float(number)
