"""From a request to judged candidates: corrections, stand-ins, memory, and what it cost."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import replace

import pytest
from fake_messages_api import error, hang, message, with_faults
from reward_gen_samples import (
    ALSO_GOOD,
    BROKEN,
    GOOD,
    HACKABLE,
    answer_text,
    make_client,
    make_request,
    make_task,
    written,
)

from websim.programs.sandbox import SandboxError
from websim_reward_gen.claude import client as claude_client
from websim_reward_gen.claude.provider import ClaudeProvider
from websim_reward_gen.counts import Counts
from websim_reward_gen.gate import Gate
from websim_reward_gen.generate import Generator
from websim_reward_gen.library.provider import LibraryProvider


@pytest.fixture
def make_generator(api, gate, open_ledger):
    """Return a function that makes a generator whose Claude speaks to the fake API."""

    def make(ledger=None, **times):
        claude = ClaudeProvider(make_client(api, ledger or open_ledger(), **times))
        providers = {"claude": claude, "library": LibraryProvider()}
        return Generator(gate, providers, "claude", Counts())

    return make


@pytest.fixture
def generator(make_generator):
    return make_generator(attempt_timeout_s=0.3)


def rewards(generator, **overrides):
    return asyncio.run(generator.rewards(make_request(**overrides)))


def names(answer, *, accepted):
    return [c.name for c in answer.candidates if c.verdict.accepted is accepted]


def test_good_candidates_come_back_checked(api, generator):
    api.then(message(answer_text(written("a"), written("b", ALSO_GOOD))))

    answer = rewards(generator)

    assert (answer.provider, answer.failures) == ("claude", ())
    assert names(answer, accepted=True) == ["a", "b"]
    first = answer.candidates[0]
    assert first.weights == {"speed_weight": 1.0, "effort_weight": 0.1}
    assert first.verdict.components == ("speed", "effort")
    assert first.provenance.message_id == "msg_01"
    assert answer.usage.output_tokens == 900
    (exchange,), (request,) = answer.exchanges, api.requests
    assert json.loads(exchange.prompt)["request"]["goal"] == "run forward"
    assert exchange.system == "\n\n".join(block["text"] for block in request["system"])


def test_a_refused_candidate_goes_back_once_with_the_gates_message(api, generator):
    api.then(
        message(answer_text(written("a"), written("b", BROKEN))),
        message(answer_text(written("b", ALSO_GOOD))),
    )

    answer = rewards(generator)

    refused = json.loads(api.requests[1]["messages"][0]["content"])["request"]["refused"]
    assert [each["name"] for each in refused] == ["b"]
    assert "state has no field velocity" in refused[0]["gate"]
    assert names(answer, accepted=True) == ["a", "b"]
    assert [c.provenance.round for c in answer.candidates] == [0, 1, 0]
    assert names(answer, accepted=False) == ["b"]
    assert answer.usage.attempts == 2


def test_refused_twice_it_counts_as_failed_with_its_reason(api, generator):
    api.then(
        message(answer_text(written("a"), written("b", BROKEN))),
        message(answer_text(written("b", BROKEN))),
    )

    answer = rewards(generator)

    assert names(answer, accepted=True) == ["a"]
    assert [c.verdict.issues[0].reason for c in answer.candidates[1:]] == ["attribute"] * 2
    assert len(api.requests) == 2


def test_when_nothing_passes_the_library_stands_in_and_says_so(api, generator):
    api.then(*[message(answer_text(written("b", BROKEN)))] * 2)

    answer = rewards(generator)

    assert answer.provider == "library"
    assert [(f.provider, f.kind) for f in answer.failures] == [("claude", "invalid")]
    assert len(names(answer, accepted=True)) == 2
    assert {c.provenance.provider for c in answer.candidates} == {"library", "claude"}


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (error(401, "authentication_error"), "auth"),
        (error(400, "invalid_request_error"), "bad_request"),
        (hang(), "timeout"),
        (message("", stop_reason="refusal", content=[]), "refusal"),
        (message('{"diagnosis": "cut', stop_reason="max_tokens"), "truncated"),
        (message("I cannot do JSON"), "invalid"),
        (message('{"candidates": []}'), "invalid"),
        (message(answer_text(action="dance")), "invalid"),
        (message(answer_text(written("a", weights=[{"name": "w", "value": 1e300}]))), "invalid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_when_claude_fails_the_library_stands_in_and_says_so(api, generator, step, kind):
    api.then(*[step] * 3)

    answer = rewards(generator)

    assert (answer.provider, [f.kind for f in answer.failures]) == ("library", [kind])
    assert len(names(answer, accepted=True)) == 2


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (message("", stop_reason="refusal", content=[]), ("", "refusal")),
        (
            message('{"diagnosis": "cut', stop_reason="max_tokens"),
            ('{"diagnosis": "cut', "max_tokens"),
        ),
        (message("I cannot do JSON"), ("I cannot do JSON", "end_turn")),
    ],
    ids=["refusal", "truncated", "invalid"],
)
@pytest.mark.parametrize("corrects", [False, True], ids=["at first", "as a correction"])
def test_an_answer_of_no_use_is_paid_for_and_told_with_its_question(
    api, generator, step, said, corrects
):
    first = [message(answer_text(written("a"), written("b", BROKEN)))] if corrects else []
    api.then(*first, step)

    answer = rewards(generator)

    assert len(answer.exchanges) == answer.usage.attempts == len(first) + 1
    last = answer.exchanges[-1]
    assert (last.response, last.stop_reason) == said
    assert last.prompt == api.requests[-1]["messages"][0]["content"]


def test_what_was_never_answered_is_no_exchange(api, generator):
    api.then(error(401, "authentication_error"))

    assert rewards(generator).exchanges == ()


def test_a_failed_correction_leaves_what_was_accepted(api, generator):
    api.then(
        message(answer_text(written("a"), written("b", BROKEN))),
        error(401, "authentication_error"),
    )

    answer = rewards(generator)

    assert (answer.provider, names(answer, accepted=True)) == ("claude", ["a"])


def test_a_correction_gets_what_the_first_answer_left_of_the_deadline(api, make_generator):
    first = message(answer_text(written("a"), written("b", BROKEN)))
    api.then(replace(first, after_s=1.5), hang())
    began_s = time.monotonic()

    answer = rewards(make_generator(deadline_s=2.0, attempt_timeout_s=10.0))

    assert time.monotonic() - began_s < 3.0
    assert (answer.provider, names(answer, accepted=True)) == ("claude", ["a"])
    assert names(answer, accepted=False) == ["b"]


@pytest.mark.parametrize("accepted", [True, False])
def test_without_time_left_nothing_is_corrected(api, make_generator, monkeypatch, accepted):
    monkeypatch.setattr(claude_client, "MIN_ATTEMPT_S", 19.0)
    candidates = [written("a"), written("b", BROKEN)][not accepted :]
    api.then(replace(message(answer_text(*candidates)), after_s=1.1))

    answer = rewards(make_generator(deadline_s=20.0, attempt_timeout_s=10.0))

    assert len(api.requests) == 1
    assert answer.provider == ("claude" if accepted else "library")
    [refused] = [c for c in answer.candidates if not c.verdict.accepted]
    assert (refused.name, refused.verdict.issues[0].reason) == ("b", "attribute")


def test_a_hackable_reward_passes_the_gate_which_judges_form_and_numbers(api, generator):
    api.then(message(answer_text(written("a", HACKABLE))))

    assert names(rewards(generator), accepted=True) == ["a"]


@pytest.mark.parametrize("where", ["current", "memory", "twice"])
def test_what_is_in_force_or_was_tried_is_refused(api, generator, where):
    again = GOOD.replace("speed", "v")
    api.then(*[message(answer_text(written("a", again), written("b", ALSO_GOOD)))] * 2)
    if where == "twice":
        api.script.clear()
        api.then(*[message(answer_text(written("b", ALSO_GOOD), written("a", ALSO_GOOD)))] * 2)
    overrides = {
        "current": {"current_program": again},
        "memory": {"memory": [{"name": "old", "program": again, "outcome": "lost"}]},
        "twice": {},
    }[where]

    answer = rewards(generator, **overrides)

    assert names(answer, accepted=True) == ["b"]
    assert {c.verdict.issues[0].reason for c in answer.candidates[1:]} == {"repeated"}


def test_weights_alone_reweight_the_reward_in_force(api, generator):
    weights = [{"name": "effort_weight", "value": 0.5}]
    api.then(message(answer_text(written("w", "", weights=weights), action="reweight")))

    answer = rewards(generator, current_program=GOOD)

    assert answer.candidates[0].program == GOOD.replace(
        "effort_weight = 0.1", "effort_weight = 0.5"
    )
    assert answer.candidates[0].verdict.accepted


@pytest.mark.parametrize("current", [None, GOOD])
def test_a_candidate_without_a_program_or_with_unknown_weights_is_refused(api, generator, current):
    weights = [{"name": "luck_weight", "value": 0.5}]
    api.then(*[message(answer_text(written("a"), written("w", "", weights=weights)))] * 2)

    answer = rewards(generator, current_program=current)

    [reason] = {c.verdict.issues[0].reason for c in answer.candidates if c.name == "w"}
    assert reason == "schema"


def test_changes_of_the_environment_stay_within_what_is_allowed(api, generator):
    changes = [
        {"name": "gravity", "low": 0.0, "high": 99.0, "reason": "harder"},
        {"name": "colour", "low": 0.0, "high": 1.0, "reason": "prettier"},
    ]
    knob = {"name": "gravity", "low": 8.0, "high": 12.0, "current_low": 9.8, "current_high": 9.8}
    api.then(message(answer_text(action="env_change", env_changes=changes)))

    answer = rewards(generator, knobs=[knob])

    assert answer.action == "env_change"
    assert [(c.name, c.low, c.high) for c in answer.env_changes] == [("gravity", 8.0, 12.0)]


class GoneGate(Gate):
    """A gate whose sandbox is gone, at once or from the first trial on."""

    def __init__(self, *, at_once):
        self._at_once = at_once

    def require_ready(self):
        if self._at_once:
            raise SandboxError("unavailable", "the sandbox is gone")

    def judge(self, *_):
        raise SandboxError("unavailable", "the sandbox is gone")


def test_claude_is_not_asked_while_nothing_can_be_tried(api, open_ledger):
    claude = ClaudeProvider(make_client(api, open_ledger()))
    providers = {"claude": claude, "library": LibraryProvider()}

    with pytest.raises(SandboxError, match="the sandbox is gone"):
        rewards(Generator(GoneGate(at_once=True), providers, "claude", Counts()))

    assert api.requests == []


def test_what_was_paid_for_is_answered_though_it_cannot_be_tried(api, open_ledger):
    api.then(message(answer_text(written("a"))))
    claude = ClaudeProvider(make_client(api, open_ledger()))
    providers = {"claude": claude, "library": LibraryProvider()}

    answer = rewards(Generator(GoneGate(at_once=False), providers, "claude", Counts()))

    # Nobody can correct what was not tried: it does not go back.
    assert (answer.usage.attempts, len(answer.exchanges), len(api.requests)) == (1, 1, 1)
    assert (answer.provider, [f.kind for f in answer.failures]) == ("library", ["invalid"])
    assert "a" in names(answer, accepted=False)
    assert {c.verdict.message for c in answer.candidates} == {
        "untried: it could not be tried: the sandbox is gone"
    }


def test_what_cost_nothing_may_be_asked_again_when_it_can_be_tried():
    generator = Generator(
        GoneGate(at_once=False), {"library": LibraryProvider()}, "library", Counts()
    )

    with pytest.raises(SandboxError, match="the sandbox is gone"):
        rewards(generator)


def test_half_a_character_in_an_answer_is_shown_as_one_that_cannot_be_read(api, generator):
    # JSON can escape a lone surrogate, but UTF-8 cannot write it.
    text = message("what \ud83d is this", stop_reason="end_turn", id="msg_\udcff")
    api.then(text)

    answer = rewards(generator)

    assert answer.exchanges[0].response == "what \ufffd is this"
    assert "\\ud83d" not in answer.model_dump_json()


def test_a_provider_that_is_not_there_is_named(gate):
    generator = Generator(gate, {"library": LibraryProvider()}, "library", Counts())

    with pytest.raises(LookupError, match="claude is not set up here; there is: library"):
        rewards(generator, provider="claude")


def test_the_prompts_first_part_is_the_same_bytes_whatever_is_asked(api, generator):
    api.then(*[message(answer_text(written("a")))] * 2)
    rewards(generator)
    other = make_task(id="Other-v0", description="Something else.")
    rewards(generator, task=other, description="stand still", run="r2")

    first, second = (request["system"] for request in api.requests)
    assert first[0] == second[0]
    assert first[1] != second[1]
    # A prefix below 512 tokens is not cached; no token of English is longer than 8 letters or so.
    assert len(first[0]["text"]) > 8 * 512


def test_of_a_long_memory_the_latest_programs_are_told(api, generator):
    api.then(message(answer_text(written("a"))))
    memory = [
        {
            "name": f"c{n}",
            "program": GOOD.replace("0.1", f"{n}.5"),
            "outcome": "lost",
            "reason": "slow",
        }
        for n in range(9)
    ]
    rewards(generator, memory=memory)

    told = json.loads(api.requests[0]["messages"][0]["content"])["request"]["earlier_candidates"]

    assert [each["reason"] for each in told] == ["slow"] * 9
    assert ["program" in each for each in told] == [False] * 3 + [True] * 6


def test_with_a_fifth_of_faults_every_request_ends_in_candidates(api, make_generator, open_ledger):
    # 80 answers, and 20 faults of 9 kinds: three times rate and overload, twice each of the rest.
    # 12 of these are asked again; a page and what is cut off, refused or broken, 8 times, are not.
    api.then(*with_faults(message(answer_text(written("a"))), 100))
    ledger = open_ledger()
    generator = make_generator(ledger, attempt_timeout_s=2.0)

    answers = [rewards(generator, num_candidates=1) for _ in range(88)]

    assert all(names(answer, accepted=True) for answer in answers)
    assert Counter(answer.provider for answer in answers) == {"claude": 80, "library": 8}
    kinds = Counter(failure.kind for answer in answers for failure in answer.failures)
    assert kinds == {"invalid": 4, "truncated": 2, "refusal": 2}
    books = ledger.of_run("r1")
    assert (books.attempts, len(api.script)) == (100, 0)
    # 86 messages tell that they took 4000 tokens and made 900.
    assert (books.input_tokens, books.output_tokens) == api.tokens() == (344_000, 77_400)
    assert books.tokens >= sum(api.tokens(told=False))
