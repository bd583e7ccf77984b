"""Recordings: the same answers again, in order, and clear words where there are none."""

import asyncio
import json
from dataclasses import replace

import pytest
from fake_messages_api import error, message
from reward_gen_samples import (
    BROKEN,
    GOOD,
    answer_text,
    make_client,
    make_request,
    make_task,
    written,
)

from websim.service.errors import UserError
from websim_reward_gen import replay
from websim_reward_gen.bodies import GoalRequest
from websim_reward_gen.claude.provider import ClaudeProvider
from websim_reward_gen.counts import Counts
from websim_reward_gen.generate import Generator
from websim_reward_gen.goals import Goals
from websim_reward_gen.library.provider import LibraryProvider
from websim_reward_gen.proposal import Ask, ProviderFailure
from websim_reward_gen.replay import RecordingProvider, ReplayProvider


def make_generator(gate, provider):
    providers = {"library": LibraryProvider(), provider.name: provider}
    return Generator(gate, providers, provider.name, Counts())


def record(provider, path, counts=None):
    return RecordingProvider(provider, path, counts or Counts())


def ask(provider, description="run forward"):
    return asyncio.run(provider.propose(Ask(make_request(description=description))))


def decisions(generator, **overrides):
    """What was decided, without times and with whoever wrote it."""
    answer = asyncio.run(generator.rewards(make_request(**overrides)))
    return (
        answer.action,
        [(c.name, c.program, c.verdict.accepted, c.provenance.round) for c in answer.candidates],
        [(f.kind, f.message) for f in answer.failures],
    )


def test_a_recording_reproduces_every_decision(api, gate, open_ledger, tmp_path):
    path = tmp_path / "deep" / "recording.jsonl"
    api.then(
        message(answer_text(written("a"), written("b", BROKEN))),
        message(answer_text(written("b", GOOD.replace("0.1", "0.3")))),
        error(401, "authentication_error"),
    )
    claude = ClaudeProvider(make_client(api, open_ledger()))
    recording = make_generator(gate, record(claude, path))
    asked = [{}, {"description": "run backwards"}]
    recorded = [decisions(recording, **overrides) for overrides in asked]

    replaying = make_generator(gate, ReplayProvider(path))

    assert [decisions(replaying, **overrides) for overrides in asked] == recorded
    assert len(path.read_text().splitlines()) == len(api.requests) == 3


def test_the_run_is_not_part_of_the_question(api, gate, open_ledger, tmp_path):
    path = tmp_path / "recording.jsonl"
    api.then(message(answer_text(written("a"))))
    claude = ClaudeProvider(make_client(api, open_ledger()))
    recorded = decisions(make_generator(gate, record(claude, path)), run="r1")

    assert decisions(make_generator(gate, ReplayProvider(path)), run="another") == recorded


def test_an_answer_for_any_request(gate, tmp_path):
    path = tmp_path / "recording.jsonl"
    draft = {"name": "a", "hypothesis": "h", "program": GOOD}
    proposal = {"diagnosis": "d", "action": "new_reward", "drafts": [draft]}
    path.write_text(json.dumps({"request_sha256": "*", "proposal": proposal}) + "\n\n")
    generator = make_generator(gate, ReplayProvider(path))

    first, second = decisions(generator), decisions(generator)

    assert [candidate[0] for candidate in first[1]] == ["a"]
    assert second[2][0][0] == "invalid"
    assert "no recorded answer is left" in second[2][0][1]


def test_goals_are_recorded_and_replayed_too(api, gate, open_ledger, tmp_path):
    path = tmp_path / "recording.jsonl"
    said = {"kind": "none", "program": "", "accumulate": "sum", "per_horizon": False, "unit": ""}
    said |= {"description": "a person judges", "not_understood": ["like a zombie"]}
    api.then(message(json.dumps(said)), error(401, "authentication_error"))
    recording = record(ClaudeProvider(make_client(api, open_ledger())), path)
    asked = [{"task": make_task(), "description": words} for words in ("like a zombie", "dance")]

    def answers(provider):
        providers = {"library": LibraryProvider(), provider.name: provider}
        goals = Goals(gate, providers, provider.name, Counts())
        for each in asked:
            answer = asyncio.run(goals.measure(GoalRequest.model_validate(each)))
            yield answer.kind, answer.description, [f.kind for f in answer.failures]

    recorded = list(answers(recording))

    assert list(answers(ReplayProvider(path))) == recorded
    assert recorded[0] == ("none", "a person judges", [])
    assert recorded[1][2] == ["auth"]


