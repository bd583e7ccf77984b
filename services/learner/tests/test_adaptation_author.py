"""The learner's client of reward-gen: against the real one, and against one that is hostile."""

import json
import math
import socket
import subprocess
import sys
import threading
import time

import pytest
from hostile_reward_gen import GOAL, HostileServer, reply
from msgspec import structs

from websim.service.errors import UserError
from websim.service.tokens import load_token
from websim.wire.messages import FieldInfo, TaskInfo
from websim_learner.adaptation import author as author_module
from websim_learner.adaptation.answers import GoalAnswer, RewardAnswer
from websim_learner.adaptation.author import MAX_ANSWER_BYTES, Answered, Author, AuthorFailed
from websim_learner.adaptation.feedback import make_feedback
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.points import ComponentTally, EvalPoint
from websim_learner.adaptation.requests import (
    Feedback,
    KnobBounds,
    Remembered,
    goal_request,
    reward_request,
)

DEADLINE_S = 60.0
TOY = TaskInfo(
    id="Toy-v0",
    description="keep a point near the origin",
    obs_dim=3,
    action_low=(-2.0,),
    action_high=(2.0,),
    dt_s=0.1,
    max_episode_steps=40,
    fields=(FieldInfo("x", 0, "m"), FieldInfo("velocity", 2, "m/s")),
    fitness_unit="m",
)
SOURCE = (
    "def reward(state, action):\n    x_weight = 1.0\n    return -x_weight * state.x * state.x\n"
)
QUESTION = goal_request("r", TOY, "be still")


def outcome_of(author, within_s=DEADLINE_S):
    give_up_s = time.monotonic() + within_s
    while (outcome := author.poll()) is None:
        assert time.monotonic() < give_up_s
        time.sleep(0.01)
    return outcome


@pytest.fixture
def make_author():
    authors = []

    def make(url, token="", **options):
        authors.append(Author(url, token, **options))
        return authors[-1]

    yield make
    for author in authors:
        author.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(author_module, "FIRST_BACKOFF_S", 0.02)
    monkeypatch.setattr(author_module, "LOOK_UP_S", 0.02)


def test_a_real_reward_gen_writes_rewards_for_a_goal(reward_gen, make_author):
    author = make_author(reward_gen)
    memory = [Remembered(name="first", program=SOURCE, outcome="lost", fitness_gain=float("nan"))]
    knobs = [KnobBounds(name="mass", low=0.5, high=2.0, current_low=1.0, current_high=1.0)]
    feedback = Feedback(trigger="stagnation", evidence="no gain", fitness=1.0)
    goal = Goal(description="keep x at 0")
    author.ask(
        "/v1/rewards",
        reward_request("run 1 of Jürgen", TOY, goal, SOURCE, feedback, memory, 2, knobs),
    )
    assert author.busy
    outcome = outcome_of(author)
    assert isinstance(outcome, Answered), outcome
    assert isinstance(outcome.body, RewardAnswer)
    assert outcome.body.provider == "library"
    assert (author.busy, author.banner, author.poll()) == (False, "", None)


def test_a_real_reward_gen_measures_a_goal(reward_gen, make_author):
    author = make_author(reward_gen)
    author.ask("/v1/goals", goal_request("r", TOY, "walk like a zombie"))
    goal = outcome_of(author).body
    assert isinstance(goal, GoalAnswer)
    assert goal.kind == "none"


def test_a_real_reward_gen_refuses_what_does_not_fit(reward_gen, make_author):
    author = make_author(reward_gen)
    author.ask("/v1/goals", goal_request("r", TOY, "x" * 2001))
    outcome = outcome_of(author)
    assert outcome == AuthorFailed(
        "refused",
        "reward-gen refuses the question: description: String should have at most 2000 characters",
    )


def test_an_open_task_fits_too(reward_gen, make_author):
    """Bounds of actions may be open, texts long, and a run's name anything."""
    open_task = structs.replace(
        TOY,
        action_low=(-math.inf,),
        action_high=(math.inf,),
        description="d" * 5000,
        reward_source="x" * 9000,
        fitness_description="f" * 5000,
    )
    author = make_author(reward_gen)
    author.ask("/v1/rewards", reward_request("", open_task, Goal(), "x" * 9000, Feedback()))
    assert isinstance(outcome_of(author), Answered)


