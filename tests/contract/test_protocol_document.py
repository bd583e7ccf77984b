"""docs/protocol.md is the specification: nothing the code says is missing there."""

import re
import typing
from pathlib import Path

import msgspec
import pytest

from websim.wire import messages as m

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "protocol.md").read_text()


@pytest.mark.parametrize("kind", typing.get_args(m.AnyMessage), ids=lambda kind: kind.__name__)
def test_every_message_is_documented_with_all_its_fields(kind):
    tag = kind.__struct_config__.tag
    rows = [line for line in TEXT.splitlines() if line.startswith(f"| `{tag}` |")]
    assert len(rows) == 1, f"docs/protocol.md needs one row for `{tag}`"
    documented = set(re.split(r",\s*", rows[0].split("|")[2].strip())) - {""}
    fields = {field.name for field in msgspec.structs.fields(kind)} - {"arrays"}
    assert documented == fields


def test_the_documents_version_is_the_codes():
    assert f"# The wire protocol, version {m.PROTOCOL_VERSION}" in TEXT


def test_every_refusal_code_in_the_sources_is_documented():
    sources = [
        *(ROOT / "services" / "orchestrator" / "websim_orchestrator").glob("*.py"),
        ROOT / "services" / "sim-worker" / "websim_sim_worker" / "held.py",
        ROOT / "services" / "sim-worker" / "websim_sim_worker" / "answers.py",
    ]
    codes = set()
    for path in sources:
        text = path.read_text()
        codes |= set(re.findall(r'code="([a-z_]+)"', text))
        codes |= set(re.findall(r'code, problem = "([a-z_]+)"', text))
        codes |= set(re.findall(r'return\s*\(?\s*"([a-z_]+)",', text))
        codes |= set(re.findall(r'failed\(\w+, "([a-z_]+)"', text))
    assert len(codes) > 10
    missing = {code for code in codes if f"`{code}`" not in TEXT}
    assert not missing
