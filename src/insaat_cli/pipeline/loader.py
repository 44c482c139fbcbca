"""Strict reading of a pipeline file: YAML in, `Pipeline` out, or an error with its line.

Only YAML's safe scalars are built; every key, type, stage name and placeholder is checked.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import yaml

from insaat_cli.errors import Fault, UsageError
from insaat_cli.formatting import suggestion
from insaat_cli.pipeline.definition import (
    MEMORY_KEY,
    THREADS_KEY,
    DiskModel,
    Expectation,
    Ladder,
    MemoryModel,
    Multiplier,
    Pipeline,
    Requirement,
    Stage,
    Threads,
    TimeModel,
)
from insaat_cli.pipeline.parameter_file import ParameterReader, built_in_parameters
from insaat_cli.pipeline.parameters import Parameter, Params, ParamValue
from insaat_cli.pipeline.yaml_nodes import compose

Model = TypeVar("Model", MemoryModel, TimeModel, DiskModel)
PLAIN_PLACEHOLDERS = ("workspace", "output", "photos", "threads", "memory_mb")
RUNG_KEYS = (THREADS_KEY, MEMORY_KEY)
STAGE_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")
STAGE_KEYS = (
    "name", "title", "run", "command", "version", "needs", "params", "outputs", "memory", "time",
    "disk", "threads", "size_from", "expect", "on_memory", "on_failure",
)  # fmt: skip


def shipped_pipelines() -> dict[str, str]:
    """Name → YAML text's location, of every pipeline that comes with this package."""
    return {name: str(file) for name, file in sorted(_shipped())}


def find_pipeline(name_or_path: str) -> Pipeline:
    """A shipped pipeline by name, or the pipeline in a file of the user."""
    shipped = dict(_shipped())
    if name_or_path in shipped:
        file = shipped[name_or_path]
        return parse_pipeline(file.read_text(encoding="utf-8"), str(file))
    if names_file(name_or_path):
        return load_pipeline(Path(name_or_path))
    raise UsageError(
        f"unknown pipeline {name_or_path!r}",
        hint=f"{suggestion(name_or_path, shipped)}; or give the path of a .yaml file",
    )


def names_file(name_or_path: str) -> bool:
    """Whether this is the path of a pipeline file, as opposed to the name of a shipped one."""
    return Path(name_or_path).suffix in (".yaml", ".yml") or "/" in name_or_path


