"""What adapting costs: `websim bench adapting`. Writes adapting.json; docs/adaptation.md.

swap       from a person's word to the first batch under the new reward, on a running training
overhead   steps per second under a generated reward (a sandboxed child) against the task's own
gate       the static check and the dry run, over a corpus of programs
treatment  what matching and warming up the critic is worth when the reward becomes 10 x + 3
asking     steps per second while a question is open against none
faults     the same while a Claude that fails one request of five is asked, and what it answers
whole      adaptations, trials and all, under such a Claude
"""

import argparse
import json
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from arms import environment
from blocks import Block, block_of, block_s, last_record
from faults import measure_faults
from machine import describe_machine, versions
from whole_adaptations import measure_whole

from websim.local.fleet import LocalFleet, available_cores
from websim.local.learner_api import LearnerApi
from websim.local.options import RunOptions
from websim.local.run import Run
from websim.programs import ProgramError, ProgramSchema, compile_program
from websim.programs.dryrun import ROWS, dry_run
from websim.programs.sandbox import Sandbox, SandboxedProgram
from websim.service.main import run_service
from websim_learner.algorithms.swap import Swap
from websim_learner.branch import Branch
from websim_learner.defaults import defaults_of
from websim_learner.evaluation import evaluate
from websim_learner.fleet import open_session
from websim_learner.policy_state import PolicyState
from websim_learner.rewards import make_reward
from websim_learner.run_dir import RunConfig

TASK = "HalfCheetah-v5"
NUM_ENVS = 1024
ENDLESS_STEPS = 10**9
SWAPS = 24
QUESTION_S = 60.0
"""Until a question arrives that was commanded."""
BLOCKS = 12
OVERHEAD_BLOCKS = 24
"""Pairs of blocks differ by some ten percent from each other, and a few percent are looked for."""
SWAP_P95_S, OVERHEAD, STATIC_P95_MS, DRY_P95_MS, ASKING = 2.0, 0.05, 50.0, 300.0, 0.02

FORWARD = """def reward(state, action):
    forward = {weight} * state.x_velocity
    effort = 0.1 * np.sum(np.square(action), axis=1)
    upright = 0.2 * np.exp(-4.0 * np.square(state.pitch))
    return forward - effort + upright, {{"forward": forward, "effort": -effort, "upright": upright}}
"""
TENFOLD = """def reward(state, action):
    effort = 0.1 * np.sum(np.square(action), axis=1)
    return 10.0 * (state.x_velocity - effort) + 3.0
"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="websim bench adapting", description=__doc__)
    add = parser.add_argument
    add("--only", nargs="+", default=list(PARTS), choices=list(PARTS))
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the treatment")
    add("--corpus", type=Path, help="JSON with `cases` of `code`, for the gate; without it the "
        "programs of this bench and its own variations")  # fmt: skip
    add("--out", type=Path, default=Path("bench/adapting"))
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Measure, print and write; 1 where a target is missed."""
    options = parse(argv)
    os.environ.update(environment())
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "adapting.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    record |= {"machine": str(describe_machine(available_cores())), "versions": versions()}
    missed = False
    for name in options.only:
        record[name] = PARTS[name](options)
        path.write_text(json.dumps(record, indent=1))
        kept = record[name].get("kept")
        missed |= kept is False
        print(f"{name:<10} {json.dumps({k: v for k, v in record[name].items() if k != 'all'})}")
    return 1 if missed else 0


@contextmanager
def running(**options: Any) -> Iterator[tuple[Run, LearnerApi]]:
    """Give an endless training run under way."""
    with tempfile.TemporaryDirectory(prefix="websim-bench-") as directory:
        wanted = {"task": TASK, "num_envs": NUM_ENVS, "total_steps": ENDLESS_STEPS, **options}
        with Run(RunOptions(run_dir=Path(directory) / "run", **wanted)) as run:
            run.wait_ready()
            api = LearnerApi(run.http_url)
            while api.status()["update"] < 5:
                time.sleep(0.1)
            yield run, api


def swap(_options: argparse.Namespace) -> dict[str, Any]:
    """Adopt rewards, each new to the gate, at any moment, and take each back.

    An evaluation is under way for about half of the time, and made up for where one is put off.
    """
    times_s: list[float] = []
    learned_s: list[float] = []
    back_s: list[float] = []
    os.environ["WEBSIM_LEARNER_EVAL_EVERY_STEPS"] = "50000"
    with running(adapt="approve") as (run, api):
        pid = run.fleet.supervisor.pid("learner") if run.fleet else None
        rng = np.random.default_rng(0)
        # The first one measures behaviours that want nothing, once for each goal.
        for number in range(-1, SWAPS):
            _next_evaluation(api)
            time.sleep(float(rng.uniform(0.0, 6.0)))
            after, began_s = last_record(api), time.monotonic()
            source = FORWARD.format(weight=2.0 + number / 100)
            told = api.command("adopt_reward", reward=source, force=True)
            update_s = _first_update(api, after, told["detail"])
            taken_s = time.monotonic() - began_s
            began_s = time.monotonic()
            api.command("rollback")
            if number >= 0:
                times_s.append(taken_s - update_s)
                learned_s.append(taken_s)
                back_s.append(time.monotonic() - began_s)
        assert run.fleet is None or run.fleet.supervisor.pid("learner") == pid
    p95 = float(np.quantile(times_s, 0.95))
    return {
        "swaps": SWAPS,
        "p50_s": round(statistics.median(times_s), 3),
        "p95_s": round(p95, 3),
        "max_s": round(max(times_s), 3),
        "learned_from_p95_s": round(float(np.quantile(learned_s, 0.95)), 3),
        "rollback_p95_s": round(float(np.quantile(back_s, 0.95)), 3),
        "kept": p95 <= SWAP_P95_S,
        "all": times_s,
    }


