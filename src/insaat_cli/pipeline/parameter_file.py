"""Reading descriptions of parameters: of built-in stages from `stages/NAME.yaml`, of others from
the pipeline file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import yaml

from insaat_cli.formatting import suggestion
from insaat_cli.pipeline.parameters import Kind, Parameter, ParamValue
from insaat_cli.pipeline.yaml_nodes import NodeReader, compose

PACKAGE = "insaat_cli"
STAGES = "stages"
DESCRIPTION_KEYS = ("type", "min", "max", "choices", "nullable", "unit", "about")
DESCRIBABLE = [kind for kind in Kind if kind is not Kind.ANY]


def built_in_parameters(module: str) -> Mapping[str, Parameter] | None:
    """Every parameter of the stage in `module` by name; None where that is no described stage.

    Found beside the stage, which is not imported: that would load OpenCV.
    """
    package, _, name = module.rpartition(".")
    if package != f"{PACKAGE}.{STAGES}" or not name.isidentifier():
        return None
    file = resources.files(PACKAGE) / STAGES / f"{name}.yaml"
    if not file.is_file():
        return None
    return ParameterReader(str(file)).stage_parameters(file.read_text(encoding="utf-8"))


class ParameterReader(NodeReader):
    """Reads descriptions of parameters."""

    def stage_parameters(self, text: str) -> dict[str, Parameter]:
        """A whole file: a description for each name."""
        found = {}
        for name, node in self.mapping(compose(text, self.source), "the file", None).items():
            fields = self.mapping(node, name, DESCRIPTION_KEYS)
            for key in ("type", "about"):
                if key not in fields:
                    raise self.fail(node, f"{name} has no {key!r}")
            found[name] = self._parameter(name, fields, Kind.ANY)
        return found

    def described(self, node: yaml.Node, what: str) -> tuple[ParamValue, Parameter]:
        """Default and description of a parameter of a pipeline's own; the type is the default's."""
        if not isinstance(node, yaml.MappingNode):
            default = self.value(node, what)
            with self.blaming(node):
                return Parameter.like(default).checked(what, default), Parameter.like(default)
        fields = self.mapping(node, what, ("default", *DESCRIPTION_KEYS))
        if "default" not in fields:
            raise self.fail(node, f"{what} has no 'default'")
        default = self.value(fields["default"], f"{what}.default")
        parameter = self._parameter(what, fields, Parameter.like(default).kind)
        with self.blaming(fields["default"]):
            return parameter.checked(what, default), parameter

    def _parameter(self, what: str, fields: Mapping[str, yaml.Node], kind: Kind) -> Parameter:
        if "type" in fields:
            kind = self._kind(fields["type"], what)
        found = Parameter(
            kind=kind,
            minimum=self._bound(fields, "min", what, kind),
            maximum=self._bound(fields, "max", what, kind),
            choices=self._choices(fields["choices"], what, kind) if "choices" in fields else (),
            nullable=kind is Kind.ANY
            or ("nullable" in fields and self.scalar(fields["nullable"], bool, "nullable")),
            unit=self.scalar(fields["unit"], str, "unit") if "unit" in fields else "",
            about=self.scalar(fields["about"], str, "about") if "about" in fields else "",
        )
        if None not in (found.minimum, found.maximum) and found.minimum > found.maximum:  # type: ignore[operator]
            raise self.fail(fields["max"], f"{what}: max is below min")
        if kind is Kind.LIST and not found.choices:
            raise self.fail(fields["type"], f"{what} is a list and needs 'choices'")
        return found

    def _kind(self, node: yaml.Node, what: str) -> Kind:
        name = self.scalar(node, str, f"{what}.type")
        if name not in DESCRIBABLE:
            raise self.fail(node, f"unknown type {name!r}", suggestion(name, DESCRIBABLE))
        return Kind(name)

    def _bound(
        self, fields: Mapping[str, yaml.Node], key: str, what: str, kind: Kind
    ) -> float | None:
        if key not in fields:
            return None
        if not kind.is_number:
            raise self.fail(fields[key], f"{what} is not a number and cannot have {key!r}")
        number: float = self.scalar(
            fields[key], int if kind is Kind.INT else float, f"{what}.{key}"
        )
        if not float("-inf") < number < float("inf"):
            raise self.fail(fields[key], f"{what}.{key} must be finite; leave it out instead")
        return number

    def _choices(self, node: yaml.Node, what: str, kind: Kind) -> tuple[int | str, ...]:
        if kind not in (Kind.INT, Kind.TEXT, Kind.LIST):
            raise self.fail(node, f"{what} cannot have choices: they are for int, text and list")
        item = int if kind is Kind.INT else str
        choices = tuple(
            self.scalar(choice, item, f"a choice of {what}")
            for choice in self.sequence(node, f"{what}.choices")
        )
        if not choices:
            raise self.fail(node, f"{what} has no choices")
        return choices
