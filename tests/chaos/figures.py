"""Figures that the long tests come by: collected, printed at the end, written as JSON."""

import json
import time
from pathlib import Path

DIRECTORY = Path("chaos")
"""Where they are written, below the present directory."""

_noted: dict[str, dict[str, object]] = {}


def note(name: str, values: dict[str, object]) -> None:
    """Keep figures under a name."""
    _noted[name] = values


def table() -> list[str]:
    """Return what was noted as lines of text."""
    width = max(map(len, _noted), default=0)
    return [
        f"{name:<{width}}  " + ", ".join(f"{key} {value}" for key, value in values.items())
        for name, values in _noted.items()
    ]


def write() -> Path | None:
    """Write what was noted; return where, or None when there is nothing."""
    if not _noted:
        return None
    DIRECTORY.mkdir(exist_ok=True)
    path = DIRECTORY / time.strftime("%Y%m%d-%H%M%S.json")
    path.write_text(json.dumps(_noted, indent=2) + "\n")
    return path
