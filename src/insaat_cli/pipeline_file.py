"""Strict reading of a pipeline file: YAML in, `Pipeline` out, or an error with its line.

Only YAML's safe scalars are built; every key, type, stage name and placeholder is checked.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import yaml

from insaat_cli.errors import Fault, UsageError
from insaat_cli.pipeline import (
    MEMORY_KEY,
    THREADS_KEY,
    DiskModel,
    Expectation,
    Ladder,
    MemoryModel,
    Multiplier,
    Params,
    ParamValue,
    Pipeline,
    Requirement,
    Stage,
    Threads,
    TimeModel,
    suggestion,
)

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
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or "/" in name_or_path:
        return load_pipeline(path)
    raise UsageError(
        f"there is no pipeline {name_or_path!r}",
        hint=f"{suggestion(name_or_path, shipped)}; or give the path of a .yaml file",
    )


def load_pipeline(path: Path) -> Pipeline:
    """The pipeline in `path`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the pipeline file {path}: {error}") from error
    return parse_pipeline(text, str(path))


def parse_pipeline(text: str, source: str) -> Pipeline:
    """The pipeline written in `text`; `source` is its name in error messages."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UsageError(f"{source}{line}: not valid YAML: {problem}") from error
    if root is None:
        raise UsageError(f"{source}:1: the file is empty")
    return _Reader(source).pipeline(root)


def _shipped() -> Iterator[tuple[str, Traversable]]:
    folder: Traversable = resources.files("insaat_cli") / "pipelines"
    if not folder.is_dir():  # an editable checkout: the files stand at the repository's top
        folder = Path(__file__).parents[2] / "pipelines"
    if folder.is_dir():
        for file in folder.iterdir():
            if file.name.endswith(".yaml"):
                yield file.name.removesuffix(".yaml"), file


class _Reader:
    """Turns YAML nodes into values, and what is wrong with them into errors with a line."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, node: yaml.Node, message: str, hint: str = "") -> UsageError:
        return UsageError(f"{self.source}:{node.start_mark.line + 1}: {message}", hint=hint)

    @contextmanager
    def blaming(self, node: yaml.Node) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise self.fail(node, str(error)) from error

    # nodes to plain values

    def mapping(self, node: yaml.Node, what: str, known: Iterable[str] | None) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, f"{what} must be a mapping (key: value)")
        found: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = self.scalar(key_node, str, f"a key of {what}")
            if key in found:
                raise self.fail(key_node, f"{what} has the key {key!r} twice")
            if known is not None and key not in known:
                raise self.fail(
                    key_node, f"{what} has the unknown key {key!r}", suggestion(key, known)
                )
            found[key] = value_node
        return found

    def sequence(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.fail(node, f"{what} must be a list")
        return list(node.value)

    def value(self, node: yaml.Node, what: str) -> ParamValue:
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(node, f"{what} must be a single value")
        loader = yaml.SafeLoader("")
        try:
            built = loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise self.fail(node, f"{what}: cannot read {node.value!r}") from error
        finally:
            loader.dispose()
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

    def params(self, node: yaml.Node, what: str) -> Params:
        fields = self.mapping(node, what, None)
        return {key: self.value(value, f"{what}.{key}") for key, value in fields.items()}

    # the parts of a pipeline

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
            presets[preset] = {}
            what = f"preset {preset}"
            for name, changes in self.mapping(preset_node, what, by_name).items():
                declared = by_name[name].params
                for key, value in self.mapping(changes, f"{what}.{name}", declared).items():
                    self._same_type(value, f"{what}.{name}.{key}", declared[key])
                presets[preset][name] = self._typed(self.params(changes, what), declared)
        return presets

    def stage(self, node: yaml.Node, earlier: list[str], names: list[str]) -> Stage:
        fields = self.mapping(node, "a stage", STAGE_KEYS)
        name = self._stage_name(node)
        if name in earlier:
            raise self.fail(fields["name"], f"stage {name} is declared twice")
        if ("run" in fields) == ("command" in fields):
            raise self.fail(node, f"stage {name} must have either 'run' or 'command'")
        needs = self.needs(fields["needs"], name, earlier, names) if "needs" in fields else ()
        params = self.params(fields["params"], f"{name}.params") if "params" in fields else {}
        values: dict[str, Any] = {
            "title": self.scalar(fields["title"], str, "title") if "title" in fields else name
        }
        if "version" in fields:
            values["version"] = self.scalar(fields["version"], int, "version")
        if "size_from" in fields:
            values["size_from"] = self.scalar(fields["size_from"], str, "size_from")
            if values["size_from"] not in earlier:
                raise self.fail(fields["size_from"], f"{name}.size_from is no earlier stage")
        readers: dict[str, Callable[[yaml.Node], Any]] = {
            "run": lambda at: self.scalar(at, str, "run"),
            "command": lambda at: self.command(at, needs, params),
            "outputs": self.outputs,
            "memory": lambda at: self.model(at, "memory", MemoryModel),
            "time": lambda at: self.model(at, "time", TimeModel),
            "disk": lambda at: self.model(at, "disk", DiskModel),
            "threads": self.threads,
            "expect": lambda at: tuple(self.expectation(x) for x in self.sequence(at, "expect")),
            "on_memory": lambda at: self.ladder(at, "on_memory", params),
            "on_failure": lambda at: self.ladder(at, "on_failure", params),
        }
        values |= {key: read(fields[key]) for key, read in readers.items() if key in fields}
        return Stage(name=name, needs=needs, params=params, **values)

    def _stage_name(self, node: yaml.Node) -> str:
        fields = self.mapping(node, "a stage", STAGE_KEYS)
        if "name" not in fields:
            raise self.fail(node, "a stage has no 'name'")
        name: str = self.scalar(fields["name"], str, "name")
        if not STAGE_NAME.match(name):
            raise self.fail(
                fields["name"],
                f"{name!r} is no stage name",
                "use a-z, 0-9, _ and -, a letter first",
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
                    f"stage {name} needs {need}, which does not stand before it",
                    "stages run in the order of the file, so a circle of needs cannot be",
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
        fields = self.mapping(node, "threads", ("max", "memory_bound"))
        maximum: int | None = None
        if "max" in fields and self.value(fields["max"], "threads.max") != "all":
            maximum = self.scalar(fields["max"], int, "threads.max")
            if maximum < 1:
                raise self.fail(fields["max"], "threads.max must be at least 1, or all")
        bound = "memory_bound" in fields and self.scalar(
            fields["memory_bound"], bool, "threads.memory_bound"
        )
        return Threads(maximum=maximum, memory_bound=bound)

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

    def ladder(self, node: yaml.Node, what: str, params: Params) -> Ladder:
        return tuple(self._rung(rung, what, params) for rung in self.sequence(node, what))

    def _rung(
        self, node: yaml.Node, what: str, params: Params
    ) -> dict[str, ParamValue | Multiplier]:
        rung: dict[str, ParamValue | Multiplier] = {}
        for key, value_node in self.mapping(node, what, (*RUNG_KEYS, *params)).items():
            text = value_node.value if isinstance(value_node, yaml.ScalarNode) else ""
            if key == THREADS_KEY and key not in params:
                rung[key] = max(1, self.scalar(value_node, int, key))
            elif text.startswith("*"):
                default = params.get(key, 1.0)
                if isinstance(default, bool) or not isinstance(default, int | float):
                    raise self.fail(value_node, f"{key} is no number, it cannot be multiplied")
                with self.blaming(value_node):
                    rung[key] = Multiplier(float(text[1:]))
            elif key not in params:
                raise self.fail(value_node, f"{key} must be a share, such as '* 0.6'")
            else:
                self._same_type(value_node, f"{what}.{key}", params[key])
                rung |= self._typed({key: self.value(value_node, key)}, params)
        return rung

    def _same_type(self, node: yaml.Node, what: str, default: ParamValue) -> None:
        value = self.value(node, what)
        if default is not None and value is not None:
            self.scalar(node, type(default), what)

    def _typed(self, values: Params, declared: Params) -> dict[str, ParamValue]:
        return {
            key: float(value)
            if isinstance(declared[key], float) and isinstance(value, int)
            else value
            for key, value in values.items()
        }


def _is_needed(requirement: Requirement) -> bool:
    return not requirement.without or find_spec(requirement.without) is None
