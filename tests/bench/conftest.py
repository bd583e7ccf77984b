"""Lets the bench's tests import its modules, which lie beside them and belong to no package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
