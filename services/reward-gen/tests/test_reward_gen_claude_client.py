"""One question to the Messages API: every documented way it may end, and what it is booked as."""

import asyncio
import json
import time

import pytest
from fake_messages_api import USAGE, Step, cut, drop, error, hang, html, message
from reward_gen_samples import KEY, MODEL, make_client

from websim_reward_gen.claude import client as claude_client
from websim_reward_gen.claude.client import Question
from websim_reward_gen.prices import NANO_USD, PRICES, make_price
from websim_reward_gen.proposal import ProviderFailure

QUESTION = Question(("the rules", "the task"), "the request" * 440, {"type": "object"})
PRICE = PRICES[MODEL]


def ask(client, run="r1", *, ago_s=0.0):
    return asyncio.run(client.ask(run, QUESTION, time.monotonic() - ago_s))


def failure(client, run="r1", **when):
    with pytest.raises(ProviderFailure) as raised:
        ask(client, run, **when)
    return raised.value


def assert_books_agree(api, ledger):
    """The ledger knows what the server told to the token, and never less than it billed."""
    books = ledger.of_run("r1")
    assert (books.input_tokens, books.output_tokens) == api.tokens()
    assert books.tokens >= sum(api.tokens(told=False))
    assert books.attempts == len(api.requests)


def test_a_good_answer_is_its_text_and_its_cost(api, open_ledger):
    api.then(message("hello"))
    ledger = open_ledger()

    reply = ask(make_client(api, ledger))

    assert (reply.text, reply.stop_reason, reply.message_id) == ("hello", "end_turn", "msg_01")
    # 1200 x 0.10 + 2500 x 0.01 + 300 x 0.125 + 900 x 0.50, in USD per million
    cost = 120.0 + 25.0 + 37.5 + 450.0
    assert reply.usage.usd == pytest.approx(cost * 1e-6)
    assert ledger.of_run("r1").nano_usd == round(cost * 1000)
    assert_books_agree(api, ledger)


def test_the_request_is_what_the_api_documents(api, open_ledger):
    api.then(message("hello"))

    ask(make_client(api, open_ledger()))

    sent = api.requests[0]
    assert api.keys == [f"Bearer {KEY}"]
    assert sent["model"] == MODEL
    assert sent["max_tokens"] == 2000
    assert sent["output_config"]["format"] == {"type": "json_schema", "schema": {"type": "object"}}
    assert sent["output_config"]["effort"] == "medium"
    assert [block["text"] for block in sent["system"]] == ["the rules", "the task"]
    assert all(block["cache_control"] == {"type": "ephemeral"} for block in sent["system"])
    assert not {"temperature", "top_p", "top_k", "tool_choice", "stream"} & set(sent)


FAILURES = [
    ("no_key", [error(401, "authentication_error")], "auth", 1),
    ("no_permission", [error(403, "permission_error")], "auth", 1),
    ("no_credit", [error(402, "billing_error")], "budget", 1),
    (
        "bad_request",
        [error(400, "invalid_request_error", "max_tokens: too large")],
        "bad_request",
        1,
    ),
    ("no_model", [error(404, "not_found_error")], "bad_request", 1),
    ("too_large", [error(413, "request_too_large")], "bad_request", 1),
    ("rate", [error(429, "rate_limit_error", retry_after_ms="5")] * 3, "rate", 3),
    ("overload", [error(529, "overloaded_error")] * 3, "overload", 3),
    ("server_error", [error(500)] * 3, "overload", 3),
    ("gateway_page", [html(502)] * 3, "overload", 3),
    ("gateway_timeout", [error(504)] * 3, "timeout", 3),
    ("page", [html()], "invalid", 1),
    ("hang", [hang()] * 3, "timeout", 3),
    ("dropped", [drop()] * 3, "network", 3),
    ("cut_stream", [cut()] * 3, "network", 3),
    ("truncated", [message('{"diagn', stop_reason="max_tokens")], "truncated", 1),
    ("context_full", [message("", stop_reason="model_context_window_exceeded")], "truncated", 1),
    ("no_end", [message("half", stop_reason=None)], "truncated", 1),
    (
        "refused",
        [message("", stop_reason="refusal", content=[], stop_details={"category": "frontier_llm"})],
        "refusal",
        1,
    ),
    ("no_text", [message("")], "invalid", 1),
]


