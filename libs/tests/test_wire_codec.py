"""What the codec refuses whatever the message."""

import pytest

from websim.wire.codec import Decoder, encode
from websim.wire.errors import MalformedMessage, OversizedMessage
from websim.wire.messages import ArraySpec, FromClient, Reset


def test_two_arrays_of_one_name_are_refused():
    arrays = (ArraySpec("mask", "|u1", (2,)), ArraySpec("mask", "|u1", (1,)))
    message = Reset(session=1, shard=0, t=1, arrays=arrays)
    with pytest.raises(MalformedMessage, match="one name"):
        Decoder(FromClient).decode(encode(message, [b"\1\1", b"\1"]))


@pytest.mark.parametrize("shape", [(0, 1 << 62), (1 << 26, 0, 1 << 26, 1 << 26)])
def test_an_empty_array_of_a_shape_that_numpy_does_not_take_is_refused(shape):
    message = Reset(session=1, shard=0, t=1, arrays=(ArraySpec("mask", "<f8", shape),))
    with pytest.raises(OversizedMessage):
        Decoder(FromClient).decode(encode(message, [b""]))