def test_whatever_a_learner_knows_fits(reward_gen, make_author):
    """More candidates, knobs, components and episodes than are taken, and numbers that are none."""
    tallies = {
        f"{i:03}" * 30: ComponentTally(share=2.0, mean=math.nan if i % 3 else 1e15, std=-1.0)
        for i in range(60)
    }
    tallies |= {f"fine{i}": ComponentTally(share=0.1, mean=0.0, std=0.0) for i in range(60)}
    points = [
        EvalPoint(
            update=i,
            env_steps=i,
            fitness=(math.inf, 1.0, 2.0),
            reward_return=(-math.inf, 1e300, 0.0),
            task_return=(0.0,) * 3,
            length=(10**6,) * 3,
            reward_id="p_1",
            components=tallies,
            value_loss=math.nan,
        )
        for i in range(64)
    ]
    feedback = make_feedback(points, "guard", "e" * 5000, target=math.inf)
    memory = [
        Remembered(
            name="n" * 900, program="x" * 9000, outcome="lost", reason="r" * 900,
            fitness_gain=math.nan,
        )
        for _ in range(99)
    ]  # fmt: skip
    knobs = [
        KnobBounds(
            name=f"knob{i}", low=0.0, high=2.0, current_low=1.0, current_high=1.0,
            unit="u" * 99, description="d" * 999,
        )
        for i in range(99)
    ]  # fmt: skip
    goal = Goal(description="g" * 9000)
    author = make_author(reward_gen)
    author.ask(
        "/v1/rewards", reward_request("r" * 500, TOY, goal, SOURCE, feedback, memory, 8, knobs)
    )
    outcome = outcome_of(author)
    assert isinstance(outcome, Answered), outcome


WRONG = [
    (reply(200, "<html>welcome</html>", content="text/html"), "not of its form"),
    (reply(200, '{"kind": "none", "description": 1}'), "str"),
    (reply(200, '{"description": "d"}'), "kind"),
    (reply(200, '{"kind": "program", "description": "d"}'), "needs program and accumulate"),
    (reply(200, '{"kind": "none", "description": "d", "usage": {"usd": "much"}}'), "float"),
    (reply(200, '{"kind": "none", "description": "d", "usage": {"usd": NaN}}'), "not of its form"),
    (reply(200, b"\xff\xfe\x00"), "not of its form"),
    (reply(200, ""), "not of its form"),
    (reply(200, "x" * (MAX_ANSWER_BYTES + 1)), "longer than 4 MiB"),
    (reply(204, ""), "HTTP 204"),
    (reply(302, "", head="Location: http://127.0.0.1:1/\r\n"), "HTTP 302"),
]


@pytest.mark.parametrize(("said", "why"), WRONG)
def test_an_answer_that_is_none_is_invalid_and_not_asked_again(make_author, said, why):
    with HostileServer(said) as server:
        author = make_author(server.url)
        author.ask("/v1/goals", QUESTION)
        outcome = outcome_of(author)
        assert (outcome.kind, len(server.questions), author.banner) == ("invalid", 1, "")
        assert why in outcome.message
        assert "\n" not in outcome.message


def test_unknown_names_in_an_answer_are_ignored(make_author):
    more = json.dumps(json.loads(GOAL) | {"colour": "blue"})
    with HostileServer(reply(200, more)) as server:
        author = make_author(server.url)
        author.ask("/v1/goals", QUESTION)
        assert outcome_of(author).body.description == "no number says it"


REFUSED = [
    (
        reply(422, '{"detail": "provider claude is not set up here"}'),
        "refused",
        "provider claude is not set",
    ),
    (
        reply(422, '{"detail": [{"loc": ["body", "run"], "msg": "bad", "type": "x"}]}'),
        "refused",
        "run: bad",
    ),
    (
        reply(413, "Request body too large", content="text/plain"),
        "refused",
        "Request body too large",
    ),
    # It says nothing of the question: another service listens there, or the token is wrong.
    (reply(404, '{"detail": "Not Found"}'), "denied", "Not Found"),
    (reply(401, '{"detail": "bring a token"}'), "denied", "--reward-gen-token-file"),
]


@pytest.mark.parametrize(("said", "kind", "why"), REFUSED)
def test_a_refusal_is_told_in_its_own_words_and_not_asked_again(make_author, said, kind, why):
    with HostileServer(said) as server:
        author = make_author(server.url)
        author.ask("/v1/goals", QUESTION)
        outcome = outcome_of(author)
        assert (outcome.kind, len(server.questions)) == (kind, 1)
        assert why in outcome.message


BUSY = reply(503, '{"detail": "too many requests are being answered"}')
GOOD = reply(200, GOAL)


