"""Writes the Grafana dashboards, as JSON beside this file; `--check` only says if they are fresh.

Needs the development requirements.
"""

import sys
from pathlib import Path

from boards import FLEET_ITEMS, TRAINING
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from panels import board

DIRECTORY = Path(__file__).parent / "dashboards"


def files() -> dict[Path, str]:
    """Return what each generated file should hold."""
    boards = {
        "training.json": board(
            "websim-training",
            "Training",
            "What the run learns, and what it spends its time on",
            TRAINING,
        ),
        "fleet.json": board(
            "websim-fleet", "Fleet", "Workers, shards, messages and processes", FLEET_ITEMS
        ),
    }
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {DIRECTORY / name: encoder.encode(made.build()) + "\n" for name, made in boards.items()}


def main(argv: list[str]) -> int:
    """Write the files, or with `--check` name the stale ones and return 1."""
    stale = [
        path for path, text in files().items() if not path.exists() or path.read_text() != text
    ]
    if "--check" in argv:
        for path in stale:
            print(f"{path.name} is stale: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(files()[path])
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
