import re
import subprocess
import sys
from pathlib import Path

from websim.service.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]


def test_generated_documents_are_fresh():
    answer = subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stderr


def test_metrics_are_named_by_the_rules():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"websim(_[a-z0-9]+){2,}", metric.name), metric.name
        assert metric.name.endswith("_total") == (metric.type == "counter"), metric.name
        assert metric.help.endswith("."), metric.name
        assert not {"env", "env_id", "episode", "session"} & set(metric.labels), metric.name


def test_every_row_of_a_table_has_a_cell_for_each_column():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        columns = 0
        for number, line in enumerate(path.read_text().splitlines(), 1):
            is_row = line.startswith("|")
            cells = len(re.findall(r"(?<!\\)\|", line)) - 1
            assert not (is_row and columns) or cells == columns, f"{path}:{number}"
            columns = cells if is_row else 0
