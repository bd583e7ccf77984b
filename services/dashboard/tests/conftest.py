"""Lets the tests share their helpers, and keeps the machine's settings away from them."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("WEBSIM_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
