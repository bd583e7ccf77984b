"""The API key: read once, kept out of the environment, of texts and of other processes."""

import os
from collections.abc import MutableMapping
from pathlib import Path

from pydantic import SecretStr

from websim.service.errors import UserError
from websim.service.files import check_secret

VARIABLE = "ANTHROPIC_API_KEY"
PREFIX = "ANTHROPIC_"
"""Of variables that the SDK obeys: other addresses, other headers, prompts in the log."""
MAX_KEY_BYTES = 4096


def take_key(
    file: Path | None, environment: MutableMapping[str, str] | None = None
) -> SecretStr | None:
    """Return the API key, or None when there is none; Anthropic's variables are gone afterwards.

    Args:
        file: holds the key; wins over the environment.
        environment: where ANTHROPIC_API_KEY may be; the process's own when not given.

    Raises:
        UserError: the file cannot be read or others may read it too, or there is no key in it.
    """
    variables = os.environ if environment is None else environment
    text = variables.get(VARIABLE, "")
    # No child inherits the key, and nothing but our own settings says how it is used.
    for name in [each for each in variables if each.startswith(PREFIX)]:
        del variables[name]
    origin = VARIABLE
    if file is not None:
        text, origin = _read(file), f"--api-key-file {file}"
    key = text.strip()
    if not key and file is None:
        return None
    if (
        not key
        or len(key) > MAX_KEY_BYTES
        or not (key.isascii() and key.isprintable())
        or " " in key
    ):
        raise UserError(f"{origin} holds no API key", "It is one line of printable characters.")
    return SecretStr(key)


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_KEY_BYTES + 2).decode("ascii", "replace")
    except OSError as error:
        raise UserError(
            f"--api-key-file {file}: {(error.strerror or str(error)).lower()}",
            "Name a file that holds the key.",
        ) from None
    check_secret(file)
    return text
