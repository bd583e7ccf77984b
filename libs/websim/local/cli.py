"""The `websim` command line: what can be typed, and what it says. The work is done elsewhere.

Nothing heavy is imported before a command needs it: `websim --help` answers at once.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from websim.service.errors import UserError

app = typer.Typer(
    name="websim",
    help="Train robots in MuJoCo on a fleet of simulation workers.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PASS_ON: dict[str, Any] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
"""For commands whose arguments, --help included, another program reads."""

Task = Annotated[
    str, typer.Option("--task", help="Name of a task (see `websim tasks`), or a task file.")
]
Algo = Annotated[str, typer.Option("--algo", help="Learning algorithm.")]
NumEnvs = Annotated[
    int | None,
    typer.Option("--num-envs", show_default="1024", help="Environments simulated side by side."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", show_default="one per core", help="Sim workers to start."),
]
Seed = Annotated[
    int, typer.Option("--seed", help="The same seed gives the same weights, bit for bit.")
]
TotalSteps = Annotated[
    int | None,
    typer.Option(
        "--total-steps", show_default="the task's", help="Environment steps to train for."
    ),
]
RunDir = Annotated[
    Path | None,
    typer.Option(
        "--run-dir",
        show_default="runs/<task>-<algo>-s<seed>-<time>",
        help="Where checkpoints, metrics, logs and result.json go.",
    ),
]
Fleet = Annotated[
    str | None,
    typer.Option(
        "--fleet", help="Use a running fleet, as in tcp://127.0.0.1:5556, not a private one."
    ),
]
Keys = Annotated[
    Path | None,
    typer.Option("--keys", help="Directory of the fleet's key set (see `websim keys --help`)."),
]
Resume = Annotated[
    Path | None,
    typer.Option("--resume", help="Go on with the run in this directory; its settings hold."),
]
Device = Annotated[
    str | None, typer.Option("--device", show_default="cpu", help="Where to learn: cpu or cuda.")
]
Reward = Annotated[
    Path | None,
    typer.Option("--reward", help="Train on the reward program in this file, not the task's own."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of the algorithm, as in ppo.learning_rate=3e-4; repeatable.",
    ),
]


KEYS_HELP = """Make the keys and tokens that services need beyond loopback.

With keys all that orchestrator, workers and clients say is encrypted,
both sides know each other, and nobody else gets in. DIR then holds

- server.key_secret: for the orchestrator only
- server.key: its public key, for workers and clients
- worker.key_secret: for sim workers
- client.key_secret: for learners and notebooks
- workers/ and clients/: the public keys that the orchestrator admits
- tokens: for HTTP; the view token reads, the control token commands

Give each machine its part only. To replace a worker's key: put the new
public key beside the old one in workers/, restart the orchestrator, give
the workers the new secret, take the old public key away. Clients likewise.

