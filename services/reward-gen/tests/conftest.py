"""Lets the tests share their helpers, and gives them a fake API, books and a gate."""

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
