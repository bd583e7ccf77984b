"""Pauses and speed decide when things happen, and never what."""

import threading
import time

import pytest

from websim.service.errors import UserError
from websim_learner import pace as pace_module
from websim_learner.control import Pause, Resume, SetNumEnvs, SetSpeed, Stop
from websim_learner.pace import Pace

STEPS = 24 * 8


class FakeTime:
    """A clock that only sleeping, and a test, lets go on."""

    def __init__(self):
        self.now_s = 1000.0

    def monotonic(self):
        return self.now_s

    perf_counter = monotonic

    def sleep(self, seconds):
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(pace_module, "time", fake)
    return fake


def paced(speed):
    pace = Pace(lambda: False)
    pace.speed = speed
    return pace


@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0])
def test_simulated_seconds_pass_at_the_speed_of_the_wall_clock(clock, speed):
    pace = paced(speed)
    for _ in range(200):
        pace.step(0.05)
        clock.now_s += 0.004  # what a step takes
    assert clock.now_s - 1000.0 == pytest.approx(200 * 0.05 / speed, rel=0.02)


def test_time_that_an_update_takes_is_caught_up(clock):
    pace = paced(1.0)
    for update in range(10):
        for _ in range(16):
            pace.step(0.05)
            clock.now_s += 0.01
        clock.now_s += 0.4
        del update
    assert clock.now_s - 1000.0 == pytest.approx(160 * 0.05, rel=0.07)


def test_a_machine_that_is_too_slow_is_not_held_up_for_what_it_owes(clock):
    pace = paced(1.0)
    for _ in range(1000):
        pace.step(0.01)
        clock.now_s += 0.05
    at = clock.now_s
    for _ in range(1000):
        pace.step(0.01)
    owed = pace_module.MAX_LAG_S
    assert clock.now_s - at == pytest.approx(10.0 - owed, abs=0.1)


def test_full_speed_holds_nothing_up(clock):
    pace = paced(None)
    for _ in range(1000):
        pace.step(0.05)
    assert clock.now_s == 1000.0


def test_a_change_of_speed_holds_from_the_step_under_way(clock):
    pace = paced(0.001)
    pace.step(0.05)

    def attend():
        if clock.now_s > 1001.0:
            pace.speed = None
        return False

    pace._attend = attend
    pace.step(0.05)
    assert 1001.0 < clock.now_s < 1001.1


def test_nothing_is_held_up_while_a_command_waits(clock):
    pace = Pace(lambda: True)
    pace.speed, pace.paused = 0.001, True
    for _ in range(100):
        pace.step(0.05)
        pace.rest()
    assert clock.now_s == 1000.0


def test_the_working_clock_stands_while_a_run_is_held_up(clock):
    pace = paced(1.0)
    before_s = pace.now_s()
    for _ in range(100):
        pace.step(0.05)
        clock.now_s += 0.01
    assert pace.now_s() - before_s == pytest.approx(1.0)


# --- in a run


def sends(command):
    return lambda harness: harness.send(command)


def speed(value):
    return SetSpeed(kind="set_speed", speed=value)


def test_a_speed_changes_only_the_time(harness, monkeypatch):
    plain, slow = harness(), harness()
    plain.go()
    waited = []
    monkeypatch.setattr(
        pace_module.time, "sleep", lambda seconds, sleep=time.sleep: waited.append(sleep(seconds))
    )
    slow.at = {3: [sends(speed(40.0))], 6: [sends(speed(None))]}
    began_s = time.monotonic()
    slow.go()
    # Three rollouts of 8 steps of 0.1 s, the first step at once.
    assert time.monotonic() - began_s >= 23 * 0.1 / 40.0
    assert waited
    assert slow.digest() == plain.digest()
    told = [answer.detail for answer in slow.answers]
    assert told == ["40 times real time", "as fast as it goes"]
    assert [entry.kind for entry in slow.run_dir.journal()] == ["start"]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_speed_is_refused_in_a_line(harness, value):
    run = harness(total_steps=4 * STEPS)
    run.at = {2: [sends(speed(value))]}
    assert run.go() == "finished"
    assert isinstance(run.answers[0], UserError)
    assert "is no speed" in str(run.answers[0])


