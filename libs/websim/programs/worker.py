"""One confined worker: it locks itself down, compiles one program and answers one call at a time.

Forked by websim.programs.child; never returns to it.
"""

import fcntl
import mmap
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from websim.programs import confine, seccomp
from websim.programs.limits import MAX_COST
from websim.programs.program import compile_program
from websim.programs.shared import (
    COMMAND,
    LENGTH,
    MAX_REPLY_BYTES,
    REPLY,
    Load,
    input_specs,
    output_specs,
    region_arrays,
)
from websim.programs.values import Array

COMMAND_FD = 3
REPLY_FD = 4
_INPUT_FD = 5
_OUTPUT_FD = 6
_FIRST_FREE_FD = 7
"""Where a worker finds its pipes and shared memory; the memory's are closed once mapped."""

MEMORY_BYTES = 512 * 1024 * 1024
"""What one worker may allocate besides its own code and the shared arrays."""

_CONTAINED = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What evaluation may raise and the worker survive; anything else ends it, and the caller sees."""


class Loaded(Protocol):
    """A compiled program as the worker needs it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields it reads."""

    @property
    def components(self) -> tuple[str, ...]:
        """Names of its components."""

    def __call__(self, fields: dict[str, Array], action: Array) -> Array:
        """Return the total, shape (N,)."""

    def with_components(
        self, fields: dict[str, Array], action: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Return the total and the components, each of shape (N,)."""


Loader = Callable[[Load], Loaded]


def load_program(load: Load) -> Loaded:
    """Compile the text again, here: a neighbour's word that it was checked is not taken."""
    return compile_program(load.source, load.schema, load.kind)


@dataclass(frozen=True)
class _Evaluation:
    """A loaded program with its shared arrays."""

    program: Loaded
    inputs: list[Array]
    outputs: list[Array]

    def run(self, num_rows: int, with_components: int) -> None:
        """Evaluate the first `num_rows` rows of the inputs into the outputs."""
        *arrays, action = [array[:num_rows] for array in self.inputs]
        fields = dict(zip(self.program.fields, arrays, strict=True))
        if with_components:
            total, components = self.program.with_components(fields, action)
            for output, part in zip(self.outputs[1:], components.values(), strict=True):
                output[:num_rows] = part
        else:
            total = self.program(fields, action)
        self.outputs[0][:num_rows] = total


def work(descriptors: Sequence[int], forker: int, base_bytes: int, loader: Loader) -> None:
    """Serve calls until the caller closes the command pipe.

    Args:
        descriptors: command pipe, reply pipe, input memory, output memory.
        forker: process id of the forker; the worker ends with it.
        base_bytes: address space of the forker, which the limit comes on top of.
        loader: makes a program of the load message.
    """
    _place_descriptors(descriptors)
    inputs = mmap.mmap(_INPUT_FD, 0, access=mmap.ACCESS_READ)
    outputs = mmap.mmap(_OUTPUT_FD, 0, access=mmap.ACCESS_WRITE)
    os.close(_INPUT_FD)
    os.close(_OUTPUT_FD)
    confine.die_with_parent(forker)
    # A program of the highest cost the language admits may need 8 bytes per cost unit and row.
    num_rows = len(outputs) // 8
    headroom = max(MEMORY_BYTES, MAX_COST * 8 * num_rows)
    confine.limit_resources(base_bytes + len(inputs) + len(outputs) + headroom)
    if sys.platform == "linux":
        seccomp.install(seccomp.build_filter(COMMAND_FD, REPLY_FD))
    evaluation = _load(inputs, outputs, loader)
    _reply(0, None)
    while True:
        command = _read(COMMAND.size)
        if command is None:
            return
        sequence, num_rows, with_components = COMMAND.unpack(command)
        try:
            evaluation.run(num_rows, with_components)
        except _CONTAINED as error:
            _reply(sequence, error)
        else:
            _reply(sequence, None)


def _place_descriptors(descriptors: Sequence[int]) -> None:
    """Move the four descriptors to their fixed numbers and close every other one."""
    sys.stdin = sys.stdout = sys.stderr = None
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 64) for descriptor in descriptors]
    for source, target in zip(high, range(COMMAND_FD, _FIRST_FREE_FD), strict=True):
        os.dup2(source, target, inheritable=False)
    os.closerange(0, COMMAND_FD)
    os.closerange(_FIRST_FREE_FD, max(high) + 1)


def _load(inputs: mmap.mmap, outputs: mmap.mmap, loader: Loader) -> _Evaluation:
    length = _read(LENGTH.size)
    body = _read(LENGTH.unpack(length)[0]) if length is not None else None
    if body is None:
        os._exit(0)
    load = Load.decode(body)
    program = loader(load)
    return _Evaluation(
        program,
        region_arrays(inputs, input_specs(program.fields, load.schema), load.capacity),
        region_arrays(outputs, output_specs(len(program.components)), load.capacity),
    )


def _read(length: int) -> bytes | None:
    """Return exactly `length` bytes of the command pipe, or None when it was closed."""
    data = b""
    while len(data) < length:
        more = os.read(COMMAND_FD, length - len(data))
        if not more:
            return None
        data += more
    return data


def _reply(sequence: int, error: BaseException | None) -> None:
    message = REPLY.pack(sequence, 0 if error is None else 1)
    if error is not None:
        text = f"{type(error).__name__}: {error}"[: MAX_REPLY_BYTES - REPLY.size]
        message += text.encode("ascii", "replace")
    os.write(REPLY_FD, message)
