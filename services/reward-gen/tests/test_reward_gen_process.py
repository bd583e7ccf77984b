"""reward-gen as a process: from a sentence to checked rewards, and where its key is not."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from fake_messages_api import error, hang, message
from reward_gen_samples import BROKEN, GOOD, answer_text, make_task, written

from websim.service.errors import UserError
from websim.service.settings import load_settings
from websim_reward_gen.claude.key import take_key
from websim_reward_gen.counts import Counts
from websim_reward_gen.providers import make_providers
from websim_reward_gen.settings import RewardGenSettings

DEADLINE_S = 60.0
CANARY = "sk-canary-4f1d7c0a9b"
MODEL = ("--model", "claude-haiku-5-5")


def start(place, *argv, **environment):
    """Start reward-gen in a directory of its own; return its URL and the process."""
    ready = place / "ready.json"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "websim_reward_gen", "--http-port", "0"]
    command += ["--ready-file", str(ready), "--log-file", str(place / "log.json"), *argv]
    with (place / "stderr").open("a") as stderr:
        service = subprocess.Popen(
            command, cwd=place, stderr=stderr, stdout=stderr, env=os.environ | environment
        )
    give_up_s = time.monotonic() + DEADLINE_S
    while not ready.exists():
        assert service.poll() is None, (place / "stderr").read_text()
        assert time.monotonic() < give_up_s
        time.sleep(0.05)
    return json.loads(ready.read_text())["http_url"], service


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of a service without a key."""
    address, service = start(tmp_path_factory.mktemp("library"))
    yield address
    stop(service)


def get(url):
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
        return answer.read().decode()


