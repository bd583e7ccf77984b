"""Read a task file's YAML: plain data only, bounded, with the line of every key.

Called by the parser. Refuses what makes YAML dangerous or surprising: aliases, tags, duplicate
keys, deep nesting, `yes`/`no` booleans (they stay text), and reads `1e-4` as the number it is.
"""

import re
from dataclasses import dataclass, field

import yaml

from websim.tasks.errors import TaskError

MAX_BYTES = 256 * 1024
"""A task file is a few KiB; the largest we ship is 5."""
MAX_DEPTH = 24
MAX_NODES = 20_000
MAX_NUMBER_LENGTH = 40

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
Key = tuple[str | int, ...]

_BOOL = {"true": True, "True": True, "false": False, "False": False}
_NULL = {"", "~", "null", "Null"}
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_SPECIAL = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf")}


@dataclass(frozen=True)
class YamlFile:
    """A read file: its data, and for every key the line on which it stands."""

    data: Plain
    file: str
    lines: dict[Key, int] = field(default_factory=dict)

    def where(self, *key: str | int) -> str:
        """Name a key for a person: 'task.yaml line 12, fields.x_velocity'."""
        line = next(
            (self.lines[key[:n]] for n in range(len(key), -1, -1) if key[:n] in self.lines), 1
        )
        dotted = ".".join(str(part) for part in key)
        return f"{self.file} line {line}, {dotted}" if dotted else f"{self.file} line {line}"


def read_yaml(source: bytes, file: str = "task.yaml") -> YamlFile:
    """Parse `source` into plain data, or raise TaskError saying where it goes wrong."""
    if len(source) > MAX_BYTES:
        raise TaskError(
            f"the file has {len(source)} bytes; at most {MAX_BYTES} are read", where=file
        )
    try:
        text = source.decode("utf-8")
        _refuse_aliases_and_depth(text, file)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise TaskError(f"the file is not UTF-8 text ({error.reason})", where=file) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        is_colon = "mapping values" in str(error.problem)
        remedy = "put a text that holds a colon in quotes" if is_colon else ""
        where = f"{file} line {line}"
        raise TaskError(f"not YAML: {error.problem}", where=where, remedy=remedy) from None
    except yaml.YAMLError as error:
        raise TaskError(f"not YAML: {error}", where=file) from None
    if node is None:
        raise TaskError("the file is empty", where=file)
    read = YamlFile(data=None, file=file)
    return YamlFile(data=_plain(node, (), read), file=file, lines=read.lines)


def _refuse_aliases_and_depth(text: str, file: str) -> None:
    """Walk the event stream, which takes no recursion, before anything is built from it."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        where = f"{file} line {event.start_mark.line + 1 if event.start_mark else 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise TaskError("YAML anchors and aliases are not read", where=where)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise TaskError(f"nested more than {MAX_DEPTH} levels deep", where=where)
        if nodes > MAX_NODES:
            raise TaskError(f"more than {MAX_NODES} values", where=where)
        if isinstance(event, yaml.DocumentStartEvent) and event.version is not None:
            raise TaskError("YAML directives are not read", where=where)


def _plain(node: yaml.Node, key: Key, read: YamlFile) -> Plain:
    read.lines.setdefault(key, node.start_mark.line + 1)
    if node.tag not in _TAGS:
        raise TaskError(f"the tag {node.tag!r} is not read", where=read.where(*key))
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*key, index), read) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Plain] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                raise TaskError("a key must be a name", where=read.where(*key))
            name = name_node.value
            read.lines[(*key, name)] = name_node.start_mark.line + 1
            if name in out:
                raise TaskError(f"the key {name!r} occurs twice", where=read.where(*key, name))
            out[name] = _plain(value_node, (*key, name), read)
        return out
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node)


def _scalar(node: yaml.ScalarNode) -> Plain:
    text: str = node.value
    if node.style is not None:
        return text
    if text in _BOOL:
        return _BOOL[text]
    if text in _NULL:
        return None
    if text in _SPECIAL:
        return _SPECIAL[text]
    if len(text) <= MAX_NUMBER_LENGTH:
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")
)