def load_pipeline(path: Path) -> Pipeline:
    """The pipeline in `path`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the pipeline file {path}: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or a name with a NUL
        raise UsageError(f"cannot read the pipeline file {path}: {error}") from error
    return parse_pipeline(text, str(path))


def parse_pipeline(text: str, source: str) -> Pipeline:
    """The pipeline written in `text`; `source` is its name in error messages."""
    return _Reader(source).pipeline(compose(text, source))


def _shipped() -> Iterator[tuple[str, Traversable]]:
    folder: Traversable = resources.files("insaat_cli") / "pipelines"
    if not folder.is_dir():  # an editable checkout: the files stand at the repository's top
        folder = Path(__file__).parents[3] / "pipelines"
    if folder.is_dir():
        for file in folder.iterdir():
            if file.name.endswith(".yaml"):
                yield file.name.removesuffix(".yaml"), file


class _Reader(ParameterReader):
    """Turns the nodes of a pipeline file into a pipeline."""

    def pipeline(self, root: yaml.Node) -> Pipeline:
        fields = self.mapping(
            root, "the pipeline", ("name", "summary", "requires", "presets", "stages")
        )
        for key in ("name", "stages"):
            if key not in fields:
                raise self.fail(root, f"the pipeline has no {key!r}")
        nodes = self.sequence(fields["stages"], "stages")
        if not nodes:
            raise self.fail(fields["stages"], "the pipeline has no stages")
        stages: list[Stage] = []
        names = [self._stage_name(node) for node in nodes]
        for node in nodes:
            stages.append(self.stage(node, [stage.name for stage in stages], names))
        requires = self.sequence(fields["requires"], "requires") if "requires" in fields else []
        return Pipeline(
            name=self.scalar(fields["name"], str, "name"),
            summary=self.scalar(fields["summary"], str, "summary") if "summary" in fields else "",
            source=self.source,
            requires=tuple(filter(_is_needed, map(self.requirement, requires))),
            presets=self.presets(fields["presets"], stages) if "presets" in fields else {},
            stages=tuple(stages),
        )

    def requirement(self, node: yaml.Node) -> Requirement:
        what = "a requirement"
        fields = self.mapping(node, what, ("program", "version", "arguments", "hint", "without"))
        if "program" not in fields:
            raise self.fail(node, f"{what} has no 'program'")
        values: dict[str, Any] = {
            key: self.scalar(fields[key], str, key)
            for key in ("program", "version", "hint", "without")
            if key in fields
        }
        if "arguments" in fields:
            values["arguments"] = self.texts(fields["arguments"], "arguments")
        return Requirement(**values)

    def presets(self, node: yaml.Node, stages: list[Stage]) -> Mapping[str, Mapping[str, Params]]:
        by_name = {stage.name: stage for stage in stages}
        presets: dict[str, dict[str, Params]] = {}
        for preset, preset_node in self.mapping(node, "presets", None).items():
            what = f"preset {preset}"
            presets[preset] = {
                name: {
                    key: self._checked(value, f"{name}.{key}", by_name[name].parameter(key))
                    for key, value in self.mapping(
                        changes, f"{what}.{name}", by_name[name].params
                    ).items()
                }
                for name, changes in self.mapping(preset_node, what, by_name).items()
            }
        return presets

    def stage(self, node: yaml.Node, earlier: list[str], names: list[str]) -> Stage:
        fields = self.mapping(node, "a stage", STAGE_KEYS)
        name = self._stage_name(node)
        if name in earlier:
            raise self.fail(fields["name"], f"stage {name} is declared twice")
        if ("run" in fields) == ("command" in fields):
            raise self.fail(node, f"stage {name} must have either 'run' or 'command'")
        needs = self.needs(fields["needs"], name, earlier, names) if "needs" in fields else ()
        params, described = self.params(fields, name)
        values: dict[str, Any] = {
            "title": self.scalar(fields["title"], str, "title") if "title" in fields else name
        }
        if "version" in fields:
            values["version"] = self.scalar(fields["version"], int, "version")
        if "size_from" in fields:
            values["size_from"] = self.scalar(fields["size_from"], str, "size_from")
            if values["size_from"] not in earlier:
                raise self.fail(fields["size_from"], f"{name}.size_from must name an earlier stage")
        readers: dict[str, Callable[[yaml.Node], Any]] = {
            "run": lambda at: self.scalar(at, str, "run"),
            "command": lambda at: self.command(at, needs, params),
            "outputs": self.outputs,
            "memory": lambda at: self.model(at, "memory", MemoryModel),
            "time": lambda at: self.model(at, "time", TimeModel),
            "disk": lambda at: self.model(at, "disk", DiskModel),
            "threads": self.threads,
            "expect": lambda at: tuple(self.expectation(x) for x in self.sequence(at, "expect")),
            "on_memory": lambda at: self.ladder(at, f"{name}.on_memory", described),
            "on_failure": lambda at: self.ladder(at, f"{name}.on_failure", described),
        }
        values |= {key: read(fields[key]) for key, read in readers.items() if key in fields}
        return Stage(name=name, needs=needs, params=params, described=described, **values)

    def params(
        self, stage: Mapping[str, yaml.Node], name: str
    ) -> tuple[dict[str, ParamValue], dict[str, Parameter]]:
        """Defaults and descriptions of a stage's parameters."""
        if "params" not in stage:
            return {}, {}
        module = self.scalar(stage["run"], str, "run") if "run" in stage else ""
        known = built_in_parameters(module)
        params: dict[str, ParamValue] = {}
        described: dict[str, Parameter] = {}
        for key, node in self.mapping(stage["params"], f"{name}.params", known).items():
            if known is None:
                params[key], described[key] = self.described(node, f"{name}.{key}")
            else:
                described[key] = known[key]
                params[key] = self._checked(node, f"{name}.{key}", known[key])
        return params, described

    def _checked(self, node: yaml.Node, what: str, parameter: Parameter) -> ParamValue:
        with self.blaming(node):
            return parameter.checked(what, self.value(node, what))

    def _stage_name(self, node: yaml.Node) -> str:
        fields = self.mapping(node, "a stage", STAGE_KEYS)
        if "name" not in fields:
            raise self.fail(node, "a stage has no 'name'")
        name: str = self.scalar(fields["name"], str, "name")
        if not STAGE_NAME.match(name):
            raise self.fail(
                fields["name"],
                f"{name!r} is not a valid stage name",
                "use a-z, 0-9, _ and -, starting with a letter",
            )
        return name

    def needs(
        self, node: yaml.Node, name: str, earlier: list[str], names: list[str]
    ) -> tuple[str, ...]:
        needs = self.texts(node, "needs")
        for need, item in zip(needs, self.sequence(node, "needs"), strict=True):
            if need not in names:
                raise self.fail(
                    item, f"stage {name} needs the unknown stage {need!r}", suggestion(need, names)
                )
            if need not in earlier:
                raise self.fail(
                    item,
                    f"stage {name} needs {need}, which comes after it",
                    "stages run in the order of the file; a stage can only need earlier ones",
                )
        return needs

    def command(self, node: yaml.Node, needs: tuple[str, ...], params: Params) -> tuple[str, ...]:
        arguments = self.texts(node, "command")
        if not arguments:
            raise self.fail(node, "the command is empty")
        known = [*PLAIN_PLACEHOLDERS]
        known += [f"inputs.{need}" for need in needs] + [f"params.{key}" for key in params]
        for argument, item in zip(arguments, self.sequence(node, "command"), strict=True):
            with self.blaming(item):
                parts = list(string.Formatter().parse(argument))
            for _, field, spec, conversion in parts:
                if field is not None and (field not in known or spec or conversion):
                    raise self.fail(
                        item, f"unknown placeholder {{{field}}}", suggestion(field, known)
                    )
        return arguments

    def outputs(self, node: yaml.Node) -> tuple[str, ...]:
        outputs = self.texts(node, "outputs")
        for output, item in zip(outputs, self.sequence(node, "outputs"), strict=True):
            parts = Path(output).parts
            if not parts or ".." in parts or Path(output).is_absolute():
                raise self.fail(item, f"the output {output!r} is not inside the stage's folder")
        return outputs

    def model(self, node: yaml.Node, what: str, kind: type[Model]) -> Model:
        fields = self.mapping(node, what, list(kind.__dataclass_fields__))
        return kind(**{key: self.number(value, key) for key, value in fields.items()})

    def threads(self, node: yaml.Node) -> Threads:
        fields = self.mapping(node, "threads", ("max",))
        maximum: int | None = None
        if "max" in fields and self.value(fields["max"], "threads.max") != "all":
            maximum = self.scalar(fields["max"], int, "threads.max")
            if maximum < 1:
                raise self.fail(fields["max"], "threads.max must be at least 1, or all")
        return Threads(maximum=maximum)

    def expectation(self, node: yaml.Node) -> Expectation:
        fields = self.mapping(node, "expect", ("metric", "file", "min", "max", "fault", "hint"))
        if ("metric" in fields) == ("file" in fields):
            raise self.fail(node, "an expectation has either 'metric' or 'file'")
        if "metric" in fields and not {"min", "max"} & set(fields):
            raise self.fail(node, "an expected metric needs 'min' or 'max'")
        values: dict[str, Any] = {
            key: self.scalar(fields[key], str, key)
            for key in ("metric", "file", "hint")
            if key in fields
        }
        for key, name in (("min", "minimum"), ("max", "maximum")):
            if key in fields:
                values[name] = self.scalar(fields[key], float, key)
        if "fault" in fields:
            fault = self.scalar(fields["fault"], str, "fault")
            if fault not in list(Fault):
                raise self.fail(
                    fields["fault"], f"unknown fault {fault!r}", suggestion(fault, list(Fault))
                )
            values["fault"] = Fault(fault)
        return Expectation(**values)

    def ladder(self, node: yaml.Node, what: str, described: Mapping[str, Parameter]) -> Ladder:
        return tuple(self._rung(rung, what, described) for rung in self.sequence(node, what))

    def _rung(
        self, node: yaml.Node, what: str, described: Mapping[str, Parameter]
    ) -> dict[str, ParamValue | Multiplier]:
        rung: dict[str, ParamValue | Multiplier] = {}
        for key, value_node in self.mapping(node, what, (*RUNG_KEYS, *described)).items():
            text = value_node.value if isinstance(value_node, yaml.ScalarNode) else ""
            if key == THREADS_KEY and key not in described:
                rung[key] = max(1, self.scalar(value_node, int, key))
            elif text.startswith("*"):
                if key in described and not described[key].kind.is_number:
                    raise self.fail(value_node, f"{key} is not a number and cannot be multiplied")
                with self.blaming(value_node):
                    rung[key] = Multiplier(float(text[1:]))
            elif key not in described:
                raise self.fail(value_node, f"{key} must be a share, such as '* 0.6'")
            else:
                rung[key] = self._checked(value_node, f"{what}.{key}", described[key])
        return rung


def _is_needed(requirement: Requirement) -> bool:
    return not requirement.without or find_spec(requirement.without) is None