@pytest.mark.parametrize(
    ("steps", "kind", "requests"), [case[1:] for case in FAILURES], ids=[c[0] for c in FAILURES]
)
def test_every_failure_has_its_kind_and_is_booked(api, open_ledger, steps, kind, requests):
    api.then(*steps)
    ledger = open_ledger()

    failed = failure(make_client(api, ledger, attempt_timeout_s=0.3))

    assert failed.kind == kind
    assert len(api.requests) == requests
    assert_books_agree(api, ledger)
    assert failed.usage.usd == pytest.approx(ledger.of_run("r1").usd)


def test_nobody_listens(api, open_ledger):
    ledger = open_ledger()
    client = make_client(api, ledger, base_url="http://127.0.0.1:9")

    assert failure(client).kind == "network"
    assert ledger.of_run("r1").usd == 0.0


def test_no_proxy_reads_the_key_on_its_way_to_loopback(api, open_ledger, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    api.then(message("hello"))

    assert ask(make_client(api, open_ledger())).text == "hello"


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "nonsense://user:secret@host"])
def test_a_proxy_that_cannot_be_used_is_a_failure_of_the_network(
    api, open_ledger, monkeypatch, proxy
):
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    failed = failure(make_client(api, open_ledger()))

    assert (failed.kind, "the proxy" in str(failed)) == ("network", True)
    assert "secret" not in str(failed)


def test_overload_and_rate_pass_when_asked_again(api, open_ledger):
    api.then(error(429, "rate_limit_error", retry_after_ms="20"), error(529), message("hello"))
    ledger = open_ledger()

    reply = ask(make_client(api, ledger))

    assert (reply.text, reply.usage.attempts) == ("hello", 3)
    assert_books_agree(api, ledger)


def test_a_pause_beyond_the_deadline_is_not_waited_for(api, open_ledger):
    api.then(error(429, "rate_limit_error", retry_after="3600"))

    failed = failure(make_client(api, open_ledger(), deadline_s=5.0))

    assert failed.kind == "rate"
    assert len(api.requests) == 1


def test_a_request_that_is_all_but_over_is_not_asked(api, open_ledger, monkeypatch):
    monkeypatch.setattr(claude_client, "MIN_ATTEMPT_S", 5.0)
    ledger = open_ledger()

    failed = failure(make_client(api, ledger, deadline_s=100.0), ago_s=96.0)

    assert (failed.kind, "100 s for the request" in str(failed)) == ("timeout", True)
    assert (api.requests, ledger.of_run("r1").attempts) == ([], 0)


def test_an_attempt_that_would_be_cut_off_is_not_made(api, open_ledger, monkeypatch):
    monkeypatch.setattr(claude_client, "MIN_ATTEMPT_S", 5.0)
    api.then(error(429, "rate_limit_error", retry_after="16"))

    assert failure(make_client(api, open_ledger(), deadline_s=100.0), ago_s=80.0).kind == "rate"
    assert len(api.requests) == 1


def test_a_bad_request_says_what_the_api_says(api, open_ledger):
    api.then(error(400, "invalid_request_error", "max_tokens: too large"))

    assert "max_tokens: too large" in str(failure(make_client(api, open_ledger())))


def test_a_key_that_the_server_echoes_is_not_passed_on(api, open_ledger):
    api.then(error(400, "invalid_request_error", f"bad key {KEY}"))

    assert KEY not in str(failure(make_client(api, open_ledger())))


def test_a_question_that_might_pass_the_cap_is_not_sent(api, open_ledger):
    worst = PRICE.nano_usd(0, 2000) / NANO_USD

    failed = failure(make_client(api, open_ledger(run_usd=worst)))

    assert failed.kind == "budget"
    assert "cap" in str(failed)
    assert api.requests == []


def test_what_cannot_be_booked_is_not_sent(api, open_ledger, room_for):
    ledger = open_ledger()
    client = make_client(api, ledger)

    with room_for(20):
        failed = failure(client)
    api.then(message("fine"))

    assert (failed.kind, failed.usage.attempts) == ("budget", 0)
    assert "the ledger cannot be written: no space left on device" in str(failed)
    assert ask(client).text == "fine"
    assert_books_agree(api, ledger)


def test_an_answer_whose_cost_cannot_be_booked_is_kept(api, open_ledger, room_for):
    api.then(message("fine"))
    ledger = open_ledger()
    # The reservation takes 90 to 100 bytes.
    with room_for(110):
        reply = ask(make_client(api, ledger))

    assert (reply.text, reply.usage.output_tokens) == ("fine", 900)
    assert ledger.of_run("r1").usd > reply.usage.usd


