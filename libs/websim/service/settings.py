"""Settings of a service: one frozen class, filled from flags, then the environment, then defaults.

A service declares `class WorkerSettings(ServiceSettings)` with
`model_config = SettingsConfigDict(env_prefix="WEBSIM_SIM_WORKER_")`; each field is a flag
(`--num-envs`) and a variable (`WEBSIM_SIM_WORKER_NUM_ENVS`), and the docstring under it is its
help. They are read once, in `__main__`; unknown flags and unknown variables are errors.
"""

import difflib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from websim.service.errors import UserError

__all__ = ["ServiceSettings", "SettingsConfigDict", "load_settings"]

_NO_JSON = re.compile(r'error parsing value for field "(\w+)" from source "EnvSettingsSource"')

SettingsT = TypeVar("SettingsT", bound="ServiceSettings")


class ServiceSettings(BaseSettings):
    """What every service can be told."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_exit_on_error=False,
        use_attribute_docstrings=True,
    )

    http_host: str = "127.0.0.1"
    """Address of the HTTP server (health, metrics, control); beyond loopback it takes
    --token-file."""
    http_port: int = Field(0, ge=0, le=65535)
    """Port of the HTTP server; 0 takes a free one."""
    token_file: Path | None = None
    """Bearer tokens that HTTP requests must bring, but for health and metrics (`websim keys`)."""
    log_json: bool = False
    """Write log lines to stderr as JSON instead of text for people."""
    log_file: Path | None = None
    """Append log lines as JSON to this file; stderr then gets warnings and errors only."""
    ready_file: Path | None = None
    """Write process id and addresses to this file, as JSON, once the service can do its work."""


def load_settings(cls: type[SettingsT], argv: list[str], command: str = "") -> SettingsT:
    """Read the settings of a service from its command line and environment.

    Args:
        cls: The settings class of the service.
        argv: The command line without the program's name; `--help` prints the flags and exits.
        command: What was taken off the command line before, as in `eval`; shown in the help.

    Raises:
        UserError: A flag, a variable or a value is wrong; the text names it.
    """
    _refuse_unknown_variables(cls)
    program = f"{_program_name()} {command}".rstrip()
    source: CliSettingsSource[SettingsT] = CliSettingsSource(cls, cli_prog_name=program)
    try:
        return CliApp.run(cls, argv, cli_settings_source=source)
    except ValidationError as error:
        raise UserError("; ".join(map(_describe, error.errors()))) from None
    except SettingsError as error:
        if (match := _NO_JSON.match(str(error))) is not None:
            variable = cls.model_config.get("env_prefix", "") + match[1].upper()
            raise UserError(f"{variable} is no list", 'Write it as in ["a", "b"].') from None
        problem = str(error).removeprefix("error parsing CLI: ")
        raise UserError(_with_close_matches(cls, problem), "--help lists the flags") from None


def _program_name() -> str:
    """Return what the user typed: `python -m websim_orchestrator`, or the console script's name."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.parent:
        return f"python -m {spec.parent}"
    return Path(sys.argv[0]).name


def _flag(field: str) -> str:
    return "--" + field.replace("_", "-")


def _describe(error: ErrorDetails) -> str:
    """Put one validation error as `--num-envs 0: must be greater than 0`."""
    flag = _flag(str(error["loc"][0])) if error["loc"] else "settings"
    message = error["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    if error["type"] == "missing":
        return f"{flag} is required"
    return f"{flag} {error['input']}: {message}" if error["loc"] else message


def _with_close_matches(cls: type[ServiceSettings], problem: str) -> str:
    if not problem.startswith("unrecognized arguments: "):
        return problem
    unknown = problem.removeprefix("unrecognized arguments: ").split()[0].split("=")[0]
    return f"unknown argument {unknown}" + _suggest(unknown, map(_flag, cls.model_fields))


def _suggest(word: str, known: Iterator[str]) -> str:
    matches = difflib.get_close_matches(word, list(known), n=2)
    return f" (did you mean {' or '.join(matches)}?)" if matches else ""


def _refuse_unknown_variables(cls: type[ServiceSettings]) -> None:
    """Refuse misspelt variables, which would otherwise be ignored without a word."""
    prefix = cls.model_config.get("env_prefix", "")
    if not prefix:
        return
    # A service with several commands has a class for each, and they share the prefix.
    known = {
        prefix + field.upper()
        for relative in _all_settings_classes(ServiceSettings)
        if relative.model_config.get("env_prefix") == prefix
        for field in relative.model_fields
    }
    for name in sorted(os.environ):
        if name.upper().startswith(prefix) and name.upper() not in known:
            raise UserError(
                f"unknown environment variable {name}" + _suggest(name, iter(known)),
                "Unset it or correct its name.",
            )


def _all_settings_classes(cls: type[ServiceSettings]) -> Iterator[type[ServiceSettings]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _all_settings_classes(child)
