"""Lets the tests share their helpers, and gives them a fake API, books and a gate."""

import contextlib
import errno
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_messages_api import FakeMessagesApi

from websim_reward_gen.claude import client as claude_client
from websim_reward_gen.gate import Gate
from websim_reward_gen.ledger import Caps, Ledger


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No key, proxy or address of the machine reaches the tests; times between attempts shrink."""
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "WEBSIM_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(claude_client, "BACKOFF_S", 0.01)
    monkeypatch.setattr(claude_client, "MIN_ATTEMPT_S", 0.01)


@pytest.fixture
def api():
    fake = FakeMessagesApi()
    yield fake
    fake.close()


@pytest.fixture(scope="session")
def gate():
    judging = Gate()
    yield judging
    judging.close()


@pytest.fixture
def open_ledger(tmp_path):
    """Return a function that opens the books of a test; they are closed with it."""
    opened = []

    def open_(name="ledger.jsonl", today=None, **caps):
        most = {"run_usd": 5.0, "day_usd": 9.0, "run_tokens": 10**9, "day_tokens": 10**9} | caps
        opened.append(Ledger(tmp_path / name, Caps(**most), today))
        return opened[-1]

    yield open_
    for ledger in opened:
        ledger.close()


@pytest.fixture
def room_for(monkeypatch, tmp_path):
    """Return a context in which a file takes so many more bytes, the last ones in part.

    `broken` says that of what is written nothing can be taken back.
    """
    really_write = os.write

    def refuse(descriptor, size):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    @contextlib.contextmanager
    def room(num_bytes, name="ledger.jsonl", *, broken=False):
        full = (tmp_path / name).stat().st_size + num_bytes

        def write(descriptor, data):
            left = full - os.fstat(descriptor).st_size
            if left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return really_write(descriptor, data[:left])

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            if broken:
                patch.setattr(os, "ftruncate", refuse)
            yield

    return room
