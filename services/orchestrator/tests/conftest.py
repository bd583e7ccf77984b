"""Lets the tests share `scripted_fleet`, which pytest's importlib mode does not expose."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
