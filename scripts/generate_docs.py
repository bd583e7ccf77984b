"""Writes the documents and types made from code; `--check` only says whether they are fresh."""

import sys
from pathlib import Path

from typescript import messages_page

from websim.service.metrics import METRICS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
TYPES = ROOT / "services" / "dashboard" / "web" / "src" / "generated" / "messages.ts"

METRICS_HEAD = """\
<!-- Generated from METRICS in libs/websim/service/metrics.py by `make docs`: do not edit. -->

# Metrics

Every service answers `GET /metrics` in Prometheus's text format: the metrics below that are its
own, and those of its process (`process_resident_memory_bytes`, `process_cpu_seconds_total`, ...,
on Linux). They are read from the service's state at the moment of the scrape. Names are
`websim_<service>_<noun>_<unit>[_total]` in base units; labels have a bounded number of values.

"""


def metrics_page() -> str:
    """Return docs/metrics.md."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in sorted(METRICS, key=lambda metric: metric.name):
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |")
    return METRICS_HEAD + "\n".join(rows) + "\n"


def pages() -> dict[Path, str]:
    """Return what each generated document should hold."""
    return {DOCS / "metrics.md": metrics_page(), TYPES: messages_page()}


def holds(path: Path, text: str) -> bool:
    """Return whether a file is there and holds just this."""
    return path.exists() and path.read_text() == text


def main(argv: list[str]) -> int:
    """Write the documents, or with `--check` name the stale ones and return 1."""
    stale = [
        path for path, text in pages().items() if not path.exists() or path.read_text() != text
    ]
    if "--check" in argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages()[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