def test_an_answer_may_hold_any_end_of_a_line_that_text_knows(tmp_path):
    path = tmp_path / "recording.jsonl"
    said = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh\ni"

    class Odd(LibraryProvider):
        async def propose(self, ask):
            return replace(await super().propose(ask), diagnosis=said)

    ask(record(Odd(), path))

    assert ask(ReplayProvider(path)).diagnosis == said


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"request_sha256": 3}', '{"proposal": {}}', "[" * 100_000],
    ids=["half", "list", "number", "proposal", "deep"],
)
def test_a_line_that_is_no_recording_is_named(tmp_path, line):
    path = tmp_path / "recording.jsonl"
    path.write_text('{"request_sha256": "*"}\n' + line + "\n")

    with pytest.raises(UserError, match="line 2 is no recorded answer"):
        ReplayProvider(path)


def test_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        ReplayProvider(tmp_path / "none.jsonl")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not text"):
        ReplayProvider(tmp_path / "binary")
    with pytest.raises(UserError, match="--record"):
        record(LibraryProvider(), tmp_path / "binary" / "recording.jsonl")


@pytest.mark.parametrize("broken", [False, True], ids=["taken back", "left behind"])
@pytest.mark.parametrize("num_bytes", [0, 30])
def test_what_cannot_be_recorded_is_answered_and_leaves_no_torn_line(
    room_for, tmp_path, num_bytes, broken
):
    path, counts = tmp_path / "recording.jsonl", Counts()
    recording = record(LibraryProvider(), path, counts)
    first = ask(recording)

    with room_for(num_bytes, path.name, broken=broken):
        assert ask(recording, "run backwards").drafts
    assert counts.not_recorded == 1
    last = ask(recording, "stand still")

    replaying = ReplayProvider(path)
    assert ask(replaying).drafts == first.drafts
    assert ask(replaying, "stand still").drafts == last.drafts
    with pytest.raises(ProviderFailure, match="no recorded answer is left"):
        ask(replaying, "run backwards")


def test_a_disk_that_stays_full_is_told_once(room_for, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(replay.log, "warning", lambda event, **facts: said.append((event, facts)))
    path = tmp_path / "recording.jsonl"
    recording = record(LibraryProvider(), path)

    with room_for(0, path.name):
        for _ in range(3):
            ask(recording)

    reason = {"file": str(path), "error": "no space left on device"}
    assert said == [("answers are not recorded", reason)]


@pytest.mark.parametrize("torn", [b'{"req', b'{"request_sha256":"*","propo'])
def test_a_recording_that_a_crash_cut_short_is_gone_on_with(tmp_path, torn):
    path = tmp_path / "recording.jsonl"
    first = ask(record(LibraryProvider(), path))
    with path.open("ab") as file:
        file.write(torn)

    second = ask(record(LibraryProvider(), path), "run backwards")

    replaying = ReplayProvider(path)
    assert ask(replaying).drafts == first.drafts
    assert ask(replaying, "run backwards").drafts == second.drafts


def test_a_recording_by_hand_may_lack_its_last_lines_end(tmp_path):
    path = tmp_path / "recording.jsonl"
    path.write_text('{"request_sha256": "*", "failure": {"kind": "auth"}}')

    proposal = ask(record(LibraryProvider(), path))

    replaying = ReplayProvider(path)
    assert ask(replaying).drafts == proposal.drafts
    with pytest.raises(ProviderFailure):
        ask(replaying, "run backwards")


def test_a_file_of_somebody_elses_is_not_recorded_into(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("first line\nlast line")

    with pytest.raises(UserError, match="is no recording"):
        record(LibraryProvider(), path)
    assert path.read_text() == "first line\nlast line"
