"""Turn a task file into a TaskDocument, or say in one line what is wrong and where.

Called by the client before a task travels and by the worker again before it runs. Checks the
JSON Schema, then what a schema cannot say: that names refer to something, exactly one kind per
field, no cycles. Sizes, joints and programs are checked by the worker, which has the model.
"""

import functools
from typing import Any

from websim.tasks.bundle import TASK_FILE, TaskBundle
from websim.tasks.document import (
    Clip,
    Difference,
    Elementwise,
    Expression,
    FieldSpec,
    JointNoise,
    Judge,
    ModelSpec,
    Noise,
    ObjectKind,
    ObservationPart,
    Parameter,
    ProgramText,
    Quantity,
    Rate,
    Reference,
    Region,
    ResetSpec,
    Source,
    TaskDocument,
    Value,
)
from websim.tasks.errors import TaskError
from websim.tasks.knob_parser import parse_knob
from websim.tasks.names import check_names
from websim.tasks.schema import check_schema
from websim.tasks.strict_yaml import YamlFile, read_yaml

_OBJECT_KINDS: tuple[ObjectKind, ...] = (
    "joint",
    "body",
    "geom",
    "site",
    "actuator",
    "tendon",
    "sensor",
)
_FIELD_KINDS = ("source", "rate", "expression", "sin", "cos", "difference")


def parse_task(bundle: TaskBundle, *, with_files: bool = True) -> TaskDocument:
    """Parse and check `bundle`'s task file.

    Args:
        bundle: The task.
        with_files: Also check that the model's file is in the bundle.

    Raises:
        TaskError: One line: what is wrong, where, and what to do.
    """
    document = _parse(bundle.task_yaml)
    model = document.model
    if with_files and model.file and model.file not in bundle.files:
        raise TaskError(f"the model {model.file!r} is not beside the task file", where=model.where)
    return document


@functools.lru_cache(maxsize=64)
def _parse(task_yaml: bytes) -> TaskDocument:
    """Parse a task file. Every shard of a session asks for the same one."""
    read = read_yaml(task_yaml, TASK_FILE)
    check_schema(read)
    assert isinstance(read.data, dict)
    document = _document(read, read.data)
    check_names(document)
    return document


def _document(read: YamlFile, data: dict[str, Any]) -> TaskDocument:
    return TaskDocument(
        id=data["id"],
        description=" ".join(data["description"].split()),
        model=_model(read, data["model"]),
        frame_skip=data["frame_skip"],
        max_episode_steps=data["max_episode_steps"],
        parameters=tuple(_parameter(n, v) for n, v in data.get("parameters", {}).items()),
        fields=tuple(_field(read, n, v) for n, v in data.get("fields", {}).items()),
        observation=tuple(_part(read, i, v) for i, v in enumerate(data["observation"])),
        reset=_reset(read, data.get("reset", {})),
        knobs=tuple(parse_knob(read, n, v) for n, v in data.get("knobs", {}).items()),
        reward=ProgramText(data["reward"], read.where("reward")),
        terminated=_optional_program(read, data, "terminated"),
        fitness=_judge(read, "fitness", data["fitness"]),
        success=_judge(read, "success", data["success"]) if "success" in data else None,
    )


def _model(read: YamlFile, data: dict[str, Any]) -> ModelSpec:
    if len([k for k in ("file", "gymnasium", "generate") if k in data]) != 1:
        raise TaskError(
            "a model comes from exactly one of file, gymnasium, generate", where=read.where("model")
        )
    return ModelSpec(**data, where=read.where("model"))


def _parameter(name: str, data: Any) -> Parameter:  # noqa: ANN401 - validated by the schema
    if isinstance(data, dict):
        return Parameter(
            name, _value(data["value"]), data.get("unit", ""), data.get("description", "")
        )
    return Parameter(name, _value(data))


def _value(data: Any) -> Value:  # noqa: ANN401 - validated by the schema
    if isinstance(data, list):
        return tuple(float(x) for x in data)
    value: bool | int | float | str = data
    return value


