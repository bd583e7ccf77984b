"""Who may do what: other sites' pages, people without a token, viewers, and who commands."""

import collections
import time

import pytest
from known_services import KnownServices
from running import DEADLINE_S, hear, open_client, open_socket, serve_dashboard
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from websim.service.tokens import load_tokens
from websim_dashboard import hub
from websim_dashboard.access import SESSION_S, cookie_name, cookie_role, is_own_origin, make_cookie

VIEW, CONTROL = "v" * 40, "c" * 40


@pytest.fixture(scope="module")
def services():
    known = KnownServices()
    yield known
    known.close()


@pytest.fixture(scope="module")
def token_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(f"view {VIEW}\ncontrol {CONTROL}\n")
    path.chmod(0o400)
    return path


@pytest.fixture(scope="module")
def open_url(services, tmp_path_factory):
    with serve_dashboard(services, tmp_path_factory.mktemp("open")) as url:
        yield url


@pytest.fixture(scope="module")
def closed_url(services, tmp_path_factory, token_file):
    place = tmp_path_factory.mktemp("closed")
    (place / "page").mkdir()
    (place / "page" / "index.html").write_text("<!doctype html>the page")
    with serve_dashboard(services, place, token_file=token_file, page=place / "page") as url:
        yield url


def own_origin(url):
    return {"Origin": url}


HOSTILE = [
    "http://evil.example",
    "null",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "https://127.0.0.1.evil.example",
    "file://",
    "http://[::1",
    "",
]


@pytest.mark.parametrize("origin", HOSTILE)
def test_other_sites_pages_can_neither_command_nor_listen(services, open_url, origin):
    before = len(services.commands)
    with open_client(open_url) as client:
        for path in ("run/commands", "rewards/check", "login", "sessions/1/envs/0/reset"):
            answer = client.post(f"/api/v1/{path}", headers={"Origin": origin}, content=b"{}")
            assert answer.status_code == 403, path
            assert "other sites" in answer.json()["detail"]
    with pytest.raises(InvalidStatus) as refused:
        open_socket(open_url, additional_headers={"Origin": origin})
    assert refused.value.response.status_code == 403
    assert len(services.commands) == before


def test_a_name_that_was_rebound_to_this_machine_is_refused(open_url):
    with open_client(open_url) as client:
        rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
        assert client.get("/api/v1/status", headers=rebound).status_code == 400
        answer = client.post("/api/v1/run/commands", headers=rebound, json={"kind": "pause"})
        assert answer.status_code == 400


def test_on_loopback_without_tokens_the_own_page_and_scripts_may_command(services, open_url):
    with open_client(open_url) as client:
        assert client.get("/api/v1/access").json() == {"role": "control"}
        for headers in ({}, own_origin(open_url)):
            answer = client.post("/api/v1/run/commands", headers=headers, json={"kind": "resume"})
            assert answer.status_code == 200
    with open_socket(open_url, additional_headers=own_origin(open_url)) as socket:
        assert hear(socket, "status")["status"]["role"] == "control"


def test_without_a_token_there_is_the_page_and_the_login_and_health(closed_url):
    with open_client(closed_url) as client:
        assert client.get("/").text.endswith("the page")
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/v1/access").json() == {"role": None}
        for path in ("status", "metrics", "events", "goal", "workers", "sessions/1/task"):
            answer = client.get(f"/api/v1/{path}")
            assert answer.status_code == 401, path
            assert "log in" in answer.json()["detail"]
        assert client.get("/openapi.json").status_code == 401
        answer = client.post("/api/v1/run/commands", json={"kind": "pause"})
        assert answer.status_code == 401
    with pytest.raises(InvalidStatus) as refused:
        open_socket(closed_url)
    assert refused.value.response.status_code == 403


def login(client, url, token):
    return client.post("/api/v1/login", headers=own_origin(url), json={"token": token})


def test_a_viewer_sees_everything_and_commands_nothing(services, closed_url):
    before = len(services.commands)
    with open_client(closed_url) as client:
        assert login(client, closed_url, VIEW).json() == {"role": "view"}
        assert client.get("/api/v1/status").json()["role"] == "view"
        for path in ("run/commands", "rewards/check", "sessions/1/envs/0/reset"):
            answer = client.post(f"/api/v1/{path}", json={"kind": "pause"})
            assert answer.status_code == 403
            assert "control token" in answer.json()["detail"]
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {**own_origin(closed_url), "Cookie": cookie}
    with open_socket(closed_url, additional_headers=headers) as socket:
        assert hear(socket, "status")["status"]["role"] == "view"
        socket.send('{"kind": "pause"}')
        assert "type" in hear(socket, "error")["message"]
    assert len(services.commands) == before


def test_a_control_token_commands_by_cookie_and_by_header(services, closed_url):
    with open_client(closed_url) as client:
        assert login(client, closed_url, CONTROL).json() == {"role": "control"}
        answer = client.post(
            "/api/v1/run/commands", headers=own_origin(closed_url), json={"kind": "resume"}
        )
        assert answer.status_code == 200
        hostile = client.post(
            "/api/v1/run/commands", headers={"Origin": "http://evil"}, json={"kind": "stop"}
        )
        assert hostile.status_code == 403
        client.post("/api/v1/logout", headers=own_origin(closed_url))
        assert client.get("/api/v1/status").status_code == 401
    with open_client(closed_url, headers={"Authorization": f"Bearer {CONTROL}"}) as client:
        assert client.post("/api/v1/run/commands", json={"kind": "resume"}).status_code == 200
    assert {"kind": "stop"} not in services.commands


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(closed_url):
    with open_client(closed_url) as client:
        answer = login(client, closed_url, CONTROL)
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert CONTROL not in cookie
        assert login(client, closed_url, "x" * 40).status_code == 401


