"""Lets the chaos tests import what lies beside them; tells the figures of long ones."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import figures
from storm import SCALE, WORKERS

from websim.local.fleet import LocalFleet

SHORT_TIMEOUT_S = 100
"""What pyproject.toml allows a test; long storms get as many times more as they are longer."""


def pytest_collection_modifyitems(items):
    if SCALE > 1:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(SHORT_TIMEOUT_S * SCALE))


def pytest_terminal_summary(terminalreporter):
    lines = figures.table()
    if SCALE > 1 and lines:
        terminalreporter.section("chaos")
        for line in lines:
            terminalreporter.line(line)
        terminalreporter.line(f"written to {figures.write()}")


@pytest.fixture(scope="session")
def peace():
    """A fleet that nobody hurts. What it answers does not depend on its number of workers."""
    with LocalFleet(WORKERS if SCALE > 1 else 1) as fleet:
        yield fleet
