"""The ready file: how a service tells whoever started it its process id and addresses."""

import json
import os
from pathlib import Path
from typing import Any

from websim.service.files import write_atomic


def write_ready(path: Path | None, **facts: object) -> None:
    """Write the ready file, atomically.

    Args:
        path: Where to write; None writes nothing.
        **facts: What the starter may want to know, as JSON values; `pid` is added.
    """
    if path is not None:
        write_atomic(path, json.dumps({"pid": os.getpid(), **facts}).encode())


def read_ready(path: Path) -> dict[str, Any] | None:
    """Return the facts in a ready file, or None while it is not there."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    facts: dict[str, Any] = json.loads(data)
    return facts
