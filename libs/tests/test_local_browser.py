"""A browser is opened only where somebody would see it."""

import webbrowser

import pytest

from websim.local import browser
from websim.local.browser import has_desktop, open_page


@pytest.mark.parametrize(
    ("environment", "platform", "seen"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({"DISPLAY": ":0", "CI": "true"}, "linux", False),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, "darwin", False),
    ],
)
def test_where_there_is_a_desktop(environment, platform, seen):
    assert has_desktop(environment, platform) is seen


def test_a_terminal_on_a_desktop_gets_the_page_and_a_pipe_does_not(monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: bool(opened.append(url)) or True)
    monkeypatch.setattr(browser, "has_desktop", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    assert not open_page("http://127.0.0.1:8080")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert open_page("http://127.0.0.1:8080")
    assert opened == ["http://127.0.0.1:8080"]
