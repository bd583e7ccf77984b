"""`websim verify`: the same training twice, once in peace and once under faults; then a comparison.

Both runs go through `Run`, as `websim train` does. What is compared is the SHA-256 of the final
weights and normalisers, and where they differ, the first update whose figures do.
"""

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from websim.local.nemesis import Done, Nemesis, make_schedule
from websim.local.options import RunOptions
from websim.local.run import LEARNER, Run
from websim.service.errors import UserError
from websim.service.main import EXIT_INTERRUPTED
from websim.service.shutdown import Shutdown, install_shutdown

EXIT_DIFFERENT = 1
"""Exit code when the weights differ."""

LOOK_S = 0.05
"""How often the run is looked at."""

CHECKPOINTS = 10
"""Checkpoints in a run of its own accord, so that a killed learner has something to go on from."""

FIGURES = ("policy_loss", "value_loss", "entropy_nats", "gradient_norm", "return_mean")
"""What metrics tell of an update that its weights determine; times are not among them."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class VerifyOptions:
    """What to train twice, and what is done to it the second time."""

    run: RunOptions
    """The training; `run_dir` is the directory of both runs."""
    faults: Mapping[str, int]
    """Counts of faults by kind, see `websim.local.nemesis`."""


@dataclass(frozen=True)
class Trained:
    """What came of one of the runs."""

    weights_sha256: str
    env_steps: int
    seconds: float
    skipped_steps: int
    """Steps that the fleet could not simulate: such a run is promised to equal no other."""
    done: tuple[Done, ...] = ()
    missed: int = 0
    """Faults that did not happen before the run was over."""


class Interrupted(Exception):
    """The user stopped it."""


def verify(options: VerifyOptions, say: Say = print) -> int:
    """Train twice and compare; return the exit code: 0 when the weights are equal, else 1.

    Raises:
        UserError: The training cannot work, or a run failed; says why.
    """
    if options.run.total_steps is None:
        raise UserError("--total-steps is needed", "Both runs last as long.")
    shutdown = install_shutdown()
    directory = options.run.run_dir or _new_directory(options.run)
    (task, _, seed), total = options.run.identity, options.run.total_steps
    say(f"training {task} twice, seed {seed}, {total:,} steps; kept in {directory}")
    try:
        calm = _train(options, directory / "undisturbed", {}, shutdown, say)
        say(f"  undisturbed: {calm.seconds:.0f} s")
        hurt = _train(options, directory / "disturbed", options.faults, shutdown, say)
        say(f"  disturbed:   {hurt.seconds:.0f} s")
    except Interrupted:
        say("stopped")
        return EXIT_INTERRUPTED
    say(deeds_table(hurt.done))
    if hurt.missed:
        say(f"{hurt.missed} faults fell due too late to happen: give more --total-steps")
    for trained in (calm, hurt):
        if trained.skipped_steps:
            say(f"{trained.skipped_steps} steps ended one worker after another and were skipped")
    equal = calm.weights_sha256 == hurt.weights_sha256
    report = {"equal": equal, "undisturbed": asdict(calm), "disturbed": asdict(hurt)}
    (directory / "verify.json").write_text(json.dumps(report, indent=2) + "\n")
    if equal:
        say(f"equal: both have weights {calm.weights_sha256}")
        return 0
    say(f"DIFFERENT: weights {calm.weights_sha256}, and under faults {hurt.weights_sha256}")
    say(first_difference(directory / "undisturbed", directory / "disturbed"))
    return EXIT_DIFFERENT


def deeds_table(done: tuple[Done, ...]) -> str:
    """Return what was done and when, a line each."""
    rows = [f"  {'after':>8}  {'of the run':>10}  fault"]
    rows += [
        f"  {deed.after_s:>6.1f} s  {deed.progress:>10.0%}  {deed.kind}: {deed.what}"
        for deed in done
    ]
    return "\n".join(rows)


def first_difference(undisturbed: Path, disturbed: Path) -> str:
    """Return in words at which update two runs part, by their metrics."""
    mine, theirs = _metrics(undisturbed), _metrics(disturbed)
    for update in sorted(mine.keys() | theirs.keys()):
        if update not in mine or update not in theirs:
            where = disturbed if update not in theirs else undisturbed
            return f"update {update} is missing in {where / 'metrics.jsonl'}"
        for figure in FIGURES:
            if mine[update].get(figure) != theirs[update].get(figure):
                values = f"{mine[update].get(figure)}, not {theirs[update].get(figure)}"
                return f"they part at update {update}: {figure} {values}"
    return "all updates have the same figures: they part after the last one"


def _metrics(directory: Path) -> dict[int, dict[str, Any]]:
    """Return the figures of every update; of one done twice, the last."""
    text = (directory / "metrics.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    return {row["update"]: row for row in rows if row["kind"] == "metrics"}


def _new_directory(run: RunOptions) -> Path:
    task, _, seed = run.identity
    task = Path(task).parent.name if task.endswith((".yaml", ".yml")) else task
    now = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"verify-{task or 'task'}-s{seed}-{now}"


def _train(
    options: VerifyOptions, directory: Path, faults: Mapping[str, int], shutdown: Shutdown, say: Say
) -> Trained:
    """Train once, hurting the run as it goes on.

    Raises:
        Interrupted: The user stopped it.
        UserError: It cannot work, or failed.
    """
    total_steps = options.run.total_steps or 1
    _, _, seed = options.run.identity
    every = options.run.checkpoint_every_steps or max(1, total_steps // CHECKPOINTS)
    run_options = replace(options.run, run_dir=directory, checkpoint_every_steps=every)
    began_s = time.monotonic()
    quiet: Say = lambda line: None  # noqa: E731
    with Run(run_options, notify=say if not faults else quiet) as run:
        if run.fleet is None:
            raise UserError("--fleet cannot be hurt", "Leave it out: verify starts its own.")
        with contextlib.suppress(KeyboardInterrupt):
            run.wait_ready(cancelled=lambda: shutdown.requested)
        nemesis = Nemesis(run.fleet, make_schedule(faults, seed), LEARNER)
        try:
            _follow(run, nemesis, total_steps, shutdown)
        finally:
            nemesis.close()
        if shutdown.requested:
            raise Interrupted
        result = run.result()
    return Trained(
        weights_sha256=result["weights_sha256"],
        env_steps=result["env_steps"],
        seconds=time.monotonic() - began_s,
        skipped_steps=result["skipped_steps"],
        done=tuple(nemesis.done),
        missed=nemesis.left,
    )


def _follow(run: Run, nemesis: Nemesis, total_steps: int, shutdown: Shutdown) -> None:
    """Let the nemesis work until the run is over, has failed or is to stop."""
    progress = 0.0
    while not (run.ended or run.failure or shutdown.requested):
        # A learner that was killed has no status: the run stands where it stood.
        progress = run.status().get("env_steps", progress * total_steps) / total_steps
        nemesis.tend(progress)
        shutdown.wait(LOOK_S)
