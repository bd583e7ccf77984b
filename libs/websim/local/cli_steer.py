"""What a person may say to a running learner: commands of `websim` that steer it.

Nothing heavy is imported before a command needs it, as in cli.py.
"""

from pathlib import Path
from typing import Annotated

import typer

from websim.local.flags import LEARNER_URL, Learner, Target, TokenFile
from websim.service.errors import UserError


def goal(
    text: Annotated[str | None, typer.Argument(help="A new goal; none shows it.")] = None,
    fitness: Annotated[
        Path | None, typer.Option("--fitness", help="File of a fitness program that measures it.")
    ] = None,
    accumulate: Annotated[
        str, typer.Option("--accumulate", help="An episode's fitness: sum, last or max.")
    ] = "sum",
    per_horizon: Annotated[
        bool, typer.Option("--per-horizon", help="Divide by the nominal horizon.")
    ] = False,
    target: Target = None,
    learner: Learner = LEARNER_URL,
    token_file: TokenFile = None,
) -> int:
    """Show what a running learner is for, or set another goal.

    A run that was started without --adapt adapts from its first goal on.
    """
    from websim.local.steer import Steer

    steer = Steer(learner, token_file)
    measures = per_horizon or accumulate != "sum"
    if measures and fitness is None:
        raise UserError("--accumulate and --per-horizon go with --fitness", "Add it.")
    if text is None:
        if fitness is not None or target is not None:
            raise UserError(
                "--fitness and --target go with a new goal", 'As in `websim goal "run" --target 3`.'
            )
        return steer.show_goal()
    return steer.set_goal(text, fitness, accumulate, per_horizon, target)


def rewards(
    action: Annotated[str, typer.Argument(help="list, show, try, adopt or rollback.")] = "list",
    what: Annotated[
        str | None, typer.Argument(help="A reward's id, or a file with a reward program.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Adopt although it prefers worse behaviour.")
    ] = False,
    learner: Learner = LEARNER_URL,
    token_file: TokenFile = None,
) -> int:
    """List, show, try, adopt or roll back the rewards of a running learner."""
    from websim.local.steer import Steer

    return Steer(learner, token_file).rewards(action, what, force=force)


def knobs(
    ranges: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=LOW,HIGH]...", help="As in gravity=0.7,1.3 or mass=1.2."),
    ] = None,
    difficulty: Annotated[
        float | None,
        typer.Option("--difficulty", help="All knobs: 0 is nominal, 1 the task's hard ranges."),
    ] = None,
    learner: Learner = LEARNER_URL,
    token_file: TokenFile = None,
) -> int:
    """Show the knobs of a running learner's environments, or turn them.

    What is turned takes effect from each environment's next episode on.
    """
    from websim.local.steer import Steer

    return Steer(learner, token_file).knobs(ranges or [], difficulty)


def adaptations(
    run: Annotated[
        Path | None, typer.Argument(help="A run's directory; none asks the running learner.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON row a line.")] = False,
    learner: Learner = LEARNER_URL,
    token_file: TokenFile = None,
) -> int:
    """Show what a run changed about its own training, and why."""
    from websim.local.steer import Steer, rows_of

    rows = rows_of(run) if run is not None else Steer(learner, token_file).rows()
    return Steer.show_rows(rows, as_json=as_json)


def envs(
    number: Annotated[int | None, typer.Argument(help="How many; none shows it.")] = None,
    learner: Learner = LEARNER_URL,
    token_file: TokenFile = None,
) -> int:
    """Show how many environments a running learner trains on, or set another number."""
    from websim.local.steer import Steer

    steer = Steer(learner, token_file)
    return steer.show_envs() if number is None else steer.command("set_num_envs", num_envs=number)


def task(
    name: Annotated[
        str | None, typer.Argument(help="One of `websim tasks`; none shows it.")
    ] = None,
    number: Annotated[
        int | None,
        typer.Option("--envs", help="Give it to so many environments only; 0 takes them back."),
    ] = None,
    learner: Learner = LEARNER_URL,
    token_file: TokenFile = None,
) -> int:
    """Show what a running learner trains on, or have it go on with another task.

    With --envs the policy goes on, and learns from both tasks at once.
    """
    from websim.local.steer import Steer

    steer = Steer(learner, token_file)
    if name is None:
        if number is not None:
            raise UserError(
                "--envs goes with the name of a task", "As in `websim task Hopper-v5 --envs 256`."
            )
        return steer.show_task()
    return steer.command("set_task", task=name, num_envs=number)


def speed(
    factor: Annotated[
        str | None, typer.Argument(help="1 is real time, 0.25 a quarter, or max; none shows it.")
    ] = None,
    learner: Learner = LEARNER_URL,
    token_file: TokenFile = None,
) -> int:
    """Show how fast a running learner's environments go by the wall clock, or set their speed."""
    from websim.local.steer import Steer

    steer = Steer(learner, token_file)
    return steer.show_speed() if factor is None else steer.set_speed(factor)


def adapt(
    mode: Annotated[str | None, typer.Argument(help="auto, approve or off; none shows it.")] = None,
    learner: Learner = LEARNER_URL,
    token_file: TokenFile = None,
) -> int:
    """Show whether a running learner adapts its own training, or have it do so from now on."""
    from websim.local.steer import Steer

    steer = Steer(learner, token_file)
    return steer.show_mode() if mode is None else steer.command("set_adapt", mode=mode)


def ask(
    reason: Annotated[str, typer.Argument(help="Why, for whoever writes rewards.")] = "",
    learner: Learner = LEARNER_URL,
    token_file: TokenFile = None,
) -> int:
    """Have candidates for another reward written and tried now."""
    from websim.local.steer import Steer

    return Steer(learner, token_file).ask(reason)


def approve(
    adaptation: Annotated[int, typer.Argument(help="Number of what waits (`websim goal`).")],
    name: Annotated[
        str, typer.Option("--name", help="Which candidate, where there are several.")
    ] = "",
    learner: Learner = LEARNER_URL,
    token_file: TokenFile = None,
) -> int:
    """Say yes to what waits for it: a goal's measure, a reward, another environment."""
    from websim.local.steer import Steer

    return Steer(learner, token_file).command("approve", adaptation=adaptation, name=name)


def reject(
    adaptation: Annotated[int, typer.Argument(help="Number of what waits (`websim goal`).")],
    reason: Annotated[str, typer.Option("--reason", help="Why; the next author reads it.")] = "",
    learner: Learner = LEARNER_URL,
    token_file: TokenFile = None,
) -> int:
    """Say no to what waits for a yes."""
    from websim.local.steer import Steer

    return Steer(learner, token_file).command("reject", adaptation=adaptation, reason=reason)


STEERING = (goal, rewards, knobs, adaptations, envs, task, speed, adapt, ask, approve, reject)
"""In the order in which `websim --help` lists them."""
