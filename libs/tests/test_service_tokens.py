"""Bearer tokens on HTTP: who may read, who may command, and what an open question stays."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from starlette.websockets import WebSocketDisconnect

from websim.service.errors import UserError
from websim.service.http import add_health, make_app, serve_http
from websim.service.tokens import TokenCheck, load_tokens

VIEW, CONTROL, NEXT = "v" * 43, "c" * 43, "n" * 43


@pytest.fixture(scope="module")
def token_file(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("kettle")
    return write_tokens(directory, f"# of the kettle\nview {VIEW}\n\ncontrol {CONTROL}\n")


def write_tokens(directory: Path, text: str, mode: int = 0o400) -> Path:
    path = directory / "tokens"
    path.write_text(text)
    path.chmod(mode)
    return path


def make_kettle() -> FastAPI:
    app = make_app("kettle", "1.0")
    add_health(app, alive=lambda: True, ready=lambda: None, registry=CollectorRegistry())

    @app.get("/v1/tea")
    def tea() -> str:
        return "green"

    @app.post("/v1/boil")
    def boil() -> str:
        return "boiling"

    @app.websocket("/v1/steam")
    async def steam(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hiss")
        await socket.close()

    return app


@pytest.fixture(scope="module")
def url(token_file):
    server = serve_http(make_kettle(), "127.0.0.1", 0, token_file)
    yield server.url
    server.stop()


def ask(url: str, method: str = "GET", authorization: str | None = None) -> tuple[int, str]:
    headers = {} if authorization is None else {"Authorization": authorization}
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_and_metrics_need_no_token(url, path):
    assert ask(url + path)[0] == 200


@pytest.mark.parametrize(
    "authorization",
    [None, "", VIEW, f"Basic {VIEW}", "Bearer", "Bearer x", f"Bearer {VIEW}x", "Bearer \xe9"],
)
@pytest.mark.parametrize("path", ["/v1/tea", "/openapi.json", "/healthz/", "/nowhere"])
def test_everything_else_is_refused_without_a_good_token(url, path, authorization):
    status, body = ask(url + path, authorization=authorization)
    assert status == 401
    assert "Authorization: Bearer TOKEN" in json.loads(body)["detail"]
    assert "\n" not in body


def test_a_view_token_reads_and_does_not_command(url):
    assert ask(f"{url}/v1/tea", authorization=f"Bearer {VIEW}") == (200, '"green"')
    status, body = ask(f"{url}/v1/boil", "POST", f"Bearer {VIEW}")
    assert status == 403
    assert "control token" in json.loads(body)["detail"]


def test_a_control_token_reads_and_commands(url):
    assert ask(f"{url}/v1/tea", authorization=f"Bearer {CONTROL}")[0] == 200
    assert ask(f"{url}/v1/boil", "POST", f"bearer {CONTROL}") == (200, '"boiling"')


def test_old_and_new_tokens_are_good_while_one_replaces_the_other(tmp_path):
    tokens = load_tokens(write_tokens(tmp_path, f"view {VIEW}\nview {NEXT}\ncontrol {CONTROL}\n"))
    assert [tokens.role_of(token) for token in (VIEW, NEXT, CONTROL, "")] == [
        "view",
        "view",
        "control",
        None,
    ]


def test_a_websocket_needs_a_token_too(token_file):
    app = make_kettle()
    app.add_middleware(TokenCheck, tokens=load_tokens(token_file))
    client = TestClient(app)
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/v1/steam", headers={"Authorization": "Bearer x"}),
    ):
        pass
    header = {"Authorization": f"Bearer {CONTROL}"}
    with client.websocket_connect("/v1/steam", headers=header) as socket:
        assert socket.receive_text() == "hiss"


def test_on_loopback_nothing_is_asked_for_without_a_token_file():
    server = serve_http(make_kettle(), "127.0.0.1", 0)
    try:
        assert ask(f"{server.url}/v1/boil", "POST") == (200, '"boiling"')
    finally:
        server.stop()


def test_beyond_loopback_any_name_is_served_to_who_has_a_token(token_file):
    server = serve_http(make_kettle(), "0.0.0.0", 0, token_file)
    url = server.url.replace("0.0.0.0", "127.0.0.1")
    try:
        for name in ("127.0.0.1", "kettle.example"):
            headers = {"Host": name, "Authorization": f"Bearer {VIEW}"}
            request = urllib.request.Request(f"{url}/v1/tea", headers=headers)
            with urllib.request.urlopen(request, timeout=5) as response:
                assert response.read() == b'"green"'
        assert ask(f"{url}/v1/tea")[0] == 401
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (f"view {VIEW}\n", 0o440, "others may read or change it"),
        ("", 0o400, "holds no token"),
        ("# nothing\n", 0o400, "holds no token"),
        (f"{VIEW}\n", 0o400, "line 1 is not"),
        (f"view {VIEW}\nadmin {CONTROL}\n", 0o400, "line 2 is not"),
        (f"view {VIEW} {CONTROL}\n", 0o400, "line 1 is not"),
        ("view short\n", 0o400, "at least 32 characters"),
        ("view \xe9\n", 0o400, "cannot be read as a token file"),
    ],
)
def test_a_bad_token_file_is_named_and_its_tokens_are_not_shown(tmp_path, text, mode, words):
    with pytest.raises(UserError, match=words) as caught:
        load_tokens(write_tokens(tmp_path, text, mode))
    said = str(caught.value)
    assert str(tmp_path / "tokens") in said
    assert VIEW not in said
    assert CONTROL not in said


def test_a_token_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*tokens: no such file.*websim keys"):
        load_tokens(tmp_path / "tokens")
