"""TypeScript types of the dashboard's messages, from their pydantic models."""

import inspect
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from websim_dashboard import binary, log_rows, messages

HEAD = """\
// Generated from messages.py and log_rows.py of services/dashboard/websim_dashboard by `make docs`: do not edit.

"""

ALIASES = ("RunState", "EventKind", "GeomType", "Role", "ServerMessage", "ClientMessage")
"""Named types of the module that are no models."""

CONSTANTS = {
    "MAGIC": binary.MAGIC,
    "VERSION": binary.VERSION,
    "KIND_FIGURES": binary.FIGURES,
    "KIND_POSE": binary.POSE,
    "HEADER_BYTES": binary.HEADER_BYTES,
    "MAX_HZ": messages.MAX_HZ,
}
"""What both sides must agree on besides types."""

NAMES = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean"}
"""TypeScript's names of JSON's plain types."""


def messages_page() -> str:
    """Return web/src/generated/messages.ts."""
    declared = [*vars(messages).values(), *vars(log_rows).values()]
    models = list(dict.fromkeys(each for each in declared if _is_message(each)))
    _, document = models_json_schema([(each, "serialization") for each in models])
    definitions = document["$defs"]
    parts = [f"export const {name} = {value:g};\n" for name, value in CONSTANTS.items()]
    parts.append("\n")
    for alias in ALIASES:
        schema = TypeAdapter(getattr(messages, alias)).json_schema(mode="serialization")
        parts.append(f"export type {alias} = {_type(schema)};\n\n")
    parts += [_interface(each.__name__, definitions[each.__name__]) for each in models]
    return HEAD + "".join(parts).rstrip() + "\n"


def _is_message(value: object) -> bool:
    return (
        inspect.isclass(value)
        and issubclass(value, BaseModel)
        and value.__module__ in (messages.__name__, log_rows.__name__)
        and value not in (messages.Message, log_rows.Told)
    )


def _interface(name: str, schema: dict[str, Any]) -> str:
    comment = " ".join(schema.get("description", "").split())
    lines = [f"/** {comment} */", f"export interface {name} {{"]
    for key, each in schema.get("properties", {}).items():
        if "description" in each:
            lines.append(f"  /** {' '.join(each['description'].split())} */")
        lines.append(f"  {key}: {_type(each)};")
    return "\n".join([*lines, "}", "", ""])


def _type(schema: dict[str, Any]) -> str:
    """Return a JSON schema as a TypeScript type.

    Raises:
        ValueError: It is of a kind that this cannot express yet.
    """
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    if "const" in schema:
        return _quoted(schema["const"])
    if "enum" in schema:
        return " | ".join(map(_quoted, schema["enum"]))
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " | ".join(map(_type, schema[union]))
    match schema.get("type"):
        case "null":
            return "null"
        case "array":
            inner = _type(schema["items"])
            return f"({inner})[]" if "|" in inner else f"{inner}[]"
        case "object":
            values = schema.get("additionalProperties", True)
            return f"Record<string, {'unknown' if values is True else _type(values)}>"
        case str(name) if name in NAMES:
            return NAMES[name]
    raise ValueError(f"no TypeScript is known for {schema}")


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
