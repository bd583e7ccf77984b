"""Flags that several `websim` commands share, each with its help."""

from pathlib import Path
from typing import Annotated

import typer

TASK_HELP = "Name of a task (see `websim tasks`), or a task file."

Task = Annotated[str, typer.Option("--task", help=TASK_HELP)]
RunTask = Annotated[
    str | None, typer.Option("--task", show_default="HalfCheetah-v5", help=TASK_HELP)
]
Algo = Annotated[str | None, typer.Option("--algo", show_default="ppo", help="Learning algorithm.")]
NumEnvs = Annotated[
    int | None,
    typer.Option("--num-envs", show_default="1024", help="Environments simulated side by side."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", show_default="one per core", help="Sim workers to start."),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", show_default="0", help="The same seed gives the same weights, bit for bit."
    ),
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
        help="Where checkpoints, metrics, logs and result.json go: a new or an empty directory.",
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

Goal = Annotated[
    str | None,
    typer.Option("--goal", help='What is to be learned, in words: "run backwards".'),
]
Adapt = Annotated[
    str | None,
    typer.Option(
        "--adapt",
        show_default="auto with a goal, else off",
        help="Adapt training by itself (auto), after your yes (approve), or not (off).",
    ),
]
Target = Annotated[
    float | None, typer.Option("--target", help="Fitness at which the goal is reached.")
]
AdaptEverySteps = Annotated[
    int | None,
    typer.Option(
        "--adapt-every-steps",
        help="Ask for a change about so long after the last adaptation, whatever was measured.",
    ),
]
NextTask = Annotated[
    list[str] | None,
    typer.Option(
        "--next-task",
        help="A task that a quarter of the environments get when the target is reached and nothing "
        "harder is left; repeatable.",
    ),
]
Difficulty = Annotated[
    float | None,
    typer.Option(
        "--difficulty",
        show_default="nominal",
        help="Vary the physics from the first episode on, by all knobs: 0 is nominal, 1 the task's "
        "hard ranges.",
    ),
]
Knobs = Annotated[
    list[str] | None,
    typer.Option(
        "--knobs",
        metavar="NAME=LOW,HIGH",
        help="Vary the physics from the first episode on, by a knob of the task, as in "
        "gravity=0.7,1.3 or mass=1.2; repeatable.",
    ),
]
RewardGen = Annotated[
    str | None,
    typer.Option("--reward-gen", help="Use a running reward-gen, as in http://127.0.0.1:8090."),
]
LEARNER_URL = "http://127.0.0.1:8091"
"""Where `websim up` has its learner."""

Learner = Annotated[str, typer.Option("--learner", help="HTTP address of the running learner.")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="File with the learner's token.")
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
