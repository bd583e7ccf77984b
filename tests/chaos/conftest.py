"""Lets the chaos tests import what lies beside them and belongs to no package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
