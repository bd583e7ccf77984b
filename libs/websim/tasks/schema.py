"""The published JSON Schema of a task file, and what it has against one, in words for people."""

import difflib
import functools
import json
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from websim.tasks.errors import TaskError
from websim.tasks.strict_yaml import YamlFile


@functools.cache
def task_schema() -> dict[str, Any]:
    """The published JSON Schema of a task file."""
    schema: dict[str, Any] = json.loads(files("websim.tasks").joinpath("schema.json").read_text())
    return schema


def check_schema(read: YamlFile) -> None:
    """Raise TaskError at the first place where a file is not as the schema says."""
    if not isinstance(read.data, dict):
        raise TaskError("a task file is a mapping of keys", where=read.where())
    errors = sorted(
        _validator().iter_errors(read.data), key=lambda error: list(map(str, error.path))
    )
    if not errors:
        return
    error = errors[0]
    where = read.where(*error.absolute_path)
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        known = list(schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(unknown, known, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        where = read.where(*error.absolute_path, unknown)
        raise TaskError(f"the key {unknown!r} is not known here", where=where, remedy=remedy)
    raise TaskError(_complaint(error), where=where)


def _complaint(error: ValidationError) -> str:
    shown = repr(error.instance)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    note = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    note = f" ({note})" if note else ""
    allowed: Any = error.validator_value
    match error.validator:
        case "required":
            return error.message.replace("is a required property", "is missing")
        case "anyOf":
            return f"{shown} does not belong here{note}"
        case "pattern":
            if allowed == task_schema()["$defs"]["name"]["pattern"]:
                return f"{shown} is not a name (lower-case letters, digits and _)"
            return f"{shown} does not look as it must{note}"
        case "enum":
            return f"{shown} is not one of {', '.join(map(str, allowed))}"
        case "type":
            return f"{shown} is not of type {allowed}{note}"
        case "const":
            return f"{shown} is not {allowed!r}{note}"
    return error.message if len(error.message) <= 200 else f"{shown} is out of bounds{note}"


@functools.cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(task_schema())