docs/security.md says more."""


@app.command()
def train(
    task: Task = "HalfCheetah-v5",
    algo: Algo = "ppo",
    num_envs: NumEnvs = None,
    workers: Workers = None,
    seed: Seed = 0,
    total_steps: TotalSteps = None,
    run_dir: RunDir = None,
    fleet: Fleet = None,
    keys: Keys = None,
    resume: Resume = None,
    device: Device = None,
    reward: Reward = None,
    setting: Set = None,
) -> int:
    """Train a policy, evaluate it, write result.json, and exit.

    Starts a private fleet on free ports and stops it at the end.
    """
    from websim.local.drive import drive_train
    from websim.local.options import RunOptions

    options = RunOptions(
        task=task,
        algo=algo,
        num_envs=num_envs,
        seed=seed,
        total_steps=total_steps,
        run_dir=run_dir,
        resume=resume,
        device=device,
        reward=reward,
        settings=_parse_settings(setting or []),
        workers=workers,
        fleet=fleet,
        keys=keys,
    )
    return drive_train(options)


@app.command()
def up(
    task: Task = "HalfCheetah-v5",
    algo: Algo = "ppo",
    num_envs: NumEnvs = None,
    workers: Workers = None,
    seed: Seed = 0,
    total_steps: TotalSteps = None,
    run_dir: RunDir = None,
    keys: Keys = None,
    resume: Resume = None,
    device: Device = None,
    reward: Reward = None,
    setting: Set = None,
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="Take free ports, not the documented ones.")
    ] = False,
) -> int:
    """Start everything and train until Ctrl-C or --total-steps.

    Uses the documented ports, so that notebooks and tools find the fleet; starts again what dies.
    Without --total-steps the fleet stays up when training is over.
    """
    from websim.local.drive import drive_up
    from websim.local.options import RunOptions
    from websim.local.ports import DEFAULT_PORTS, FleetPorts

    options = RunOptions(
        task=task,
        algo=algo,
        num_envs=num_envs,
        seed=seed,
        total_steps=total_steps,
        run_dir=run_dir,
        resume=resume,
        device=device,
        reward=reward,
        settings=_parse_settings(setting or []),
        workers=workers,
        keys=keys,
    )
    return drive_up(options, FleetPorts() if free_ports else DEFAULT_PORTS)


@app.command("eval", context_settings=PASS_ON)
def evaluate(context: typer.Context) -> int:
    """Evaluate the policy of a run: `websim eval runs/<run>`."""
    from websim.local.handover import hand_over

    hand_over("websim_learner", "eval", *context.args)


@app.command(context_settings=PASS_ON)
def export(context: typer.Context) -> int:
    """Write the policy of a run as safetensors and ONNX: `websim export runs/<run>`."""
    from websim.local.handover import hand_over

    hand_over("websim_learner", "export", *context.args)


@app.command(context_settings=PASS_ON)
def record(context: typer.Context) -> int:
    """Render an episode of a run's policy as a film: `websim record runs/<run>`."""
    from websim.local.handover import hand_over

    hand_over("websim_learner", "record", *context.args)


@app.command(context_settings=PASS_ON)
def tasks(context: typer.Context) -> int:
    """List the tasks, or describe one with its fields and units: `websim tasks [NAME]`."""
    from websim.local.handover import hand_over

    hand_over("websim_sim_worker", "tasks", *context.args)


@app.command("check-task", context_settings=PASS_ON)
def check_task(context: typer.Context) -> int:
    """Check a task file and say what is wrong with it: `websim check-task task.yaml`."""
    from websim.local.handover import hand_over

    hand_over("websim_sim_worker", "check-task", *context.args)


@app.command("check-reward")
def check_reward(
    files: Annotated[list[Path], typer.Argument(help="Files that each hold one reward program.")],
    task: Task = "HalfCheetah-v5",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Judge reward programs: a check of the text, then a trial in a confined process.

    Exits with 1 if any is refused.
    """
    from websim.local.handover import check_rewards

    return check_rewards(files, task, as_json=as_json)


@app.command("keys", help=KEYS_HELP)
def make_keys(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the key set goes.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the key set that is there.")
    ] = False,
) -> int:
    """Make the keys and tokens that services need beyond one machine's loopback."""
    from websim.local.keys import make_key_set

    print(make_key_set(directory, force=force))
    return 0


@app.command(context_settings=PASS_ON)
def bench(context: typer.Context) -> int:
    """Measure the fleet and its peers on this machine (in a source checkout)."""
    from websim.local.handover import hand_over_to_bench

    hand_over_to_bench(context.args)


def run(argv: list[str]) -> int:
    """Run a command line and return its exit code.

    Raises:
        UserError: The command line is wrong, or what it asks for cannot be done.
    """
    try:
        code = app(argv or ["--help"], prog_name="websim", standalone_mode=False)
    except typer.TyperException as error:
        text = getattr(error, "format_message", error.__str__)()
        raise UserError(text, "--help lists what can be typed.") from None
    except typer.Abort:
        raise KeyboardInterrupt from None
    return int(code or 0)


def _parse_settings(pairs: list[str]) -> dict[str, object]:
    settings: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UserError(f"--set {pair} is not KEY=VALUE", "As in ppo.learning_rate=3e-4.")
        settings[key] = value
    return settings
