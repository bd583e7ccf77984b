"""Arrays shared between a caller and its confined worker, and the messages around them.

Caller and worker both compile the same program and derive the same layout from it, so no offsets
travel. Inputs are mapped read-only by the worker.
"""

import json
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from websim.programs.schema import ProgramKind, ProgramSchema
from websim.programs.values import Array

COMMAND = struct.Struct("<IIB")
"""Caller -> worker: sequence number, rows, 1 with components or 0 without."""

REPLY = struct.Struct("<IB")
"""Worker -> caller: sequence number, 0 for success or 1 for an error whose text follows."""

LENGTH = struct.Struct("<I")
"""Before the load message."""

MAX_REPLY_BYTES = 512
"""Longest reply: below PIPE_BUF, so that it is written and read in one piece."""

MAX_ROWS = 65_536
"""Most environments in one call."""

_ALIGNMENT = 64


@dataclass(frozen=True)
class Load:
    """What a worker is told first: the text to compile and for how many rows."""

    source: str
    kind: ProgramKind
    schema: ProgramSchema
    capacity: int

    def encode(self) -> bytes:
        """Return the message as it travels, length first."""
        body = json.dumps(
            {
                "source": self.source,
                "kind": self.kind,
                "fields": dict(self.schema.fields),
                "action_dim": self.schema.action_dim,
                "constants": dict(self.schema.constants),
                "capacity": self.capacity,
            }
        ).encode()
        return LENGTH.pack(len(body)) + body

    @classmethod
    def decode(cls, body: bytes) -> "Load":
        """Return the message in `body`, which comes from this worker's own caller."""
        message = json.loads(body)
        constants = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in message["constants"].items()
        }
        schema = ProgramSchema(message["fields"], message["action_dim"], constants)
        return cls(message["source"], message["kind"], schema, message["capacity"])


def input_specs(fields: Sequence[str], schema: ProgramSchema) -> list[tuple[int, type]]:
    """Return columns and dtype of each input: the fields read, in order, then the action."""
    specs: list[tuple[int, type]] = [(schema.fields[name], np.float64) for name in fields]
    return [*specs, (schema.action_dim, np.float32)]


def output_specs(num_components: int) -> list[tuple[int, type]]:
    """Return columns and dtype of each output: the total, then the components."""
    return [(0, np.float64)] * (1 + num_components)


def region_bytes(specs: Sequence[tuple[int, type]], capacity: int) -> int:
    """Return the size of a region that holds arrays of these specs with `capacity` rows."""
    return sum(_array_bytes(columns, dtype, capacity) for columns, dtype in specs)


def region_arrays(
    region: mmap.mmap, specs: Sequence[tuple[int, type]], capacity: int
) -> list[Array]:
    """Return the arrays of a region, each of shape (capacity,) or (capacity, k)."""
    arrays: list[Array] = []
    offset = 0
    for columns, dtype in specs:
        shape = (capacity, columns) if columns else (capacity,)
        arrays.append(np.ndarray(shape, dtype, region, offset))
        offset += _array_bytes(columns, dtype, capacity)
    return arrays


def _array_bytes(columns: int, dtype: type, capacity: int) -> int:
    size = max(columns, 1) * capacity * np.dtype(dtype).itemsize
    return -(-size // _ALIGNMENT) * _ALIGNMENT
