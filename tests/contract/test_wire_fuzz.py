"""Mutated messages never raise anything but WireError, and never disturb the brain."""

import random

from websim.wire import messages as m
from websim.wire.codec import Decoder
from websim.wire.errors import WireError
from websim_orchestrator.brain import Brain
from websim_orchestrator.events import ClientMessage, Ticked, WorkerMessage

MUTANTS = 100_000


def mutate(frames: list[bytes], draw: random.Random) -> list[bytes]:
    """One to three random changes: bytes, lengths, frames missing, doubled or swapped."""
    frames = list(frames)
    chance = draw.random

    def below(limit: int) -> int:
        return int(chance() * limit)

    for _ in range(1 + below(3)):
        index = below(len(frames)) if chance() < 0.3 else 0
        data = bytearray(frames[index])
        match below(7):
            case 0 if data:
                data[below(len(data))] = below(256)
            case 1 if data:
                data[below(len(data))] ^= 1 << below(8)
            case 2 if data:
                del data[below(len(data)) :]
            case 3:
                at = below(len(data) + 1)
                data[at:at] = draw.randbytes(1 + below(8))
            case 4 if len(frames) > 1:
                del frames[index]
                continue
            case 5:
                frames.append(bytes(data))
            case 6 if len(data) > 4:
                at, length = below(len(data)), below(len(data))
                data[at : at + 4] = data[length : length + 4]
        frames[index] = bytes(data)
    return frames


def test_mutated_messages_are_refused_or_harmless(examples):
    draw = random.Random(20261123)
    originals = [examples.frames_of(message, arrays) for message, arrays in examples.EXAMPLES]
    decoders = {WorkerMessage: Decoder(m.FromWorker), ClientMessage: Decoder(m.FromClient)}
    brain = Brain()
    accepted = refused = 0
    for number in range(MUTANTS):
        frames = mutate(originals[number % len(originals)], draw)
        for event, decoder in decoders.items():
            try:
                envelope = decoder.decode(frames)
            except WireError:
                refused += 1
                continue
            accepted += 1
            envelope.arrays()
            brain.handle(event(number * 1e-4, b"peer", envelope))
        if number % 1000 == 0:
            brain.handle(Ticked(number * 1e-4))
    # Both outcomes happen often, or the mutation is too coarse or too fine to test anything.
    assert accepted > MUTANTS // 20
    assert refused > MUTANTS // 2
    assert len(brain.fleet.sessions) <= 64
