"""Messages to frames and back: strict, bounded, never executing anything it reads.

Frame 0 is the header: b"WS", one version byte, then the message as msgpack. Every array of the
message is one more frame of raw little-endian, C-ordered bytes. Used by worker, orchestrator and
client; knows no socket.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import numpy as np
import zmq
from numpy.typing import NDArray

from websim.wire.errors import MalformedMessage, OversizedMessage, UnknownVersion
from websim.wire.messages import PROTOCOL_VERSION, ArraySpec, Message

MAGIC = b"WS"
PREFIX = MAGIC + bytes([PROTOCOL_VERSION])

MAX_HEADER_BYTES = 256 * 1024
"""Bound of frame 0: a SessionOpened with the largest TaskInfo and 4,096 shards, or an AssignShard
with as large overrides and the specs of MAX_ARRAYS arrays."""
MAX_TASK_INFO_BYTES = 128 * 1024
"""Bound of a TaskInfo in a header; those of the bundled tasks have at most 12 kB."""
MAX_ARRAYS = 512
"""Bound of the frames beside the header. An AssignShard has most: at most 66 files of a task, and a
snapshot with two arrays for each of at most 200 rates and a dozen others."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Bound of all frames of a message together; sockets cut peers that send a larger frame."""
MAX_DIMS = 4
"""Bound of an array's dimensions."""

DTYPES: Mapping[str, int] = {"<f4": 4, "<f8": 8, "<i4": 4, "<i8": 8, "<i2": 2, "|u1": 1}
"""The dtypes that travel, with their item size in bytes."""

M = TypeVar("M", bound=Message, covariant=True)
Array = NDArray[Any]


class Buffer(Protocol):
    """A received frame: bytes or zmq.Frame."""

    def __len__(self) -> int: ...


class Envelope(Generic[M]):
    """A decoded header with its array frames, whose sizes are checked but which are not decoded."""

    __slots__ = ("frames", "message")

    def __init__(self, message: M, frames: Sequence[Any]) -> None:
        self.message = message
        self.frames = frames

    def array(self, name: str) -> Array | None:
        """The array of that name, a view of its frame, or None."""
        for spec, frame in zip(self.message.arrays, self.frames, strict=True):
            if spec.name == name:
                return _view(spec, frame)
        return None

    def arrays(self) -> dict[str, Array]:
        """All arrays by name, views of their frames."""
        return {
            spec.name: _view(spec, frame)
            for spec, frame in zip(self.message.arrays, self.frames, strict=True)
        }


class Decoder(Generic[M]):
    """Decodes the messages of one direction, a union of Message types.

    A thread that receives owns its decoder.
    """

    def __init__(self, union: object) -> None:
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(union)

    def decode(self, frames: Sequence[Any]) -> Envelope[M]:
        """Decode the frames of one message.

        Args:
            frames: header and array frames, bytes or zmq.Frame, without routing identity.

        Raises:
            MalformedMessage: not a message of this direction, or arrays unlike their specs.
            OversizedMessage: a bound is passed.
            UnknownVersion: the peer speaks another protocol version.
        """
        if not frames:
            raise MalformedMessage("no frames")
        header = _bytes(frames[0])
        if len(header) > MAX_HEADER_BYTES:
            raise OversizedMessage(f"header of {len(header)} bytes, at most {MAX_HEADER_BYTES}")
        if header[:3] != PREFIX:
            if header[:2] == MAGIC and len(header) > 2:
                raise UnknownVersion(header[2], PROTOCOL_VERSION)
            raise MalformedMessage("header does not start with the protocol's magic")
        try:
            message = self._decoder.decode(memoryview(header)[3:])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedMessage(f"header: {error}") from error
        payload = frames[1:]
        _check_arrays(message.arrays, payload)
        return Envelope(message, payload)


_encoder = msgspec.msgpack.Encoder()


def encode(message: Message, frames: Sequence[Any] = ()) -> list[Any]:
    """Frames of a message whose `arrays` already describe `frames` (forwarding)."""
    return [PREFIX + _encoder.encode(message), *frames]


def describe(arrays: Mapping[str, Array]) -> tuple[tuple[ArraySpec, ...], list[Array]]:
    """Specs and C-contiguous little-endian frames of arrays, in their order.

    Args:
        arrays: by name; bool travels as |u1, other dtypes must be in DTYPES.

    Raises:
        MalformedMessage: a dtype that does not travel.
    """
    specs: list[ArraySpec] = []
    frames: list[Array] = []
    for name, array in arrays.items():
        if array.dtype == np.bool_:
            array = array.view(np.uint8)
        dtype = array.dtype.str
        if dtype not in DTYPES:
            raise MalformedMessage(f"array {name!r} has dtype {array.dtype}, which does not travel")
        specs.append(ArraySpec(name, dtype, array.shape))
        frames.append(array if array.flags.c_contiguous else np.ascontiguousarray(array))
    return tuple(specs), frames


def _bytes(frame: bytes | zmq.Frame) -> bytes:
    return frame.bytes if isinstance(frame, zmq.Frame) else frame


def _check_arrays(specs: Sequence[ArraySpec], frames: Sequence[Any]) -> None:
    """Refuse specs and frames that do not fit each other, without touching the data."""
    if len(specs) != len(frames):
        raise MalformedMessage(f"{len(specs)} arrays described, {len(frames)} frames received")
    if len(specs) > MAX_ARRAYS:
        raise OversizedMessage(f"{len(specs)} arrays, at most {MAX_ARRAYS}")
    if len({spec.name for spec in specs}) < len(specs):
        # Whoever checks one of them might use another.
        raise MalformedMessage("two arrays have one name")
    total = 0
    for spec, frame in zip(specs, frames, strict=True):
        size = DTYPES.get(spec.dtype)
        if size is None:
            raise MalformedMessage(f"array {spec.name!r} has dtype {spec.dtype!r}")
        if len(spec.shape) > MAX_DIMS:
            raise MalformedMessage(f"array {spec.name!r} has {len(spec.shape)} dimensions")
        extent = 1
        for length in spec.shape:
            if length < 0:
                raise MalformedMessage(f"array {spec.name!r} has a negative length")
            size *= length
            extent *= max(length, 1)
        if size != len(frame):
            raise MalformedMessage(
                f"array {spec.name!r} of {len(frame)} bytes, its shape says {size}"
            )
        if extent > MAX_MESSAGE_BYTES:
            # Empty as it may be, numpy takes no such shape.
            raise OversizedMessage(f"array {spec.name!r} has shape {spec.shape}")
        total += size
    if total > MAX_MESSAGE_BYTES:
        raise OversizedMessage(f"arrays of {total} bytes, at most {MAX_MESSAGE_BYTES}")


def _view(spec: ArraySpec, frame: bytes | zmq.Frame) -> Array:
    buffer = frame.buffer if isinstance(frame, zmq.Frame) else frame
    return np.frombuffer(buffer, dtype=spec.dtype).reshape(spec.shape)
