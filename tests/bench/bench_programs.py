"""What programs cost: plain numpy, a Program, the guard and the confined child, side by side.

Run it by hand: `python tests/bench/bench_programs.py`. The ways are alternated within each round,
so that a busy machine slows all of them; figures are medians over the rounds, with the best beside.
"""

import contextlib
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from websim.programs import Program, ProgramSchema, compile_program
from websim.programs.dryrun import dry_run, make_inputs
from websim.programs.guard import evaluate_guarded
from websim.programs.sandbox import Sandbox, SandboxedProgram, SandboxError

SCHEMA = ProgramSchema({"obs": 17, "previous_obs": 17, "x_velocity": 0}, 6)
SOURCE = """def reward(state, action):
    p = state.obs[:, 1]
    alive = np.where(np.abs(p) < 1.0, 1.0, 0.0)
    effort = 0.1 * np.sum(action ** 2, axis=1)
    upright = 0.5 * np.exp(-4.0 * np.square(p))
    return np.clip(state.obs[:, 8] - effort + upright + alive, -10.0, 10.0)
"""
ROWS = (128, 1024, 4096)
ROUNDS = 60
CALLS = 20
TARGET_P50_US = 100.0
"""Of the confined child at 1024 rows."""


def main() -> None:
    """Print the table, then what compiling, trying and replacing cost."""
    program = compile_program(SOURCE, SCHEMA)
    namespace: dict[str, Any] = {"np": np}
    exec(compile(SOURCE, "<plain>", "exec"), namespace)
    with Sandbox() as sandbox, SandboxedProgram(program, sandbox) as confined:
        print(f"locks: {', '.join(sandbox.locks)}")
        print(
            f"{'rows':>5} {'way':<12} {'median us':>10} {'best us':>8} {'x plain':>8} {'+ us':>6}"
        )
        for num_rows in ROWS:
            print_rows(num_rows, ways(program, confined, namespace["reward"], num_rows))
        print_once(program, sandbox)


def ways(
    program: Program, confined: SandboxedProgram, plain: Callable[..., Any], num_rows: int
) -> dict[str, Callable[[], Any]]:
    """Return the calls that are compared, on the same inputs."""
    inputs = make_inputs(SCHEMA, num_rows, seed=0)["normal"]
    fields, action = inputs.fields, inputs.action
    state = SimpleNamespace(**fields)
    return {
        "plain numpy": lambda: plain(state, action),
        "program": lambda: program(fields, action),
        "+ guard": lambda: evaluate_guarded(program, fields, action),
        "child": lambda: confined(fields, action),
        "child + guard": lambda: evaluate_guarded(confined, fields, action),
    }


def print_rows(num_rows: int, calls: dict[str, Callable[[], Any]]) -> None:
    """Measure all ways in turn and print them relative to plain numpy."""
    times_us: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            for _ in range(CALLS):
                start_s = time.perf_counter()
                call()
                times_us[name].append((time.perf_counter() - start_s) * 1e6)
    base_us = float(np.median(times_us["plain numpy"]))
    for name, values in times_us.items():
        median_us = float(np.median(values))
        print(
            f"{num_rows:>5} {name:<13}{median_us:>10.1f} {min(values):>8.1f} "
            f"{median_us / base_us:>8.2f} {median_us - base_us:>6.1f}"
        )
    if num_rows == 1024:
        kept = "kept" if np.median(times_us["child"]) <= TARGET_P50_US else "MISSED"
        print(f"      target: child p50 <= {TARGET_P50_US:g} us at 1024 rows: {kept}")


def print_once(program: Program, sandbox: Sandbox) -> None:
    """Print what happens once per program rather than once per step."""

    def spawn() -> None:
        SandboxedProgram(program, sandbox).close()

    def start() -> None:
        Sandbox().close()

    def try_out() -> None:
        with SandboxedProgram(program, sandbox, num_rows=64) as confined:
            dry_run(confined)

    steps: dict[str, Callable[[], object]] = {
        "compile": lambda: compile_program(SOURCE, SCHEMA),
        "spawn a worker": spawn,
        "spawn, try out, close": try_out,
        "start and stop a sandbox": start,
    }
    for name, step in steps.items():
        print(f"{name:<26}{_median_ms(step):>8.2f} ms")
    print(f"{'killed worker, replaced':<26}{_median_ms(lambda: _lose(program, sandbox)):>8.2f} ms")


def _lose(program: Program, sandbox: Sandbox) -> None:
    """Run into a deadline that nothing can keep, and get a new worker."""
    inputs = make_inputs(SCHEMA, 4096, seed=0)["normal"]
    confined = SandboxedProgram(program, sandbox, deadline_s=1e-6, num_rows=4096)
    with confined, contextlib.suppress(SandboxError):
        confined(inputs.fields, inputs.action)


def _median_ms(step: Callable[[], object], rounds: int = 9) -> float:
    times_s = []
    for _ in range(rounds):
        start_s = time.perf_counter()
        step()
        times_s.append(time.perf_counter() - start_s)
    return float(np.median(times_s)) * 1e3


if __name__ == "__main__":
    main()
