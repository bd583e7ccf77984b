"""Opens the page in a browser, where there is a desktop to open one on."""

import os
import sys
import webbrowser
from collections.abc import Mapping


def has_desktop(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Return whether a window that opens would be seen by somebody at this machine."""
    if environment.get("CI") or environment.get("SSH_CONNECTION"):
        return False
    if platform.startswith("linux"):
        return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
    return True


def open_page(url: str) -> bool:
    """Open an address in the user's browser, if that works; return whether it did."""
    try:
        return has_desktop() and sys.stdout.isatty() and webbrowser.open(url)
    except webbrowser.Error:
        return False
