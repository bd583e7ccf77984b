"""Faults by schedule: which, when and to whom is a function of the seed; what is done is noted."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from websim.local import nemesis as nemesis_module
from websim.local.nemesis import DEFAULT_COUNTS, Fault, Nemesis, make_schedule, parse_faults
from websim.service.errors import UserError


class FakeFleet:
    """Workers that sleep; an orchestrator and a learner that do, too."""

    def __init__(self, workers=2):
        self.workers = [self.sleeper() for _ in range(workers)]
        self.others = {"orchestrator": self.sleeper(), "learner": self.sleeper()}
        self.starting = set()
        self.supervisor = SimpleNamespace(ready_pid=lambda name: self.ready(self.others[name]))
        self.num_workers = workers

    @staticmethod
    def sleeper():
        return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])

    def ready(self, process):
        return process.pid if process not in self.starting else None

    def ready_worker_pids(self):
        running = [worker for worker in self.workers if worker.returncode is None]
        return [worker.pid for worker in running if self.ready(worker)]

    def scale(self, workers):
        self.num_workers = workers

    def close(self):
        for process in [*self.workers, *self.others.values()]:
            process.kill()
            process.wait()


@pytest.fixture
def fleet():
    made = FakeFleet()
    yield made
    made.close()


def make_fault(kind, at=0.5, draw=0.0, lag=0.0):
    return Fault(at=at, kind=kind, draw=draw, lag=lag)


def frozen(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


def eventually(condition, timeout_s=15.0):
    give_up_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_s, "it never happened"
        time.sleep(0.02)


def test_a_schedule_is_a_function_of_counts_and_seed():
    schedule = make_schedule(DEFAULT_COUNTS, 3)
    assert schedule == make_schedule(DEFAULT_COUNTS, 3)
    assert schedule != make_schedule(DEFAULT_COUNTS, 4)
    assert [fault.at for fault in schedule] == sorted(fault.at for fault in schedule)
    kinds = [fault.kind for fault in schedule]
    assert {kind: kinds.count(kind) for kind in kinds} == {**DEFAULT_COUNTS, "scale": 2}


def test_faults_are_read_with_and_without_counts():
    assert parse_faults("kill-worker=20, scale") == {"kill-worker": 20, "scale": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kill-workers", r"there is no fault kill-workers \(did you mean kill-worker\?\)"),
        ("kill-worker=none", "kill-worker=none is no count of faults"),
        ("kill-worker=0", "kill-worker=0 is no count"),
        (" ,", "no faults are named"),
    ],
)
def test_faults_that_are_none_are_refused(text, problem):
    with pytest.raises(UserError, match=problem):
        parse_faults(text)


def test_nothing_happens_before_it_is_due(fleet):
    nemesis = Nemesis(fleet, (make_fault("kill-worker", at=0.5),))
    nemesis.tend(0.4)
    assert (nemesis.done, nemesis.left) == ([], 1)
    nemesis.tend(0.5)
    assert nemesis.left == 0
    [done] = nemesis.done
    assert (done.kind, done.progress) == ("kill-worker", 0.5)
    assert done.what == f"SIGKILL to process {fleet.workers[0].pid}"
    assert fleet.workers[0].wait() == -signal.SIGKILL
    assert fleet.workers[1].poll() is None


def test_a_fault_comes_within_the_time_of_a_step_of_progress(fleet):
    nemesis = Nemesis(fleet, (make_fault("kill-worker", lag=0.5),))
    time.sleep(0.2)
    for progress in (0.1, 0.2, 0.3, 0.4):
        nemesis.tend(progress)
        time.sleep(0.2)
    time.sleep(1.0)
    nemesis.tend(0.5)
    assert nemesis.left == 1
    time.sleep(0.2)
    nemesis.tend(0.5)
    assert nemesis.left == 0


@pytest.mark.parametrize("who", ["orchestrator", "learner"])
def test_services_are_killed_by_name(fleet, who):
    Nemesis(fleet, (make_fault(f"kill-{who}"),)).tend(1.0)
    assert fleet.others[who].wait() == -signal.SIGKILL


@pytest.mark.parametrize("who", ["orchestrator", "learner", "worker"])
def test_who_has_been_killed_is_not_killed_again_before_it_is_noticed(fleet, who):
    kind = f"kill-{who}"
    nemesis = Nemesis(fleet, (make_fault(kind), make_fault(kind, at=0.6)))
    spare = fleet.workers.pop()
    nemesis.tend(0.5)
    for progress in (0.6, 0.7, 0.8):
        nemesis.tend(progress)
    assert nemesis.left == 1
    victim = fleet.workers[0] if who == "worker" else fleet.others[who]
    assert victim.wait() == -signal.SIGKILL
    successor = spare
    if who == "worker":
        fleet.workers[0] = successor
    else:
        fleet.workers[1:] = [fleet.others[who]]
        fleet.others[who] = successor
    nemesis.tend(0.9)
    assert nemesis.left == 0
    assert successor.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    "kind", ["kill-orchestrator", "kill-learner", "kill-worker", "freeze-worker"]
)
def test_nobody_is_hurt_before_it_is_ready(fleet, kind):
    fleet.starting |= {*fleet.workers, *fleet.others.values()}
    nemesis = Nemesis(fleet, (make_fault(kind),))
    nemesis.tend(0.6)
    assert nemesis.left == 1
    fleet.starting.clear()
    nemesis.tend(0.6)
    assert nemesis.left == 0


def test_a_frozen_worker_is_woken_in_time_and_at_the_end(fleet, monkeypatch):
    monkeypatch.setattr(nemesis_module, "FROZEN_S", (0.2, 0.2))
    nemesis = Nemesis(fleet, (make_fault("freeze-worker"), make_fault("freeze-worker", at=0.6)))
    first, second = fleet.ready_worker_pids()
    nemesis.tend(0.5)
    eventually(lambda: frozen(first))
    time.sleep(0.25)
    nemesis.tend(0.5)
    eventually(lambda: not frozen(first))
    nemesis.tend(0.6)
    eventually(lambda: frozen(first))
    nemesis.close()
    eventually(lambda: not frozen(first) and not frozen(second))
    assert [done.what for done in nemesis.done] == [f"SIGSTOP to process {first} for 0.2 s"] * 2


def test_a_kind_strikes_once_between_two_steps_of_progress(fleet):
    nemesis = Nemesis(fleet, (make_fault("kill-worker"), make_fault("kill-worker", draw=0.9)))
    nemesis.tend(0.7)
    fleet.workers[0].wait()
    nemesis.tend(0.7)
    assert nemesis.left == 1
    nemesis.tend(0.8)
    assert nemesis.left == 0
    assert fleet.workers[1].wait() == -signal.SIGKILL


def test_a_fault_without_a_victim_waits_for_one(fleet):
    for worker in fleet.workers:
        worker.kill()
        worker.wait()
    nemesis = Nemesis(fleet, (make_fault("kill-worker"),))
    nemesis.tend(1.0)
    assert nemesis.left == 1
    fleet.workers.append(fleet.sleeper())
    nemesis.tend(1.0)
    assert nemesis.left == 0


def test_scaling_adds_workers_and_takes_them_away(fleet):
    nemesis = Nemesis(fleet, (make_fault("scale"), make_fault("scale")))
    nemesis.tend(0.7)
    nemesis.tend(0.7)
    assert fleet.num_workers == 4
    nemesis.tend(0.8)
    assert fleet.num_workers == 2
    assert [done.what for done in nemesis.done] == ["2 to 4 workers", "4 to 2 workers"]


def test_further_kinds_of_faults_can_be_given(fleet):
    nemesis = Nemesis(fleet, (make_fault("cut", draw=0.25),), further={"cut": "cut at {}".format})
    nemesis.tend(1.0)
    assert nemesis.done[0].what == "cut at 0.25"


def test_a_victim_that_has_just_gone_is_not_counted(fleet):
    gone = fleet.workers[0]
    gone.kill()
    os.waitid(os.P_PID, gone.pid, os.WEXITED)
    nemesis = Nemesis(fleet, (make_fault("kill-worker"),))
    nemesis.tend(1.0)
    assert nemesis.left == 1