def _field(read: YamlFile, name: str, data: dict[str, Any]) -> FieldSpec:
    where = read.where("fields", name)
    kinds = [kind for kind in _FIELD_KINDS if kind in data]
    if len(kinds) != 1:
        raise TaskError(f"a field has exactly one of {', '.join(_FIELD_KINDS)}", where=where)
    if kinds != ["source"] and (stray := [k for k in (*_OBJECT_KINDS, "columns") if k in data]):
        raise TaskError(f"{stray[0]!r} selects from a source, and there is none", where=where)
    return FieldSpec(
        name=name,
        quantity=_quantity(data, kinds[0], where),
        clip=_clip(data),
        unit=data.get("unit", ""),
        description=data.get("description", ""),
        where=where,
    )


def _quantity(data: dict[str, Any], kind: str, where: str) -> Quantity:
    match kind:
        case "source":
            return _source(data, where)
        case "rate":
            return Rate(data["rate"])
        case "expression":
            return Expression(data["expression"])
        case "sin":
            return Elementwise("sin", data["sin"])
        case "cos":
            return Elementwise("cos", data["cos"])
    left, right = data["difference"]
    return Difference(left, right)


def _source(data: dict[str, Any], where: str) -> Source:
    kinds = [kind for kind in _OBJECT_KINDS if kind in data]
    if len(kinds) > 1:
        raise TaskError(f"select by one of {', '.join(kinds)}, not both", where=where)
    kind = kinds[0] if kinds else None
    objects = data[kind] if kind else None
    columns = data.get("columns")
    return Source(
        array=data["source"],
        kind=kind,
        objects=tuple(objects) if isinstance(objects, list) else objects,
        columns=tuple(columns) if isinstance(columns, list) else columns,
    )


def _clip(data: dict[str, Any]) -> Clip | None:
    clip = data.get("clip")
    return (clip[0], clip[1]) if isinstance(clip, list) else clip


def _part(read: YamlFile, index: int, data: Any) -> ObservationPart:  # noqa: ANN401 - validated
    where = read.where("observation", index)
    if isinstance(data, str):
        return ObservationPart(Reference(data), where=where)
    if ("field" in data) == ("source" in data):
        raise TaskError("an observation part has exactly one of field, source", where=where)
    if "field" in data and (stray := [k for k in (*_OBJECT_KINDS, "columns") if k in data]):
        raise TaskError(f"{stray[0]!r} selects from a source, not from a field", where=where)
    quantity = Reference(data["field"]) if "field" in data else _source(data, where)
    return ObservationPart(quantity, _clip(data), data.get("when"), data.get("unless"), where)


def _reset(read: YamlFile, data: dict[str, Any]) -> ResetSpec:
    return ResetSpec(
        keyframe=data.get("keyframe"),
        qpos=_noise(read, data, "qpos"),
        qvel=_noise(read, data, "qvel"),
        regions=tuple(_region(read, i, v) for i, v in enumerate(data.get("regions", []))),
    )


def _noise(read: YamlFile, data: dict[str, Any], name: str) -> Noise | None:
    if name not in data:
        return None
    noise = data[name]
    joints = tuple(
        JointNoise(joint, special.get("center"), special.get("scale"))
        for joint, special in noise.get("joints", {}).items()
    )
    return Noise(noise["distribution"], noise["scale"], joints, read.where("reset", name))


def _region(read: YamlFile, index: int, data: dict[str, Any]) -> Region:
    where = read.where("reset", "regions", index)
    joints = tuple(data["joints"])
    if ("disk" in data) == ("box" in data):
        raise TaskError("a region has exactly one of disk, box", where=where)
    inside = float(data.get("disk", float("inf")))
    box = data.get("box", {"low": [-inside] * len(joints), "high": [inside] * len(joints)})
    region = Region(
        joints,
        tuple(map(float, box["low"])),
        tuple(map(float, box["high"])),
        inside,
        float(data.get("outside_radius", 0.0)),
        where,
    )
    if not len(region.low) == len(region.high) == len(joints):
        raise TaskError("low and high need one number for each joint", where=where)
    if any(not low <= high for low, high in zip(region.low, region.high, strict=True)):
        raise TaskError("low is above high", where=where)
    return region


def _optional_program(read: YamlFile, data: dict[str, Any], name: str) -> ProgramText | None:
    return ProgramText(data[name], read.where(name)) if name in data else None


def _judge(read: YamlFile, name: str, data: dict[str, Any]) -> Judge:
    return Judge(
        program=ProgramText(data["program"], read.where(name, "program")),
        accumulate=data["accumulate"],
        per_horizon=data.get("per_horizon", False),
        unit=data.get("unit", ""),
        description=" ".join(data["description"].split()),
    )
