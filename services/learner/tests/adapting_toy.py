"""What tests of runs that adapt share: rewards of the toy and what their log tells."""

import json

import msgspec

CENTRE = """
def reward(state, action):
    near = 2.0 - np.abs(state.x)
    return near, {"near": near}
"""

FAR = """
def reward(state, action):
    return np.abs(state.x)
"""


def rows(h):
    path = h.run_dir.path / "adaptations.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def kinds(h):
    return [row["kind"] for row in rows(h)]


def outcome_of(h, name):
    return next(each for each in h.run.adaptation.rewards if each.name == name).outcome


def spend(h):
    """Let a run have had all the adaptations that it may have."""
    state = h.run.adaptation
    state.triggers = msgspec.structs.replace(state.triggers, adaptations=8)
