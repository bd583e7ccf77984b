"""Says in one line which of the tools that these tests need is not here."""

import shutil

import pytest

TOOLS = {
    "promtool": "Prometheus (on Debian: apt-get install prometheus)",
    "prometheus": "Prometheus (on Debian: apt-get install prometheus)",
    "kubectl": "Kubernetes' client",
}


def pytest_sessionstart(session):
    for tool, origin in TOOLS.items():
        if shutil.which(tool) is None:
            pytest.exit(f"these tests need {tool}, of {origin}", 2)
