"""Drives a run from the terminal: starts it, shows how it goes, ends it in order."""

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from websim.local.browser import open_page
from websim.local.display import Display, make_display, short
from websim.local.next_steps import from_here, to_type
from websim.local.options import RunOptions
from websim.local.ports import FleetPorts
from websim.local.run import Run
from websim.service.errors import UserError
from websim.service.main import EXIT_INTERRUPTED
from websim.service.shutdown import Shutdown, install_shutdown

REFRESH_S = 0.5
"""How often the status is asked for."""

PAGE_POLL_S = 0.1
"""How often it is looked whether the page is there."""


def drive_train(options: RunOptions) -> int:
    """Train to the end; return the exit code."""
    return _drive(options, None)


def drive_up(options: RunOptions, ports: FleetPorts, *, browser: bool = True) -> int:
    """Run the whole stack on these ports until Ctrl-C or the last step; return the exit code.

    Args:
        options: what to train.
        ports: which ports to use.
        browser: whether to open the page, where there is a desktop.
    """
    return _drive(options, ports, browser)


def _drive(options: RunOptions, ports: FleetPorts | None, browser: bool = False) -> int:
    shutdown = install_shutdown()
    stays_up = ports is not None
    with make_display() as display:
        run = Run(options, ports=ports, dashboard=stays_up, notify=display.note)
        try:
            display.note(_head(options, run))
            if stays_up:
                display.note(_addresses(options, run))
                _tell_of_page(run, display, shutdown, browser)
            _follow(run, display, shutdown)
            if stays_up and options.total_steps is None and run.finished:
                display.note(_result_lines(run.directory))
                display.note("training is over; the fleet stays up for notebooks until Ctrl-C")
                display.update({"state": "finished"})
                _stay(run, shutdown)
                return 0
        finally:
            if shutdown.requested and not run.ended:
                begun = _has_begun(run)
                display.note(
                    "stopping" + (": the learner writes a last checkpoint" if begun else "")
                )
                display.update({"state": "stopping"})
            run.close()
    if run.finished:
        print(_result_lines(run.directory))
        return 0
    print(_how_to_go_on(run, shutdown))
    return 0 if stays_up else EXIT_INTERRUPTED


def _follow(run: Run, display: Display, shutdown: Shutdown) -> None:
    """Show a run until it is over, or a stop is requested.

    Raises:
        ChildFailedError: The run cannot go on; says why.
    """
    try:
        run.wait_ready(cancelled=lambda: shutdown.requested)
    except KeyboardInterrupt:
        return
    after, fleet = 0, ""
    while not run.ended and run.failure is None and not shutdown.requested:
        status = run.status()
        if status["state"] != "unreachable":  # as it is for a moment when it ends
            display.update(status)
        if status.get("fleet", fleet) != fleet:
            fleet = status["fleet"]
            display.note(f"fleet: {fleet or 'all is well again'}")
        for record in run.new_events(after):
            after = record["n"]
            if text := _note_of(record, run.http_url):
                display.note(text)
        shutdown.wait(REFRESH_S)
    if not shutdown.requested:
        run.raise_failure()


def _tell_of_page(run: Run, display: Display, shutdown: Shutdown, browser: bool) -> None:
    """Say where the page is as soon as it answers, and open it; does not wait for it."""

    def wait_and_tell() -> None:
        while not (run.page_ready or run.ended or shutdown.requested):
            time.sleep(PAGE_POLL_S)
        if run.page_ready and run.page_url is not None:
            display.note(f"watch it on {run.page_url}")
            if browser:
                open_page(run.page_url)

    threading.Thread(target=wait_and_tell, name="page", daemon=True).start()


def _stay(run: Run, shutdown: Shutdown) -> None:
    """Keep the fleet up until a stop is requested, or it cannot go on.

    Raises:
        UserError: The fleet cannot go on; says why.
    """
    assert run.fleet is not None
    while not shutdown.wait(REFRESH_S):
        if run.fleet.failure is not None:
            raise UserError(run.fleet.failure)


def _how_to_go_on(run: Run, shutdown: Shutdown) -> str:
    said, directory = f"stopped ({shutdown.reason or 'by command'})", from_here(run.directory)
    if _has_begun(run):
        return f"{said}; go on with: {to_type('websim', 'train', '--resume', directory)}"
    return f"{said}: nothing was learned yet; {directory} is removed"


def _has_begun(run: Run) -> bool:
    return (run.directory / "config.json").is_file()


def _head(options: RunOptions, run: Run) -> str:
    task, algo, seed = options.identity
    what = f"training {task} with {algo}, seed {seed}; Ctrl-C stops it"
    if options.resume is not None:
        what = "going on from the last checkpoint; Ctrl-C stops it"
    fleet = options.fleet
    if run.fleet is not None:
        fleet = f"{run.fleet.num_workers} sim worker{'s' if run.fleet.num_workers > 1 else ''}"
    rows = [
        ("run", str(from_here(run.directory))),
        ("fleet", str(fleet)),
        ("learner", f"{run.http_url}/v1/run"),
    ]
    return _table(what, rows)


def _addresses(options: RunOptions, run: Run) -> str:
    assert run.fleet is not None
    task, _, _ = options.identity
    rows = [
        *([("reward-gen", run.reward_gen_url)] if run.reward_gen_url else []),
        ("orchestrator", f"{run.fleet.http_url}/v1/workers"),
        ("notebooks", f'websim.make_vec("{task}", fleet="{run.fleet.client_address}")'),
        ("curves", to_type("tensorboard", "--logdir", from_here(run.directory.parent))),
    ]
    return _table("", rows)


def _table(head: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"  {name:<13} {value}" for name, value in rows]
    return "\n".join([head, *lines] if head else lines)


def _note_of(record: Mapping[str, Any], learner: str) -> str:
    """Return what a record of the event stream of a learner has to say to a person, if anything."""
    match record["kind"]:
        case "warning":
            return f"warning: {record['message']}"
        case "adaptation" if record["event"] == "waiting":
            # Of several candidates one is chosen by --name: `websim goal` lists them.
            number, of_it = record["adaptation"], ("--learner", learner)
            return (
                f"adaptation: {record['message']}\n"
                f"  yes: {to_type('websim', 'approve', number, *of_it)}\n"
                f"  no:  {to_type('websim', 'reject', number, *of_it)}\n"
                f"  more about it: {to_type('websim', 'goal', *of_it)}"
            )
        case "adaptation":
            return f"adaptation: {record['message']}"
        case "evaluation":
            return (
                f"evaluation after {short(record['env_steps'])} steps: return "
                f"{record['return_mean']:,.1f} ± {record['return_std']:,.1f} "
                f"over {record['episodes']} episodes"
            )
        case _:
            return ""


def _result_lines(directory: Path) -> str:
    result = json.loads((directory / "result.json").read_text())
    return (
        f"{result['task']} {result['algo']} seed {result['seed']}: {result['env_steps']:,} steps "
        f"at {result['steps_per_s']:,.0f}/s, evaluation return {result['eval_return_mean']:,.1f} "
        f"± {result['eval_return_std']:,.1f}\n"
        f"  next: {to_type('websim', 'eval', from_here(directory))} (or export, or record)"
    )
