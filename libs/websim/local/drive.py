"""Drives a run from the terminal: starts it, shows how it goes, ends it in order."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from websim.local.display import Display, make_display
from websim.local.options import RunOptions
from websim.local.ports import FleetPorts
from websim.local.run import Run
from websim.service.errors import UserError
from websim.service.main import EXIT_INTERRUPTED
from websim.service.shutdown import Shutdown, install_shutdown

REFRESH_S = 0.5
"""How often the status is asked for."""


def drive_train(options: RunOptions) -> int:
    """Train to the end; return the learner's exit code, or that of an interruption."""
    shutdown = install_shutdown()
    with make_display() as display:
        run = Run(options, notify=display.note)
        try:
            display.note(f"training {_what(options)} in {run.directory}")
            code = _follow(run, display, shutdown)
        finally:
            _close(run, display, shutdown)
    if code is None:
        _print_interrupted(run, shutdown)
        return EXIT_INTERRUPTED
    return code


def drive_up(options: RunOptions, ports: FleetPorts) -> int:
    """Run the whole stack until Ctrl-C or the last step; return the exit code."""
    shutdown = install_shutdown()
    with make_display() as display:
        run = Run(options, ports=ports, restart=True, notify=display.note)
        try:
            # The dashboard's child is added to this run's supervisor here, and its address below.
            display.note(_addresses(options, run))
            code = _follow(run, display, shutdown)
        finally:
            _close(run, display, shutdown)
    if code is None:
        _print_interrupted(run, shutdown)
        return 0
    return code


def _follow(run: Run, display: Display, shutdown: Shutdown) -> int | None:
    """Show a run until it is over.

    Returns:
        The learner's exit code; None when a stop was requested before that.

    Raises:
        UserError: The run cannot go on; says why.
    """
    try:
        run.wait_ready(cancelled=lambda: shutdown.requested)
    except KeyboardInterrupt:
        return None
    after = 0
    while run.returncode is None:
        if shutdown.requested:
            return None
        if run.failure is not None:
            raise UserError(run.failure)
        display.update(run.status())
        for record in run.new_events(after):
            after = record["n"]
            if text := _note_of(record):
                display.note(text)
        shutdown.wait(REFRESH_S)
    if run.failure is not None:
        raise UserError(run.failure)
    display.note(_result_line(run.directory))
    return run.returncode


def _close(run: Run, display: Display, shutdown: Shutdown) -> None:
    if shutdown.requested:
        display.note("stopping: the learner writes a last checkpoint")
    run.close()


def _print_interrupted(run: Run, shutdown: Shutdown) -> None:
    if (run.directory / "config.json").is_file():
        print(f"stopped ({shutdown.reason}); go on with: websim train --resume {run.directory}")
    else:
        print(f"stopped ({shutdown.reason})")


def _what(options: RunOptions) -> str:
    if options.resume is not None:
        return "on"
    return f"{options.task} with {options.algo}, seed {options.seed},"


def _addresses(options: RunOptions, run: Run) -> str:
    assert run.fleet is not None
    rows = [
        ("run", str(run.directory)),
        ("learner", f"{run.http_url}/v1/run"),
        ("orchestrator", f"{run.fleet.http_url}/v1/workers"),
        ("fleet", f'websim.make_vec("{options.task}", 64, fleet="{run.fleet.client_address}")'),
        ("curves", f"tensorboard --logdir {run.directory.parent}"),
    ]
    head = f"training {_what(options)} on {run.fleet.num_workers} workers; Ctrl-C ends it"
    return "\n".join([head, *(f"  {name:<13} {value}" for name, value in rows)])


def _note_of(record: Mapping[str, Any]) -> str:
    """Return what a record of the event stream has to say to a person, if anything."""
    if record["kind"] == "warning":
        return f"warning: {record['message']}"
    return ""


def _result_line(directory: Path) -> str:
    result = json.loads((directory / "result.json").read_text())
    return (
        f"{result['task']} {result['algo']} seed {result['seed']}: {result['env_steps']:,} steps "
        f"at {result['steps_per_s']:,.0f}/s; evaluation return {result['eval_return_mean']:,.1f} "
        f"± {result['eval_return_std']:,.1f}; in {directory}"
    )