def test_behind_a_proxy_that_ends_tls_the_cookie_is_for_tls_only(closed_url):
    name = closed_url.removeprefix("http://")
    with open_client(closed_url) as client:
        for scheme, secure in (("https", True), ("http", False)):
            answer = login(client, f"{scheme}://{name}", VIEW)
            assert ("secure" in answer.headers["set-cookie"].lower()) == secure


def cookies_of(url, token):
    """Log in; return the headers that a browser brings from then on."""
    with open_client(url) as client:
        login(client, url, token)
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return {**own_origin(url), "Cookie": cookie}


def hear_the_end(socket):
    """Return what a socket is closed with."""
    with pytest.raises(ConnectionClosedError) as closed:
        collections.deque(iter(lambda: socket.recv(timeout=DEADLINE_S), None), maxlen=0)
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_who_logs_out_hears_no_more_and_others_do(closed_url):
    mine, others = cookies_of(closed_url, VIEW), cookies_of(closed_url, CONTROL)
    with (
        open_socket(closed_url, additional_headers=mine) as socket,
        open_socket(closed_url, additional_headers=others) as other,
    ):
        assert hear(socket, "status")
        with open_client(closed_url, headers=mine) as client:
            assert client.post("/api/v1/logout").json() == {"role": None}
        code, reason = hear_the_end(socket)
        assert (code, "log in again" in reason) == (1008, True)
        # News come once a second at least.
        assert hear(other, "status")
        assert hear(other, "status")


def test_a_socket_ends_when_the_time_of_its_cookie_is_over(closed_url):
    port = closed_url.rsplit(":", 1)[1]
    nearly_over = make_cookie(VIEW, time.time() - SESSION_S + 3.0)
    headers = {"Cookie": f"websim_session_{port}={nearly_over}"}
    with open_socket(closed_url, additional_headers=headers) as socket:
        assert hear(socket, "status")
        assert hear_the_end(socket)[0] == 1008


def test_a_page_too_many_is_told_so(open_url, monkeypatch):
    monkeypatch.setattr(hub, "MAX_VIEWERS", 1)
    with open_socket(open_url) as socket:
        assert hear(socket, "status")
        with open_socket(open_url) as another:
            assert hear_the_end(another) == (1013, "too many pages are open")


def test_a_host_that_is_none_is_no_error_of_the_service(closed_url):
    with open_client(closed_url, headers={"Host": "127.0.0.1:99999"}) as client:
        assert client.get("/api/v1/access").json() == {"role": None}
        assert client.get("/api/v1/status").status_code == 401
    for host, name in (
        (b"a", "websim_session"),
        (b"a:80", "websim_session_80"),
        (b"a:99999", "websim_session"),
        (b"a:b", "websim_session"),
        (b"[::1", "websim_session"),
    ):
        scope = {"type": "http", "headers": [(b"host", host)]}
        assert cookie_name(HTTPConnection(scope)) == name


def test_runs_at_two_ports_of_a_host_have_cookies_of_their_own(closed_url):
    with open_client(closed_url) as client:
        answer = login(client, closed_url, VIEW)
    port = closed_url.rsplit(":", 1)[1]
    assert answer.headers["set-cookie"].startswith(f"websim_session_{port}=")


def test_a_cookie_is_good_for_its_token_and_its_time_only(token_file):
    tokens = load_tokens(token_file)
    good = make_cookie(VIEW, 1000.0)
    assert cookie_role(tokens, good, 1000.0) == "view"
    assert cookie_role(tokens, make_cookie(CONTROL, 1000.0), 1000.0) == "control"
    assert cookie_role(tokens, good, 1000.0 + SESSION_S) is None
    expires, proof = good.split(".")
    later = f"{int(expires) + 1}.{proof}"
    for bad in (
        "",
        ".",
        expires,
        later,
        f"{expires}.{proof[:-1]}",
        f"-1.{proof}",
        "9" * 99,
        "²." + proof,
    ):
        assert cookie_role(tokens, bad, 1000.0) is None
    assert cookie_role(tokens, make_cookie("o" * 40, 1000.0), 1000.0) is None


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/", None, 200),
        ("/api/v1/access", None, 200),
        ("/healthz", None, 200),
        ("/nothing", None, 404),
        ("/openapi.json", None, 401),
        ("/api/v1/status", "evil.example", 400),
    ],
)
def test_every_answer_says_what_a_page_may_load(closed_url, path, host, status):
    with open_client(closed_url) as client:
        answer = client.get(path, headers={} if host is None else {"Host": host})
    assert answer.status_code == status
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_origin_is_ones_own_by_host_and_port():
    def own(origin, host):
        return is_own_origin(Headers({"origin": origin, "host": host}))

    assert own("http://localhost:8080", "localhost:8080")
    assert own("https://watch.example", "watch.example")
    assert not own("http://localhost:8081", "localhost:8080")
    assert not own("http://localhost:8080@evil", "localhost:8080")
    assert is_own_origin(Headers({"host": "localhost"}))