def _first_update(api: LearnerApi, after: int, reward_id: str) -> float:
    """Wait for the first update judged by a reward; return what came after its batch, in s."""
    while True:
        for record in api.events(after):
            after = record["n"]
            if record["kind"] == "metrics" and record["reward_id"] == reward_id:
                return float(record["update_s"])
        time.sleep(0.01)


def _next_evaluation(api: LearnerApi) -> None:
    after = last_record(api)
    while not any(record["kind"] == "evaluation" for record in api.events(after)):
        time.sleep(0.05)


def overhead(_options: argparse.Namespace) -> dict[str, Any]:
    """Alternate blocks of updates under the task's own reward and under a program.

    What a program adds, judging and the transport of fields, is told in seconds of an update, as a
    share of all of an update under the task's own reward (`overhead`: collecting and learning, so
    it is the share of a vector step's whole time in training too), and as a share of the wait for
    the fleet in it (`of_physics`). The target is for the first.
    """
    os.environ["WEBSIM_LEARNER_EVAL_EVERY_STEPS"] = "0"
    blocks: dict[str, list[Block]] = {"task": [], "program": []}
    with running() as (_, api):
        for block in range(2 * OVERHEAD_BLOCKS):
            name = ("task", "program")[block % 2]
            source = None if name == "task" else FORWARD.format(weight=1.0)
            update = api.command("set_reward", source=source)["update"]
            blocks[name].append(block_of(api, update + 2))
    return {"envs": NUM_ENVS, **overhead_of(blocks["task"], blocks["program"])}


def overhead_of(task: Sequence[Block], program: Sequence[Block]) -> dict[str, Any]:
    """Return what a program adds to the blocks of the task's own reward, block by block."""
    added_s = [b.update_s - a.update_s for a, b in zip(task, program, strict=True)]
    of_step = [added / a.update_s for added, a in zip(added_s, task, strict=True)]
    of_physics = [added / a.physics_s for added, a in zip(added_s, task, strict=True)]
    share = statistics.median(of_step)
    return {
        "update_s": {
            name: round(statistics.median(each.update_s for each in blocks), 4)
            for name, blocks in (("task", task), ("program", program))
        },
        "added_s": round(statistics.median(added_s), 4),
        "overhead": round(share, 4),
        "overhead_range": [round(min(of_step), 4), round(max(of_step), 4)],
        "of_physics": round(statistics.median(of_physics), 4),
        "of_physics_range": [round(min(of_physics), 4), round(max(of_physics), 4)],
        "kept": share <= OVERHEAD,
        "all": {"task": task, "program": program},
    }


def gate(options: argparse.Namespace) -> dict[str, Any]:
    """Check every program of the corpus, and try those that compile."""
    schema = ProgramSchema({"obs": 17, "previous_obs": 17, "x_velocity": 0, "pitch": 0}, 6)
    codes = [FORWARD.format(weight=1.0 + i / 10) for i in range(100)]
    if options.corpus is not None:
        codes = [case["code"] for case in json.loads(options.corpus.read_text())["cases"]]
    static_ms: list[float] = []
    dry_ms: list[float] = []
    with Sandbox() as sandbox:
        for code in codes:
            began_s = time.perf_counter()
            try:
                program = compile_program(code, schema)
            except ProgramError:
                program = None
            static_ms.append(1e3 * (time.perf_counter() - began_s))
            if program is None:
                continue
            began_s = time.perf_counter()
            with SandboxedProgram(program, sandbox, num_rows=ROWS) as confined:
                dry_run(confined)
            dry_ms.append(1e3 * (time.perf_counter() - began_s))
    static, dry = (float(np.quantile(each, 0.95)) for each in (static_ms, dry_ms))
    return {
        "programs": len(codes),
        "compiled": len(dry_ms),
        "static_p50_ms": round(statistics.median(static_ms), 2),
        "static_p95_ms": round(static, 2),
        "dry_run_p50_ms": round(statistics.median(dry_ms), 1),
        "dry_run_p95_ms": round(dry, 1),
        "kept": static <= STATIC_P95_MS and dry <= DRY_P95_MS,
    }


TREATED = ("no change", "treated", "untreated")
LEARNED_STEPS, AFTER_STEPS, LOOK_STEPS = 300_000, 150_000, 16_000
TREATMENT_ENVS = 256


