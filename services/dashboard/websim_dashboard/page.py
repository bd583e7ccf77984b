"""The built page, out of this package."""

import mimetypes
from pathlib import Path

from fastapi import FastAPI, Response
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

DIRECTORY = Path(__file__).parent / "page"

NOT_BUILT = (
    "This dashboard was installed without its page. Build it with `make setup` in a source "
    "checkout; the API under /api/v1 works without it.\n"
)

FOREVER = "public, max-age=31536000, immutable"
"""For assets, whose names change with their content."""

TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
"""Browsers refuse these under other types, and a machine may know them by others or not at all."""


class _Page(StaticFiles):
    """Static files with the right lifetimes."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file; the page itself is asked for anew each time."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = FOREVER if path.startswith("assets/") else "no-cache"
        return response


def add_page(app: FastAPI, directory: Path = DIRECTORY) -> None:
    """Serve the page at /; to be called after all other routes are there."""
    if not (directory / "index.html").is_file():

        @app.get("/", include_in_schema=False)
        def not_built() -> Response:
            return PlainTextResponse(NOT_BUILT, 503)

        return
    for suffix, kind in TYPES.items():
        mimetypes.add_type(kind, suffix)
    app.mount("/", _Page(directory=directory, html=True), name="page")
