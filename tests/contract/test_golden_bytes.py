"""The bytes of every message, fixed: changing one is a new protocol version.

`python tests/contract/write_golden.py` rewrites golden.json after such a change.
"""

import json
import typing
from pathlib import Path

import msgpack
import numpy as np
import pytest

from websim.wire import messages as m
from websim.wire.codec import Decoder
from websim.wire.errors import MalformedMessage, OversizedMessage, UnknownVersion

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
DECODER = Decoder(m.AnyMessage)


def test_every_message_of_the_protocol_has_golden_bytes(examples):
    tags = {kind.__struct_config__.tag for kind in typing.get_args(m.AnyMessage)}
    assert tags == set(GOLDEN["messages"])
    assert len(examples.EXAMPLES) == len(tags)


def test_the_golden_bytes_belong_to_this_version():
    assert GOLDEN["protocol_version"] == m.PROTOCOL_VERSION


def test_messages_are_encoded_to_their_golden_bytes(examples):
    for message, arrays in examples.EXAMPLES:
        frames = [frame.hex() for frame in examples.frames_of(message, arrays)]
        assert frames == GOLDEN["messages"][message.__struct_config__.tag]


def test_golden_bytes_are_decoded_to_their_messages(examples):
    for message, arrays in examples.EXAMPLES:
        golden = GOLDEN["messages"][message.__struct_config__.tag]
        envelope = DECODER.decode([bytes.fromhex(frame) for frame in golden])
        assert type(envelope.message) is type(message)
        for name, array in arrays.items():
            expected = array.view(np.uint8) if array.dtype == bool else array
            assert np.array_equal(envelope.array(name), expected, equal_nan=True)
        assert envelope.array("no such array") is None


def test_a_header_is_magic_version_and_a_msgpack_map_that_others_can_read():
    for tag, frames in GOLDEN["messages"].items():
        header = bytes.fromhex(frames[0])
        assert header[:3] == b"WS\x01"
        content = msgpack.unpackb(header[3:])
        assert content["type"] == tag
        assert len(content.get("arrays", ())) == len(frames) - 1


def test_a_receiver_ignores_fields_it_does_not_know():
    header = b"WS\x01" + msgpack.packb({"type": "close_session", "session": 4, "new_field": [1]})
    assert DECODER.decode([header]).message == m.CloseSession(session=4)


def make_step(**changes: object) -> list[bytes]:
    content = {"type": "step", "session": 1, "shard": 0, "t": 1} | changes
    return [b"WS\x01" + msgpack.packb(content)]


@pytest.mark.parametrize(
    ("frames", "error", "words"),
    [
        ([], MalformedMessage, "no frames"),
        ([b""], MalformedMessage, "magic"),
        ([b"HTTP/1.1 200"], MalformedMessage, "magic"),
        ([b"WS\x02\x80"], UnknownVersion, "version 2 is not supported here"),
        ([b"WS\x01\xc1"], MalformedMessage, "header"),
        ([b"WS\x01" + b"\x91" * 100_000], MalformedMessage, "header"),
        ([b"WS\x01" + bytes(300_000)], OversizedMessage, "header of 300003 bytes"),
        ([b"WS\x01" + msgpack.packb({"type": "nonsense"})], MalformedMessage, "nonsense"),
        (make_step(t="one"), MalformedMessage, "int"),
        (make_step(arrays=[["action", "<f4", [2]]]), MalformedMessage, "1 arrays described"),
        ([*make_step(), b"extra"], MalformedMessage, "0 arrays described"),
        ([*make_step(arrays=[["a", "<f4", [3]]]), b"8 bytes."], MalformedMessage, "its shape says"),
        ([*make_step(arrays=[["a", "|O", [1]]]), b"8 bytes."], MalformedMessage, "dtype '|O'"),
        ([*make_step(arrays=[["a", "<f4", [-2]]]), b""], MalformedMessage, "negative"),
        (
            [*make_step(arrays=[["a", "|u1", [1, 1, 1, 1, 1]]]), b"x"],
            MalformedMessage,
            "5 dimensions",
        ),
        (
            [*make_step(arrays=[["a", "<f8", [2**62, 2**62, 4]]]), b""],
            MalformedMessage,
            "its shape says",
        ),
        (
            [*make_step(arrays=[["a", "|u1", [0]]] * 513), *[b""] * 513],
            OversizedMessage,
            "513 arrays",
        ),
    ],
)
def test_what_is_not_a_message_is_refused_with_the_reason(frames, error, words):
    with pytest.raises(error, match=words.replace("|", r"\|")):
        DECODER.decode(frames)