def treatment(options: argparse.Namespace) -> dict[str, Any]:
    """Learn, then go on three times from the same policy: unchanged, and with 10 x + 3."""
    curves: dict[str, list[list[float]]] = {name: [] for name in TREATED}
    with LocalFleet(available_cores()) as fleet:
        for seed in options.seeds:
            for name, curve in _forks(fleet.client_address, seed).items():
                curves[name].append(curve)
    start = [curve[0] for curve in curves["no change"]]
    lowest = {
        name: [min(curve[1:]) / first for curve, first in zip(each, start, strict=True)]
        for name, each in curves.items()
    }
    end = {
        name: [curve[-1] / first for curve, first in zip(each, start, strict=True)]
        for name, each in curves.items()
    }
    return {
        "seeds": options.seeds,
        "fitness_before": [round(value, 3) for value in start],
        "lowest_share": {k: [round(v, 3) for v in each] for k, each in lowest.items()},
        "end_share": {k: [round(v, 3) for v in each] for k, each in end.items()},
        "all": curves,
    }


def _forks(address: str, seed: int) -> dict[str, list[float]]:
    settings = defaults_of(TASK).ppo_for(TREATMENT_ENVS)
    config = RunConfig(
        task=TASK, algo="ppo", num_envs=TREATMENT_ENVS, seed=seed, total_steps=1_500_000,
        device="cpu", ppo=settings, eval_episodes=20, eval_every_updates=0,
        checkpoint_every_updates=0,
    )  # fmt: skip
    examiner = open_session(config, 20, seed, fleet=address)

    def branch(state: PolicyState | None) -> Branch:
        client = open_session(config, TREATMENT_ENVS, seed, fleet=address)
        made = Branch(
            0, client, settings, seed=seed, session_seed=seed, total_steps=config.total_steps,
            reward=make_reward(None, client.task, TREATMENT_ENVS), device="cpu",
            first_env_steps=0 if state is None else LEARNED_STEPS,
        )  # fmt: skip
        made.start()
        if state is not None:
            made.take_over(state)
        return made

    def fitness(of: Branch) -> float:
        return float(evaluate(examiner, of.actor, 20_000 + seed).episode_fitness.mean())

    learned = branch(None)
    while learned.env_steps < LEARNED_STEPS:
        learned.advance()
    state, first = learned.policy_state(), fitness(learned)
    learned.close()
    curves = {}
    for name in TREATED:
        fork = branch(state)
        if name != "no change":
            fork.set_reward(fork.make_reward(TENFOLD))
        curve = [first]
        untreated: Any = nullcontext()
        if name == "untreated":
            untreated = mock.patch.object(Swap, "begin", return_value=None)
        with untreated:
            every = max(1, round(LOOK_STEPS / fork.steps_per_update))
            for update in range(1, round(AFTER_STEPS / fork.steps_per_update) + 1):
                fork.advance()
                if update % every == 0:
                    curve.append(fitness(fork))
        fork.close()
        curves[name] = curve
    examiner.close()
    return curves


def asking(_options: argparse.Namespace) -> dict[str, Any]:
    """Alternate blocks of updates with and without an open question."""
    os.environ["WEBSIM_LEARNER_EVAL_EVERY_STEPS"] = "0"
    seconds: dict[str, list[float]] = {"quiet": [], "asking": []}
    with Holding() as author, running(adapt="auto", reward_gen=author.url) as (_, api):
        for block in range(2 * BLOCKS):
            name = ("quiet", "asking")[block % 2]
            if name == "asking":
                api.command("ask")
                author.await_question()
            seconds[name].append(block_s(api, api.status()["update"] + 1))
            if name == "asking":
                after = last_record(api)
                author.refuse()
                while not any(each.get("event") == "unanswered" for each in api.events(after)):
                    time.sleep(0.02)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    ratios = [b / a - 1.0 for a, b in zip(seconds["quiet"], seconds["asking"], strict=True)]
    slower = statistics.median(ratios)
    return {
        "update_s": {name: round(value, 4) for name, value in medians.items()},
        "slower": round(slower, 4),
        "slower_range": [round(min(ratios), 4), round(max(ratios), 4)],
        "kept": slower <= ASKING,
        "all": seconds,
    }


class Holding:
    """A reward-gen that takes a question and says nothing until it is told to refuse it."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(QUESTION_S)
        self._held: socket.socket | None = None
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> "Holding":
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        if self._held is not None:
            self._held.close()

    def await_question(self) -> None:
        """Return once a question is open."""
        self._held, _ = self._listening.accept()

    def refuse(self) -> None:
        """Answer the open question with a refusal."""
        assert self._held is not None
        self._held.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}")
        self._held.close()
        self._held = None


def faults(_options: argparse.Namespace) -> dict[str, Any]:
    """Alternate blocks of updates with and without questions to a Claude that fails."""
    return measure_faults()


def whole(_options: argparse.Namespace) -> dict[str, Any]:
    """Ask for adaptations, one after the other, of a Claude that fails; each has its end."""
    return measure_whole()


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "gate": gate,
    "swap": swap,
    "overhead": overhead,
    "asking": asking,
    "faults": faults,
    "whole": whole,
    "treatment": treatment,
}


if __name__ == "__main__":
    run_service(main)