def test_spending_stays_below_the_cap_whatever_the_server_does(api, open_ledger):
    # Of five requests one hangs or is cut; the server bills all of them.
    ledger = open_ledger(run_usd=0.012)
    client = make_client(api, ledger, attempt_timeout_s=1.0, max_attempts=1)
    dear = {"input_tokens": 2000, "output_tokens": 2000}
    outcomes = []
    for number in range(20):
        api.then([message("fine", usage=dear), hang(), cut()][(number % 5 == 4) * (1 + number % 2)])
        try:
            outcomes.append(ask(client).text)
        except ProviderFailure as failed:
            outcomes.append(failed.kind)

    billed_in, billed_out = api.tokens(told=False)
    assert PRICE.nano_usd(billed_in, billed_out) / NANO_USD <= 0.012
    assert ledger.of_run("r1").usd <= 0.012
    assert outcomes[0] == "fine"
    assert outcomes[-1] == "budget"
    assert_books_agree(api, ledger)


def test_tokens_are_capped_too(api, open_ledger):
    api.then(*[message("fine")] * 5)
    client = make_client(api, open_ledger(run_tokens=15_000))

    kinds = []
    for _ in range(5):
        try:
            kinds.append(ask(client).text)
        except ProviderFailure as failed:
            kinds.append(failed.kind)

    assert kinds == ["fine", "fine", "budget", "budget", "budget"]


def test_another_run_has_its_own_cap(api, open_ledger):
    api.then(message("fine"), message("fine"))
    client = make_client(api, open_ledger(run_tokens=10_000))

    assert ask(client, "r1").text == "fine"
    assert failure(client, "r1").kind == "budget"
    assert ask(client, "r2").text == "fine"


def test_prices_add_up_exactly():
    price = make_price(0.1, 0.5)

    assert sum(price.nano_usd(1, 0) for _ in range(1000)) == price.nano_usd(1000, 0) == 100_000
    assert price.nano_usd(0, 3, 7, 11) == 3 * 500 + 7 * 10 + 11 * 125


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"input_tokens": None, "output_tokens": None},
        {"input_tokens": 1500.0, "output_tokens": 6000.0},
        {"input_tokens": -1, "output_tokens": 900},
        {"input_tokens": True, "output_tokens": True},
        {"input_tokens": 10**400, "output_tokens": 900},
        {"prompt_tokens": 1500, "completion_tokens": 6000},
        USAGE | {"cache_read_input_tokens": "many"},
    ],
    ids=["none", "null", "fractions", "negative", "boolean", "endless", "other names", "cache"],
)
def test_an_answer_that_does_not_tell_its_cost_keeps_its_worst_case(api, open_ledger, usage):
    api.then(message("fine", usage=usage))
    ledger = open_ledger()

    reply = ask(make_client(api, ledger))

    assert reply.text == "fine"
    # The longest answer is 2000 tokens at 0.50 USD per million; the prompt comes on top.
    assert reply.usage.usd == pytest.approx(ledger.of_run("r1").usd)
    assert reply.usage.usd > 2000 * 0.5e-6
    assert ledger.of_run("r1").nano_usd == 0


def test_a_cache_that_was_not_used_may_go_unmentioned(api, open_ledger):
    api.then(message("fine", usage={"input_tokens": 1000, "output_tokens": 200}))

    # 1000 x 0.10 + 200 x 0.50, in USD per million
    assert ask(make_client(api, open_ledger())).usage.usd == pytest.approx(200e-6)


def test_an_answer_nested_without_end_is_no_message_of_the_api(api, open_ledger):
    deep = Step(200, b"[" * 100_000, {"content-type": "application/json"}, told=False)
    api.then(deep)
    ledger = open_ledger()

    assert failure(make_client(api, ledger)).kind == "invalid"
    assert ledger.of_run("r1").usd > 2000 * 0.5e-6


def test_usage_is_booked_before_the_answer_is_read(api, open_ledger):
    api.then(message("{}", usage=USAGE | {"output_tokens": 77}, stop_reason="refusal"))
    ledger = open_ledger()

    failed = failure(make_client(api, ledger))

    assert failed.kind == "refusal"
    assert ledger.of_run("r1").output_tokens == failed.usage.output_tokens == 77
    assert json.loads(json.dumps(failed.usage.model_dump()))["attempts"] == 1