@pytest.mark.parametrize(
    "said",
    [
        BUSY,
        reply(500, "Internal Server Error", content="text/plain"),
        reply(200, GOAL, length=len(GOAL) + 100),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
def test_what_may_pass_is_asked_again(make_author, said):
    with HostileServer(said, said, GOOD) as server:
        author = make_author(server.url)
        author.ask("/v1/goals", QUESTION)
        outcome = outcome_of(author)
        assert isinstance(outcome, Answered), outcome
        assert (len(server.questions), author.banner) == (3, "")
        assert [question[2] for question in server.questions] == [server.questions[0][2]] * 3


def test_the_banner_says_that_it_is_tried_again(make_author):
    with HostileServer(BUSY) as server:
        author = make_author(server.url, deadline_s=0.5)
        author.ask("/v1/goals", QUESTION)
        seen = set()
        while (outcome := author.poll()) is None:
            seen.add(author.banner)
            time.sleep(0.005)
    reason = "reward-gen does not answer: HTTP 503, too many requests are being answered"
    assert f"{reason}; trying again" in seen
    assert author.banner == reason
    assert outcome == AuthorFailed(
        "unreachable", f"{reason}; given up. Is it running at {author._url}?"
    )


def test_what_nobody_wants_is_tried_no_more(make_author):
    author = make_author("http://127.0.0.1:9")
    author.ask("/v1/goals", {})
    eventually = time.monotonic() + 10.0
    while not author.banner and time.monotonic() < eventually:
        time.sleep(0.01)
    author.give_up()
    began_s = time.monotonic()
    while (outcome := author.poll()) is None and time.monotonic() < eventually:
        time.sleep(0.01)
    assert outcome.kind == "unreachable"
    assert time.monotonic() - began_s < 2.0


def test_backoff_grows_to_its_bound(make_author, monkeypatch):
    monkeypatch.setattr(author_module, "MAX_BACKOFF_S", 0.05)
    with HostileServer(BUSY) as server:
        author = make_author(server.url, deadline_s=1.0)
        author.ask("/v1/goals", QUESTION)
        outcome_of(author)
        # Waits of 0.02, 0.04 and then 0.05 s: no more than 2 + 1 / 0.05 tries fit.
        assert 3 <= len(server.questions) <= 22


def test_a_server_that_is_not_there_yet_is_waited_for(make_author):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    author = make_author(f"http://127.0.0.1:{port}")
    author.ask("/v1/goals", QUESTION)
    while not author.banner:
        time.sleep(0.005)
    assert author.banner == "reward-gen does not answer: connection refused; trying again"
    with HostileServer(GOOD, port=port):
        assert isinstance(outcome_of(author), Answered)


@pytest.mark.parametrize(
    "said", [None, [b"H", *[b"T"] * 10_000], [reply(200, GOAL)[:90], *[b" "] * 10_000]]
)
def test_a_silent_or_dripping_server_costs_no_more_than_the_deadline(make_author, said):
    with HostileServer(said) as server:
        author = make_author(server.url, deadline_s=0.4)
        began_s = time.monotonic()
        author.ask("/v1/goals", QUESTION)
        outcome = outcome_of(author)
        assert outcome.kind == "unreachable"
        assert time.monotonic() - began_s < 3.0


def test_a_try_that_hangs_gives_way_to_the_next(make_author, monkeypatch):
    monkeypatch.setattr(author_module, "ANSWER_TIMEOUT_S", 0.2)
    with HostileServer(None, GOOD) as server:
        author = make_author(server.url)
        author.ask("/v1/goals", QUESTION)
        assert isinstance(outcome_of(author), Answered)
        assert len(server.questions) == 2


def test_reward_gen_cannot_be_told_to_answer_later_than_it_is_waited_for(tmp_path):
    # 20 s for its verdicts and its library on a busy machine, after Claude's time is over.
    longest_s = author_module.ANSWER_TIMEOUT_S - 20.0
    ended = subprocess.run(
        [sys.executable, "-m", "websim_reward_gen", "--deadline-s", str(longest_s + 1.0)],
        capture_output=True,
        cwd=tmp_path,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 2
    assert f"must be less than or equal to {longest_s:g}" in ended.stderr


@pytest.mark.parametrize("said", [None, BUSY])
def test_close_ends_a_question_at_once(make_author, said):
    with HostileServer(said) as server:
        author = make_author(server.url)
        author.ask("/v1/goals", QUESTION)
        while not server.questions:
            time.sleep(0.005)
        began_s = time.monotonic()
        author.close()
        assert time.monotonic() - began_s < 1.0
        assert author.poll().kind == "unreachable"
        assert not [t for t in threading.enumerate() if t.name == "author"]
        with pytest.raises(RuntimeError):
            author.ask("/v1/goals", QUESTION)


def test_one_question_at_a_time(make_author):
    with HostileServer(GOOD) as server:
        author = make_author(server.url)
        author.ask("/v1/goals", QUESTION)
        with pytest.raises(RuntimeError):
            author.ask("/v1/goals", QUESTION)
        outcome_of(author)
        author.ask("/v1/goals", QUESTION)
        outcome_of(author)


IN_THE_RESOLVER = "import socket, time\nsocket.getaddrinfo = lambda *a, **k: time.sleep(300)\n"


@pytest.mark.parametrize("before", ["", IN_THE_RESOLVER])
@pytest.mark.parametrize("closing", ["", "author.close()\n"])
def test_a_learner_that_ends_waits_for_no_answer(before, closing):
    with HostileServer(None) as server:
        script = (
            f"{before}from websim_learner.adaptation.author import Author\n"
            f"author = Author({server.url!r})\nauthor.ask('/v1/goals', {{}})\n{closing}"
            "raise SystemExit(3)\n"
        )
        ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=60.0)
        assert ended.returncode == 3


def test_the_token_travels_in_its_header(make_author, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"view {'v' * 32}\ncontrol {'c' * 32}\n")
    tokens.chmod(0o400)
    with HostileServer(GOOD) as server:
        author = make_author(server.url, load_token(tokens))
        author.ask("/v1/goals", QUESTION)
        outcome_of(author)
        assert server.questions[0][1]["authorization"] == f"Bearer {'c' * 32}"


@pytest.mark.parametrize(
    "url", ["", "localhost:8090", "ftp://a", "http://", "http://a b", "http://a:x", "http://a/v1"]
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(UserError, match="is no address of a service"):
        Author(url)
