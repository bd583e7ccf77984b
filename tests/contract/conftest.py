"""Gives the contract tests their examples, whose module pytest's importlib mode does not expose."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def examples() -> ModuleType:
    path = Path(__file__).parent / "examples.py"
    spec = importlib.util.spec_from_file_location("wire_examples", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