def post(url, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def body(**overrides):
    task = make_task().model_dump(mode="json")
    return {"task": task, "description": "run forward at 2 m/s", "num_candidates": 2} | overrides


def stop(service):
    service.send_signal(signal.SIGTERM)
    assert service.wait(DEADLINE_S) == 0


def test_without_a_key_the_library_answers(url):
    status, answer = post(f"{url}/v1/rewards", body())
    assert (status, answer["provider"], answer["failures"]) == (200, "library", [])
    assert [c["verdict"]["accepted"] for c in answer["candidates"]] == [True, True]
    assert answer["understood"] == ["run forward 2 m/s"]

    status, goal = post(f"{url}/v1/goals", {k: body()[k] for k in ("task", "description")})
    assert (status, goal["kind"], goal["accumulate"]) == (200, "program", "sum")

    status, check = post(f"{url}/v1/checks", {"task": body()["task"], "program": BROKEN})
    assert (status, check["verdict"]["issues"][0]["reason"]) == (200, "attribute")
    status, check = post(f"{url}/v1/checks", {"task": body()["task"], "program": GOOD})
    assert (check["verdict"]["accepted"], check["weights"]["effort_weight"]) == (True, 0.1)

    assert get(f"{url}/readyz") == "ready\n"
    assert get(f"{url}/healthz") == "ok\n"
    metrics = get(f"{url}/metrics")
    assert (
        'websim_reward_gen_candidates_total{provider="library",verdict="accepted"} 2.0' in metrics
    )
    # Told before there is one, so that alerts see it come.
    assert 'websim_reward_gen_provider_failures_total{kind="auth",provider="library"} 0' in metrics
    paths = json.loads(get(f"{url}/openapi.json"))["paths"]
    assert {"/v1/rewards", "/v1/goals", "/v1/checks"} <= set(paths)


BAD_BODIES = [
    ({}, "Field required"),
    (b"{", "JSON decode error"),
    (body(description="   "), "at least 1 character"),
    (body(description="x" * 2001), "at most 2000 characters"),
    (body(num_candidates=99), "less than or equal to 8"),
    (body(run="a b"), "pattern"),
    (body(speling=1), "Extra inputs are not permitted"),
    (body(current_program="x" * 9000), "at most 8192 characters"),
    (body(provider="oracle"), "Input should be 'auto', 'claude', 'library' or 'replay'"),
    (body(provider="claude"), "provider claude is not set up here"),
    (body(feedback={"fitness": 1e999}), "finite"),
    (body(memory=[{"name": "a", "outcome": "lost"}] * 33), "at most 32 items"),
    (body(task=body()["task"] | {"fields": []}), "at least 1 item"),
    (body(task=body()["task"] | {"fields": [{"name": "a b", "columns": 0}]}), "plain identifier"),
    (
        body(
            task=body()["task"] | {"fields": [{"name": f"f{i}", "columns": 4096} for i in range(9)]}
        ),
        "more than 16384 columns",
    ),
]


def test_bodies_that_do_not_fit_are_refused_with_the_reason(url):
    for bad, reason in BAD_BODIES:
        status, answer = post(f"{url}/v1/rewards", bad)
        assert (status, reason in json.dumps(answer)) == (422, True), (reason, answer)
    assert get(f"{url}/readyz") == "ready\n"


def test_an_answer_is_given_where_the_recording_has_no_room(api, tmp_path):
    api.then(message(answer_text(written("a"), written("b", GOOD.replace("0.1", "0.3")))))
    argv = ["--base-url", api.url, "--record", "/dev/full", *MODEL]
    url, service = start(tmp_path, *argv, ANTHROPIC_API_KEY=CANARY)
    try:
        status, answer = post(f"{url}/v1/rewards", body())
        metrics = get(f"{url}/metrics")
        stop(service)
    finally:
        service.kill()

    assert (status, answer["provider"], answer["failures"]) == (200, "claude", [])
    assert "websim_reward_gen_answers_not_recorded_total 1.0" in metrics
    said = [line for line in (tmp_path / "stderr").read_text().splitlines() if "recorded" in line]
    assert len(said) == 1
    assert "/dev/full" in said[0]
    assert "no space left on device" in said[0]


def test_the_key_stays_and_the_books_and_a_stop_do_not_wait(api, tmp_path):
    """One service by a key in the environment, then one on the same books by a key in a file."""
    api.then(
        message(answer_text(written("a"), written("b", BROKEN))),
        error(400, "invalid_request_error", f"your key {CANARY} is bad"),
        error(401, "authentication_error", f"your key {CANARY} is wrong"),
    )
    argv = ["--base-url", api.url, "--record", "recording.jsonl", "--log-json", *MODEL]
    misleading = {
        "ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer another",
        "ANTHROPIC_LOG": "debug",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    url, service = start(tmp_path, *argv, ANTHROPIC_API_KEY=CANARY, **misleading)
    try:
        answers = [post(f"{url}/v1/rewards", body(description=d))[1] for d in ("run", "walk")]
        texts = [json.dumps(answers), get(f"{url}/metrics"), get(f"{url}/openapi.json")]
        children = [
            Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
            for pid in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
        ]
        stop(service)
    finally:
        service.kill()
    texts += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]

    assert api.keys == [f"Bearer {CANARY}"] * 3
    assert answers[0]["candidates"][0]["provenance"]["provider"] == "claude"
    assert answers[1]["failures"][0]["kind"] == "auth"
    assert children
    assert not any(CANARY.encode() in child for child in children)
    assert len(texts) >= 7
    assert not any(CANARY in text for text in texts)
    # Nor is the address of a gateway, which may hold a token, logged with every request.
    assert not any("HTTP Request" in text for text in texts)

    (tmp_path / "key").write_text(CANARY + "\n")
    (tmp_path / "key").chmod(0o400)
    argv += ["--api-key-file", "key", "--usd-per-run", "0.015", "--attempt-timeout-s", "60"]
    url, service = start(tmp_path, *argv)
    try:
        spent = post(f"{url}/v1/rewards", body(run="none", provider="claude"))[1]
        assert spent["failures"][0]["kind"] != "auth"
        api.then(hang())
        before = len(api.requests)
        asking = subprocess.Popen(
            [sys.executable, "-c", ASK, url.rpartition(":")[2]],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        asking.stdin.write(json.dumps(body(run="r2")).encode())
        asking.stdin.close()
        give_up_s = time.monotonic() + DEADLINE_S
        while len(api.requests) == before:
            assert time.monotonic() < give_up_s
            time.sleep(0.02)
        began_s = time.monotonic()
        stop(service)
        assert time.monotonic() - began_s < 30.0
    finally:
        service.kill()
        asking.wait(DEADLINE_S)


ASK = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
body = sys.stdin.buffer.read()
connection.request("POST", "/v1/rewards", body, {"content-type": "application/json"})
connection.getresponse().read()
"""

BAD_SETTINGS = [
    (["--provider", "claude"], {}, "needs an API key"),
    (["--provider", "replay"], {}, "needs a recording"),
    (["--replay", "none.jsonl"], {}, "no such file"),
    (["--api-key-file", "none"], {}, "--api-key-file none: no such file"),
    ([], {"ANTHROPIC_API_KEY": "two words"}, "ANTHROPIC_API_KEY holds no API key"),
    (["--model", "claude-next"], {"ANTHROPIC_API_KEY": CANARY}, "price of model claude-next"),
    (["--input-usd-per-mtok", "1"], {"ANTHROPIC_API_KEY": CANARY}, "belong together"),
    (["--base-url", "http://api.example"], {"ANTHROPIC_API_KEY": CANARY}, "key in the clear"),
    (["--base-url", "gateway"], {"ANTHROPIC_API_KEY": CANARY}, "key in the clear"),
    (["--base-url", "https://["], {"ANTHROPIC_API_KEY": CANARY}, "is no address"),
    *(
        (["--base-url", url], {"ANTHROPIC_API_KEY": "sk-1"}, "no name and no password")
        for url in (
            f"https://user:{CANARY}@gateway.example",
            f"http://user:{CANARY}@127.0.0.1",
            f"user:{CANARY}@gateway.example",
        )
    ),
    (["--usd-per-run", "-1"], {}, "greater than or equal to 0"),
    (["--efort", "low"], {}, "did you mean --effort"),
    ([], {"WEBSIM_REWARD_GEN_PORT": "1"}, "unknown environment variable"),
]


def set_up(argv, ledger):
    """Do what `run` does before it listens."""
    settings = load_settings(RewardGenSettings, argv)
    return make_providers(settings, take_key(settings.api_key_file), ledger, Counts())


@pytest.mark.parametrize(
    ("argv", "environment", "reason"), BAD_SETTINGS, ids=[case[2] for case in BAD_SETTINGS]
)
def test_settings_that_cannot_be_are_named(
    argv, environment, reason, open_ledger, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(UserError) as refused:
        set_up(argv, open_ledger())

    assert reason in str(refused.value)
    assert CANARY not in str(refused.value)


def test_a_key_is_taken_out_of_the_environment(open_ledger, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)

    providers, default = set_up([], open_ledger())

    assert (default, sorted(providers)) == ("claude", ["claude", "library"])
    assert "ANTHROPIC_API_KEY" not in os.environ
    assert CANARY not in repr(vars(providers["claude"]._client))


def test_the_environment_does_not_say_where_the_key_goes(open_ledger, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    providers, _ = set_up([], open_ledger())
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://gateway.example")

    assert providers["claude"]._client._connect().base_url == "https://api.anthropic.com"


def test_nothing_else_of_the_environment_says_how_claude_is_asked():
    environment = {
        "ANTHROPIC_API_KEY": CANARY,
        "ANTHROPIC_AUTH_TOKEN": "another",
        "ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer another",
        "HTTPS_PROXY": "http://proxy.example",
    }

    assert take_key(None, environment).get_secret_value() == CANARY
    assert list(environment) == ["HTTPS_PROXY"]


def test_a_key_that_others_may_read_is_not_taken(tmp_path):
    (tmp_path / "key").write_text(CANARY)
    (tmp_path / "key").chmod(0o444)

    with pytest.raises(UserError, match="others may read"):
        take_key(tmp_path / "key", {})


def test_the_keys_file_wins_over_the_environment(tmp_path):
    (tmp_path / "key").write_text("from-the-file\n")
    (tmp_path / "key").chmod(0o400)
    environment = {"ANTHROPIC_API_KEY": CANARY}

    assert take_key(tmp_path / "key", environment).get_secret_value() == "from-the-file"
    assert environment == {}


def test_with_the_library_wanted_a_key_is_not_used(open_ledger, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)

    assert sorted(set_up(["--provider", "library"], open_ledger())[0]) == ["library"]


def test_a_wrong_setting_is_one_line_and_no_traceback(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "websim_reward_gen", "--replay", "none.jsonl"],
        capture_output=True,
        cwd=tmp_path,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert ended.returncode == 2
    assert (
        ended.stderr == "error: --replay none.jsonl: no such file or directory. Name a recording.\n"
    )