def pause_and_look(run, seen, hold_s=0.0):
    """Send a pause; a thread notes how the run stands once it is paused, and lets it go on."""

    def look_and_go_on():
        while (status := run.run.status.read()).state != "paused":
            time.sleep(0.01)
        time.sleep(hold_s)
        seen.append(status)
        run.run.control.submit(Resume(kind="resume"), 60.0)

    run.send(Pause(kind="pause"))
    thread = threading.Thread(target=look_and_go_on)
    thread.start()
    run.threads = [*getattr(run, "threads", []), thread]


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_a_pause_takes_effect_in_the_middle_of_a_rollout(harness, overlap):
    plain = harness(ppo={"overlap": overlap})
    plain.go()
    run = harness(ppo={"overlap": overlap})
    # At this speed a rollout would take 8000 s.
    run.at = {4: [sends(speed(0.0001))]}
    seen = []

    def look_and_go_on():
        while run.run.status.read().speed is None:
            time.sleep(0.01)
        run.run.control.submit(Pause(kind="pause"), 20.0)
        while run.run.status.read().state != "paused":
            time.sleep(0.01)
        wall_s = run.run._ledger.clock.wall_s
        time.sleep(0.1)
        seen.append(run.run._ledger.clock.wall_s - wall_s)
        run.run.control.submit(speed(None), 20.0)
        seen.append(run.run.status.read().state)
        run.run.control.submit(Resume(kind="resume"), 20.0)

    thread = threading.Thread(target=look_and_go_on)
    run.threads = [thread]
    thread.start()
    assert run.go() == "finished"
    assert seen == [0.0, "paused"]
    assert run.digest() == plain.digest()
    assert [entry.kind for entry in run.run_dir.journal()] == ["start"]


def test_a_command_that_waits_for_the_updates_end_brings_it_about(harness):
    run = harness(total_steps=6 * STEPS)
    run.at = {2: [sends(speed(0.0001))]}

    def change_and_stop():
        # The first step of the rollout is done, the second not due for hours.
        while run.run._pace._step_s is None:
            time.sleep(0.01)
        run.run.control.submit(Pause(kind="pause"), 20.0)
        answers.append(run.run.control.submit(SetNumEnvs(kind="set_num_envs", num_envs=48), 20.0))
        # It took effect in the pause, which goes on.
        states.append(run.run.status.read())
        run.run.control.submit(Stop(kind="stop"), 20.0)

    answers, states = [], []
    thread = threading.Thread(target=change_and_stop)
    run.threads = [thread]
    thread.start()
    assert run.go() == "finished"
    assert (answers[0].update, answers[0].detail) == (3, "48 environments")
    assert states[0].num_envs == 48
    assert run.result()["updates"] == 3


def test_a_pause_holds_an_update_up_between_two_gradient_steps(harness):
    run = harness(total_steps=4 * STEPS, ppo={"epochs": 40, "target_kl": 1e9})
    plain = harness(total_steps=4 * STEPS, ppo={"epochs": 40, "target_kl": 1e9})
    plain.go()
    original, sent, states = run.branch.algorithm._step, [], []

    def step(*args):
        if run.branch.updates == 2 and not sent:
            sent.append(1)
            pause_and_look(run, states)
        return original(*args)

    run.branch.algorithm._step = step
    assert run.go() == "finished"
    assert [(s.state, s.update) for s in states] == [("paused", 2)]
    assert run.digest() == plain.digest()
    assert 0.0 < run.run._ledger.clock.phases["update"] <= run.run._ledger.clock.wall_s


def test_a_pause_holds_an_evaluation_up_and_is_no_part_of_its_time(harness):
    run = harness(total_steps=6 * STEPS, eval_every_updates=4)
    original, seen = run.run._adapter.examiner._open, []

    def open_and_pause(*args):
        client = original(*args)
        pause_and_look(run, seen, hold_s=0.3)
        run.run._adapter.examiner._open = original
        return client

    run.run._adapter.examiner._open = open_and_pause
    began_s = time.monotonic()
    assert run.go() == "finished"
    assert [(s.state, s.update) for s in seen] == [("paused", 4)]
    assert run.run._ledger.clock.phases["evaluation"] < time.monotonic() - began_s - 0.3


def test_a_trial_is_paused_and_refuses_other_envs_meanwhile(harness, monkeypatch):
    from websim_learner import run as run_module
    from websim_learner.control import TryReward

    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))
    centre = "def reward(state, action):\n    return 2.0 - np.abs(state.x)\n"
    run = harness(adapt="auto", total_steps=40 * STEPS)
    run.at = {6: [sends(TryReward(kind="try_reward", source=centre, name="centre"))]}
    original, calls, seen = run.run._trainer.orders.during_trial, [], []

    def pause_in_the_middle():
        calls.append(1)
        if len(calls) == 5:
            pause_and_look(run, seen)
        original()
        if len(calls) == 5:
            run.send(SetNumEnvs(kind="set_num_envs", num_envs=48))

    run.run._trainer.orders.during_trial = pause_in_the_middle
    assert run.go() == "finished"
    assert [(s.state, s.num_envs) for s in seen] == [("paused", 24)]
    assert "a trial is under way" in str(run.answers[-1])
    assert run.result()["num_envs"] == 24
