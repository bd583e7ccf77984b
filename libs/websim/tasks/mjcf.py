"""Judge an MJCF file before MuJoCo sees it, and write it anew from what was understood.

MuJoCo's own reader opens any path a model names and builds whatever sizes it asks for. So a model
that comes with a task is read here with expat, element by element against an allow-list, with
bounds on everything that multiplies; MuJoCo then gets the text written from the accepted elements
only, so that the two readers cannot understand it differently. Lines stay where they are, so that
MuJoCo's own complaints name the author's line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from websim.tasks.errors import TaskError
from websim.tasks.mjcf_limits import (
    ELEMENTS,
    INTEGER_CAPS,
    MAX_COUNT,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_MEMORY_BYTES,
    MAX_MJCF_BYTES,
    PLAIN_FILE,
    REFUSED_ELEMENTS,
)

_MULTIPLIERS = {"replicate": "count", "flexcomp": "count"}
_FILE_ATTRIBUTES = frozenset(
    {"file"} | {f"file{side}" for side in ("right", "left", "up", "down", "front", "back")}
)
_MEMORY_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


@dataclass(frozen=True)
class CheckedMjcf:
    """An accepted model: its text as MuJoCo gets it, and the plain names of its assets."""

    text: str
    assets: tuple[str, ...]


def check_mjcf(source: bytes, file: str) -> CheckedMjcf:
    """Check a model's bytes.

    Args:
        source: The MJCF file.
        file: Its name, for messages.

    Raises:
        TaskError: One line: what is refused, on which line, and what to do instead.
    """
    if len(source) > MAX_MJCF_BYTES:
        raise TaskError(f"has {len(source)} bytes; at most {MAX_MJCF_BYTES} are read", where=file)
    try:
        source.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TaskError(f"is not UTF-8 text ({error.reason})", where=file) from None
    if b"\0" in source:
        raise TaskError("holds a zero byte", where=file)
    return _Reader(file).read(source)


class _Reader:
    """Expat's callbacks. Every refusal is raised from inside them and leaves the parser."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[str] = []
        self._copies: list[int] = [1]
        """Of each open element: how often it and what it holds will exist."""
        self._elements = 0
        self._assets: dict[str, None] = {}
        self._out: list[str] = []
        self._line = 1
        self._parser = expat.ParserCreate(encoding="utf-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.EntityDeclHandler = self._doctype
        self._parser.ProcessingInstructionHandler = self._instruction
        self._parser.CharacterDataHandler = self._text

    def read(self, source: bytes) -> CheckedMjcf:
        try:
            self._parser.Parse(source, True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise TaskError(
                f"not XML: {reason}", where=f"{self._file} line {error.lineno}"
            ) from None
        return CheckedMjcf("".join(self._out), tuple(self._assets))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._check_place(name)
        copies = self._copies[-1]
        if name in _MULTIPLIERS:
            copies *= self._count(name, attributes)
        # What a replicate holds exists once per copy, and so does what that holds.
        self._elements += copies
        if self._elements > MAX_ELEMENTS:
            raise self._refusal(f"more than {MAX_ELEMENTS} elements, copies counted")
        for key, value in attributes.items():
            self._check_attribute(name, key, value)
        self._open.append(name)
        self._copies.append(copies)
        written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
        self._write(f"<{name}{written}>")

    def _end(self, name: str) -> None:
        self._open.pop()
        self._copies.pop()
        self._write(f"</{name}>")

    def _check_place(self, name: str) -> None:
        if not self._open and name != "mujoco":
            raise self._refusal(f"the root element is <{name}>, not <mujoco>")
        if len(self._open) >= MAX_DEPTH:
            raise self._refusal(f"elements nested more than {MAX_DEPTH} deep")
        if name in REFUSED_ELEMENTS:
            raise self._refusal(f"<{name}> is not allowed", REFUSED_ELEMENTS[name])
        if name not in ELEMENTS:
            raise self._refusal(f"<{name}> is not an element of MJCF that is allowed here")

    def _count(self, name: str, attributes: Mapping[str, str]) -> int:
        total = 1
        for part in attributes.get(_MULTIPLIERS[name], "1").split():
            total *= max(1, self._integer(name, "count", part))
        if total > MAX_COUNT:
            raise self._refusal(f"<{name}> makes {total} copies; at most {MAX_COUNT} are allowed")
        return total

    def _check_attribute(self, name: str, key: str, value: str) -> None:
        if key in _FILE_ATTRIBUTES:
            if not PLAIN_FILE.fullmatch(value):
                raise self._refusal(
                    f"{key}={_short(value)} is not a plain file name",
                    "put the file beside the model and name it without a path",
                )
            self._assets[value] = None
        elif key.endswith("dir") and name == "compiler":
            raise self._refusal(
                f"{key} is not allowed", "put the files beside the model and name them as they are"
            )
        elif name == "size" and key == "memory":
            self._check_memory(value)
        elif (cap := INTEGER_CAPS.get((name, key)) or INTEGER_CAPS.get(("*", key))) is not None:
            for part in value.split():
                if self._integer(name, key, part) > cap:
                    raise self._refusal(f"{key}={_short(value)} is above {cap}")

    def _check_memory(self, value: str) -> None:
        text = value.strip().upper()
        unit = _MEMORY_UNITS.get(text[-1:], 1)
        amount = self._integer("size", "memory", text[:-1] if unit > 1 else text)
        if amount * unit > MAX_MEMORY_BYTES:
            raise self._refusal(f"memory={_short(value)} is above {MAX_MEMORY_BYTES} bytes")

    def _integer(self, name: str, key: str, value: str) -> int:
        if len(value) > 12 or not value.lstrip("+-").isascii() or not value.lstrip("+-").isdigit():
            raise self._refusal(
                f"{key}={_short(value)} of <{name}> is not a whole number in bounds"
            )
        return int(value)

    def _doctype(self, *_: object) -> None:
        raise self._refusal("a DOCTYPE or entity is not allowed", "remove it")

    def _instruction(self, target: str, _: str) -> None:
        raise self._refusal(f"the instruction <?{target[:20]}?> is not allowed", "remove it")

    def _text(self, text: str) -> None:
        if text.strip():
            raise self._refusal(f"text outside of elements: {_short(text.strip())}", "remove it")

    def _write(self, markup: str) -> None:
        line = self._parser.CurrentLineNumber
        self._out.append("\n" * (line - self._line))
        self._line = line
        self._out.append(markup)

    def _refusal(self, message: str, remedy: str = "") -> TaskError:
        where = f"{self._file} line {self._parser.CurrentLineNumber}"
        if self._open:
            where += f", in <{self._open[-1]}>"
        return TaskError(message, where=where, remedy=remedy)


def _short(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "...")
