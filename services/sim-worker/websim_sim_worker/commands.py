"""Commands for people: `tasks`, `check-task`, `render`.

Called by `python -m websim_sim_worker COMMAND` and, through it, by `websim`. Each prints to stdout
and returns the exit code; what a person did wrong is a UserError of one line.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from websim.service.errors import UserError
from websim.tasks import AUTOMATIC_FIELDS, TaskBundle, TaskError, load_bundle
from websim.tasks.document import Value
from websim.wire.messages import KnobInfo, TaskInfo
from websim_sim_worker.room import USUAL_SHARD_ENVS, most_envs
from websim_sim_worker.tasks import bundled, bundled_names, compile_task


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line with a remedy."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message, f"see {self.prog} --help")


def run_command(name: str, argv: Sequence[str]) -> int:
    """Run the command `name` (tasks, check-task or render) with its arguments."""
    commands = {"tasks": command_tasks, "check-task": command_check_task, "render": command_render}
    try:
        code = commands[name](argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    return code


def command_tasks(argv: Sequence[str]) -> int:
    """List the bundled tasks, or describe one with its fields and units."""
    parser = _Parser(prog="websim tasks", description=command_tasks.__doc__)
    parser.add_argument("task", nargs="?", help="a bundled task's name, or a task file or folder")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    _add_set(parser)
    arguments = parser.parse_args(argv)
    try:
        if arguments.task is not None:
            info = compile_task(find_task(arguments.task), parse_settings(arguments.set)).info
            print(_json(info) if arguments.json else describe(info))
        elif arguments.set:
            raise UserError("--set changes one task", "name it: websim tasks TASK --set NAME=VALUE")
        else:
            infos = [compile_task(bundled(name)).info for name in bundled_names()]
            print(_json(infos) if arguments.json else list_of(infos))
    except TaskError as error:
        raise _as_user_error(error) from None
    return 0


def command_check_task(argv: Sequence[str]) -> int:
    """Check a custom task in full: file, model, programs, limits, a hundred probe steps."""
    parser = _Parser(prog="websim check-task", description=command_check_task.__doc__)
    parser.add_argument("file", type=Path, help="a task file, or a folder that holds task.yaml")
    arguments = parser.parse_args(argv)
    try:
        bundle = load_bundle(arguments.file)
        task = compile_task(bundle)
        files_bytes = len(bundle.task_yaml) + sum(map(len, bundle.files.values()))
        most = most_envs(task, "float64", files_bytes)
    except TaskError as error:
        print(f"{arguments.file}: {error}", file=sys.stderr)
        return 1
    bound = f"; shard_envs at most {most}" if most < USUAL_SHARD_ENVS else ""
    print(f"{arguments.file}: ok ({task.info.id}: {_sizes(task.info)}{bound})")
    return 0


def command_render(argv: Sequence[str]) -> int:
    """Render recorded states to a GIF or MP4 file."""
    parser = _Parser(prog="websim render", description=command_render.__doc__)
    parser.add_argument("--task", required=True, help="a bundled task, or a task file or folder")
    parser.add_argument(
        "--states", required=True, type=Path, help=".npz with qpos (T, nq) and, optionally, fps"
    )
    parser.add_argument("--out", required=True, type=Path, help="file to write: .gif or .mp4")
    parser.add_argument("--width", type=int, default=480, help="pixels (default 480)")
    parser.add_argument("--height", type=int, default=360, help="pixels (default 360)")
    parser.add_argument(
        "--camera", default="", help="camera of the model (default: track, or free)"
    )
    _add_set(parser)
    arguments = parser.parse_args(argv)
    from websim_sim_worker.render import RenderJob, render

    try:
        bundle = find_task(arguments.task)
        render(
            RenderJob(
                name=bundle.name,
                task_yaml=bundle.task_yaml,
                files=dict(bundle.files),
                overrides=parse_settings(arguments.set),
                states=str(arguments.states),
                out=str(arguments.out),
                width=arguments.width,
                height=arguments.height,
                camera=arguments.camera,
            )
        )
    except TaskError as error:
        raise _as_user_error(error) from None
    print(f"wrote {arguments.out}")
    return 0


def find_task(name: str) -> TaskBundle:
    """Find a task by the name of a bundled one, or by the path of a task file or folder."""
    is_path = name.endswith((".yaml", ".yml")) or "/" in name or Path(name).is_dir()
    return load_bundle(Path(name)) if is_path and name not in bundled_names() else bundled(name)


def parse_settings(settings: Sequence[str]) -> dict[str, Value]:
    """Read `NAME=VALUE` overrides: true, false, a number, numbers with commas, or text."""
    overrides: dict[str, Value] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise UserError(f"{setting!r} is not NAME=VALUE", "write --set links=8")
        overrides[name] = _value(text)
    return overrides


def list_of(infos: Sequence[TaskInfo]) -> str:
    """Write a table of tasks, each with its own fields and their units below it."""
    rows = [("task", "obs", "act", "step", "episode", "what is to be done")]
    rows += [
        (
            info.id,
            str(info.obs_dim),
            str(info.action_dim),
            f"{info.dt_s:.3g} s",
            f"{info.max_episode_steps}",
            info.description,
        )
        for info in infos
    ]
    table = _aligned(rows)
    lines = [table[0]]
    for line, info in zip(table[1:], infos, strict=True):
        own = [field for field in info.fields if field.name not in AUTOMATIC_FIELDS]
        named = [f"{field.name} ({field.unit})" if field.unit else field.name for field in own]
        lines += [line, *(f"  {names}" for names in _wrapped(named, separator=", ")), ""]
    automatic = ", ".join(AUTOMATIC_FIELDS)
    lines.append(f"Every task also has {automatic}. `websim tasks NAME` shows one in full.")
    return "\n".join(lines)


def describe(info: TaskInfo) -> str:
    """Write everything about one task for a person."""
    lines = [info.id, info.description, "", _sizes(info)]
    lines += ["", f"fitness: {info.fitness_description} [{info.fitness_unit or 'no unit'}]"]
    lines += ["", "fields (a program reads state.<name>)"]
    lines += _indented(
        [
            (f.name, f"(n, {f.columns})" if f.columns else "(n,)", f.unit or "-", f.description)
            for f in info.fields
        ]
    )
    lines += ["", "parameters (make_vec(..., name=value))"]
    lines += _indented([(name, _shown(value)) for name, value in info.parameters.items()])
    lines += ["", "knobs (make_vec(..., knobs={name: (low, high)}): nominal, limits, difficulty 1)"]
    lines += _indented([_knob_row(knob) for knob in info.knobs])
    lines += ["", "actions"]
    bounds = zip(info.action_names, info.action_low, info.action_high, strict=True)
    lines += _indented([(name, f"{low:.6g} to {high:.6g}") for name, low, high in bounds])
    lines += ["", "observation"]
    lines += [f"  {line}" for line in _wrapped(info.obs_names)]
    lines += ["", "reward", *(f"  {line}" for line in info.reward_source.rstrip().splitlines())]
    return "\n".join(lines)


def _knob_row(knob: KnobInfo) -> tuple[str, ...]:
    limits = f"{knob.low:g} to {knob.high:g}"
    hard = f"{knob.hard_low:g} to {knob.hard_high:g}"
    return knob.name, f"{knob.nominal:.6g}", limits, hard, knob.unit or "-", knob.description


def _sizes(info: TaskInfo) -> str:
    return (
        f"{info.obs_dim} observations, {info.action_dim} actions, a step of {info.dt_s:.4g} s, "
        f"episodes of {info.max_episode_steps} steps"
    )


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="override a parameter"
    )


def _value(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    try:
        if "," in text:
            return tuple(float(part) for part in text.split(","))
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        return text


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(f"{x:.6g}" for x in value) if isinstance(value, tuple) else str(value)


def _indented(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for line in _aligned(rows)] or ["  none"]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _wrapped(names: Sequence[str], separator: str = " ", width: int = 110) -> list[str]:
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) + len(separator) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]}{separator}{name}" if lines[-1] else name
    return lines


def _json(value: TaskInfo | list[TaskInfo]) -> str:
    # As plain data, so that what has its default value is there to be read, too.
    infos = value if isinstance(value, list) else [value]
    plain = [msgspec.structs.asdict(info) for info in infos]
    return msgspec.json.encode(plain if isinstance(value, list) else plain[0]).decode()


def _as_user_error(error: TaskError) -> UserError:
    message = f"{error.where}: {error.message}" if error.where else error.message
    return UserError(message, error.remedy)
