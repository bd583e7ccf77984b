"""What `websim check-reward` prints: one line a file, for people or as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from websim.programs.files import FileVerdict, check_files
from websim.programs.sandbox import SandboxError
from websim.programs.schema import ProgramSchema
from websim.service.errors import UserError


def check_reward(
    paths: Sequence[Path], schema: ProgramSchema, *, as_json: bool, out: TextIO
) -> int:
    """Print a verdict for each file to `out`; return 1 if any is refused, otherwise 0.

    Args:
        paths: the reward files.
        schema: what a reward of the task may read.
        as_json: one JSON object a line (file, ok, reason, line, column, message, id).
        out: where the lines go.
    """
    refused = False
    try:
        for verdict in check_files(paths, schema):
            print(_json(verdict) if as_json else _text(verdict), file=out, flush=True)
            refused = refused or not verdict.ok
    except SandboxError as error:
        raise UserError(str(error), "Check rewards on Linux, on x86_64 or aarch64.") from None
    return 1 if refused else 0


def _json(verdict: FileVerdict) -> str:
    first = verdict.issues[0] if verdict.issues else None
    return json.dumps(
        {
            "file": verdict.file,
            "ok": verdict.ok,
            "reason": verdict.reason,
            "line": first.line if first else None,
            "column": first.column if first else None,
            "message": first.message if first else _summary(verdict),
            "id": verdict.id or None,
        }
    )


def _text(verdict: FileVerdict) -> str:
    file = printable(verdict.file)
    if verdict.ok:
        return f"{file}: ok, {verdict.id}, {_summary(verdict)}"
    first, *more = verdict.issues
    place = f"{file}:{first.line}:{first.column}" if first.line else file
    tail = f" (and {len(more)} more)" if more else ""
    return f"{place}: refused ({first.reason}): {first.message}{tail}"


def _summary(verdict: FileVerdict) -> str:
    if verdict.trial is None:
        return ""
    scale = verdict.trial.scales["total"]
    if verdict.trial.constant:
        why = "it does not depend on state or action"
        if verdict.trial.conditional:
            why = "its condition is met by none of the made-up inputs, or by all"
        return f"constant {scale.mean:.4g}: {why}"
    return f"total {scale.minimum:.4g} to {scale.maximum:.4g} on made-up inputs"


def printable(text: str, keep: str = "") -> str:
    """Return `text` with what a terminal would act on, or cannot show, spelled out.

    Args:
        text: whatever a model, a person or a file says.
        keep: characters that stay as they are: the line breaks of a program.
    """
    return "".join(
        character if character.isprintable() or character in keep else ascii(character)[1:-1]
        for character in text
    )
