"""Hosts runs on the toy task, each life in a process of its own, to be killed at failpoints.

Not a test: test_learner_failpoints.py starts it. torch is imported once; each line of stdin, a JSON
object {"directory", "failpoint", "keep"}, is a life in a fork, answered by a line with its exit
code.
"""

import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path

from websim_learner import checkpoint, failpoints
from websim_learner.algorithms.ppo import PPO
from websim_learner.control import SetReward, Stop, TakeCheckpoint
from websim_learner.defaults import PPOSettings


def load_toy():
    spec = importlib.util.spec_from_file_location("toy", Path(__file__).with_name("conftest.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # What torch imports when it is first used takes longer than a life.
    PPO(PPOSettings(), obs_dim=1, action_dim=1, num_envs=1, seed=0)
    return module


def live(toy, directory, failpoint):
    """One life of a run with overlap, evaluations, commands and a checkpoint of every update."""
    options = {"ppo": {"overlap": True}, "checkpoint_every_updates": 1, "eval_every_updates": 2}
    harness = toy.Harness(directory, toy.ToyClient, **options)

    def swap_unless_done(harness):
        if "set_reward" not in [entry.kind for entry in harness.run_dir.journal()]:
            harness.send(SetReward(kind="set_reward", source=None))

    harness.at = {
        2: [lambda h: h.send(TakeCheckpoint(kind="checkpoint"))],
        3: [swap_unless_done],
        4: [swap_unless_done],
        6: [lambda h: h.send(Stop(kind="stop"))],
    }
    failpoints.arm(failpoint)
    harness.go()


def live_in_a_fork(toy, order):
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    code = 1
    try:
        # What a life says would be taken for answers.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        checkpoint.KEEP = order["keep"]
        live(toy, Path(order["directory"]), order["failpoint"])
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def main():
    toy = load_toy()
    for line in sys.stdin:
        print(live_in_a_fork(toy, json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
