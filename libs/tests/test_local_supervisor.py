"""The supervisor with tiny services: real processes, ended in every way there is."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from types import SimpleNamespace

import pytest
from local_run_samples import eventually

from websim.local import child as child_module
from websim.local.supervisor import ChildFailedError, ChildSpec, Supervisor

PRELUDE = """
import os, sys, time
from pathlib import Path
from websim.service.ready import write_ready
from websim.service.shutdown import install_shutdown
ready_file = Path(sys.argv[sys.argv.index("--ready-file") + 1])
"""

OBEDIENT = """
shutdown = install_shutdown()
write_ready(ready_file, args=sys.argv[1:])
shutdown.wait(60.0)
print("bye")
"""

STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
write_ready(ready_file)
time.sleep(60)
"""


@pytest.fixture
def make_supervisor():
    made = []

    def make(**options):
        made.append(Supervisor(**options))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop()


def make_spec(body, name="kettle", **overrides):
    script = PRELUDE + textwrap.dedent(body)
    return ChildSpec(name, ("-c", script), **{"stage": 0, **overrides})


def running(pid):
    """Return whether a process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_children_start_together_and_end_by_descending_stage(make_supervisor, tmp_path):
    order = tmp_path / "order"
    tells = (
        OBEDIENT
        + f"""
with open({str(order)!r}, "a") as file:
    file.write(sys.argv[1] + chr(10))
"""
    )
    supervisor = make_supervisor()
    for name, stage in (("orchestrator", 0), ("worker", 1), ("learner", 2)):
        script = PRELUDE + tells
        supervisor.start(ChildSpec(name, ("-c", script, name), stage))
    facts = supervisor.wait_ready(["orchestrator", "worker", "learner"], 15.0)
    pids = [fact["pid"] for fact in facts]
    assert all(map(running, pids))

    supervisor.stop()

    assert order.read_text().split() == ["learner", "worker", "orchestrator"]
    assert not any(map(running, pids))
    assert supervisor.returncode("learner") == 0


def test_a_killed_child_is_started_again(make_supervisor):
    lines = []
    supervisor = make_supervisor(notify=lines.append)
    again = ("-c", PRELUDE + OBEDIENT, "again")
    supervisor.start(make_spec(OBEDIENT, restart_argv=lambda: again))
    [facts] = supervisor.wait_ready(["kettle"], 15.0)

    os.kill(facts["pid"], signal.SIGKILL)
    eventually(lambda: supervisor.num_starts("kettle") == 2)
    [again] = supervisor.wait_ready(["kettle"], 15.0)

    assert again["pid"] != facts["pid"]
    assert again["args"][0] == "again"
    assert lines == ["kettle was ended by SIGKILL; starting it again in 0.1 s"]


def test_a_crash_loop_is_given_up_with_the_reason(make_supervisor, monkeypatch):
    monkeypatch.setattr("websim.local.child.FIRST_BACKOFF_S", 0.01)
    monkeypatch.setattr("websim.local.child.CRASH_LIMIT", 3)
    supervisor = make_supervisor()
    supervisor.start(make_spec('write_ready(ready_file); time.sleep(0.2); sys.exit("no water")'))

    eventually(supervisor.failures)

    assert supervisor.num_starts("kettle") == 3
    [failure] = supervisor.failures()
    assert str(failure) == "kettle ended with exit code 1 (no water)"
    assert failure.exit_code == 1
    assert supervisor.returncode("kettle") == 1


def test_what_is_given_up_is_told_where_nobody_ends_with_the_reason(make_supervisor):
    lines = []
    supervisor = make_supervisor(notify=lines.append)
    refusal = 'sys.exit("error: no water. Fill it.")'
    for name, needed in (("kettle", True), ("page", False)):
        supervisor.start(make_spec(refusal, name=name, needed=needed))
        eventually(lambda name=name: supervisor.state(name) == "failed")

    eventually(lambda: lines)
    [line] = lines
    assert line == "page ended with exit code 1 (error: no water. Fill it.); given up after 1 start"


def test_deaths_with_progress_are_no_crash_loop(make_supervisor, monkeypatch, tmp_path):
    monkeypatch.setattr("websim.local.child.FIRST_BACKOFF_S", 0.01)
    monkeypatch.setattr("websim.local.child.CRASH_LIMIT", 3)
    work = tmp_path / "work"
    work.write_text("")
    # Ten lives build on one another, then nothing is achieved any more.
    body = f"""
work = Path({str(work)!r})
write_ready(ready_file)
if len(work.read_text()) < 10:
    work.write_text(work.read_text() + "x")
    os.kill(os.getpid(), 9)
sys.exit("no water")
"""
    supervisor = make_supervisor()
    supervisor.start(make_spec(body, progress=lambda: len(work.read_text())))

    eventually(supervisor.failures)

    assert supervisor.num_starts("kettle") == 10 + 3
    assert str(supervisor.failures()[0]) == "kettle ended with exit code 1 (no water)"


def test_where_progress_is_measured_a_long_life_without_it_counts(make_supervisor, monkeypatch):
    monkeypatch.setattr("websim.local.child.FIRST_BACKOFF_S", 0.01)
    monkeypatch.setattr("websim.local.child.CRASH_LIMIT", 2)
    monkeypatch.setattr("websim.local.child.HEALTHY_AFTER_S", 0.0)
    supervisor = make_supervisor()
    supervisor.start(make_spec("write_ready(ready_file); sys.exit(1)", progress=lambda: 7))

    eventually(supervisor.failures)

    assert supervisor.num_starts("kettle") == 2


def test_a_service_that_is_killed_at_work_is_started_again_for_ever(make_supervisor, monkeypatch):
    monkeypatch.setattr("websim.local.child.FIRST_BACKOFF_S", 0.01)
    monkeypatch.setattr("websim.local.child.CRASH_LIMIT", 3)
    supervisor = make_supervisor()
    supervisor.start(make_spec(OBEDIENT))
    for starts in range(1, 6):
        eventually(lambda starts=starts: supervisor.num_starts("kettle") == starts)
        [facts] = supervisor.wait_ready(["kettle"], 15.0)
        os.kill(facts["pid"], signal.SIGKILL)

    eventually(lambda: supervisor.num_starts("kettle") == 6)
    assert supervisor.failures() == []


@pytest.fixture
def full_up(monkeypatch):
    """A switch: while it is set, this machine starts no process."""
    full = threading.Event()

    def popen(*arguments, **options):
        if full.is_set():
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return subprocess.Popen(*arguments, **options)

    monkeypatch.setattr(child_module, "subprocess", SimpleNamespace(**vars(subprocess)))
    monkeypatch.setattr(child_module.subprocess, "Popen", popen)
    return full


def test_a_process_that_cannot_be_started_again_at_once_is_later(make_supervisor, full_up):
    lines = []
    supervisor = make_supervisor(notify=lines.append)
    supervisor.start(make_spec(OBEDIENT))
    [facts] = supervisor.wait_ready(["kettle"], 15.0)

    full_up.set()
    os.kill(facts["pid"], signal.SIGKILL)
    eventually(lambda: len(lines) >= 2)
    full_up.clear()

    eventually(lambda: supervisor.num_starts("kettle") == 2)
    supervisor.wait_ready(["kettle"], 15.0)
    assert lines[1] == (
        "kettle cannot be started: [Errno 11] Resource temporarily unavailable; "
        "starting it again in 0.1 s"
    )


def test_what_cannot_be_started_is_given_up_and_the_others_are_looked_after(
    make_supervisor, full_up, monkeypatch
):
    monkeypatch.setattr("websim.local.child.FIRST_BACKOFF_S", 0.01)
    monkeypatch.setattr("websim.local.child.CRASH_LIMIT", 3)
    supervisor = make_supervisor()
    for name in ("kettle", "page"):
        supervisor.start(make_spec(OBEDIENT, name=name))
    first, page = supervisor.wait_ready(["kettle", "page"], 15.0)

    full_up.set()
    os.kill(first["pid"], signal.SIGKILL)
    [failure] = eventually(supervisor.failures)
    full_up.clear()
    os.kill(page["pid"], signal.SIGKILL)

    assert "kettle cannot be started: [Errno 11]" in str(failure)
    assert supervisor.returncode("kettle") == 1
    eventually(lambda: supervisor.num_starts("page") == 2)
    assert supervisor.num_starts("kettle") == 1


def test_a_first_start_that_is_impossible_says_so_at_once(make_supervisor, full_up):
    supervisor = make_supervisor()
    full_up.set()
    supervisor.start(make_spec(OBEDIENT))

    with pytest.raises(ChildFailedError, match="kettle cannot be started"):
        supervisor.wait_ready(["kettle"], 15.0)


def test_directories_that_were_tidied_away_are_made_anew(make_supervisor, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    supervisor = make_supervisor(log_dir=tmp_path / "logs")
    supervisor.start(make_spec(OBEDIENT))
    [facts] = supervisor.wait_ready(["kettle"], 15.0)

    shutil.rmtree(tmp_path / "logs")
    [private] = (tmp_path / "tmp").iterdir()
    shutil.rmtree(private)
    os.kill(facts["pid"], signal.SIGKILL)

    eventually(lambda: supervisor.num_starts("kettle") == 2)
    supervisor.wait_ready(["kettle"], 15.0)
    assert private.stat().st_mode & 0o777 == 0o700


def test_whatever_goes_wrong_with_one_child_the_others_are_looked_after(make_supervisor):
    def no_arguments():
        raise RuntimeError("no recipe")

    supervisor = make_supervisor()
    supervisor.start(make_spec(OBEDIENT, restart_argv=no_arguments))
    supervisor.start(make_spec(OBEDIENT, name="page"))
    kettle, page = supervisor.wait_ready(["kettle", "page"], 15.0)

    os.kill(kettle["pid"], signal.SIGKILL)
    [failure] = eventually(supervisor.failures)
    os.kill(page["pid"], signal.SIGKILL)

    assert "kettle cannot be supervised: RuntimeError('no recipe')" in str(failure)
    eventually(lambda: supervisor.num_starts("page") == 2)


def test_children_are_looked_after_when_nobody_listens_any_more(make_supervisor):
    def gone(line):
        raise BrokenPipeError

    supervisor = make_supervisor(notify=gone)
    supervisor.start(make_spec(OBEDIENT))
    for starts in (1, 2):
        eventually(lambda starts=starts: supervisor.num_starts("kettle") == starts)
        [facts] = supervisor.wait_ready(["kettle"], 15.0)
        os.kill(facts["pid"], signal.SIGKILL)

    eventually(lambda: supervisor.num_starts("kettle") == 3)


def test_a_signal_without_a_name_has_a_number(make_supervisor):
    supervisor = make_supervisor()
    supervisor.start(make_spec("os.kill(os.getpid(), 40)", restart="never"))

    [failure] = eventually(supervisor.failures)
    assert str(failure) == "kettle was ended by signal 40"


def test_a_refusal_to_start_is_reported_at_once_in_the_childs_words(make_supervisor):
    supervisor = make_supervisor()
    supervisor.start(make_spec('print("error: no kettle. Buy one."); sys.exit(2)'))

    with pytest.raises(ChildFailedError, match=r"^no kettle\. Buy one\.$"):
        supervisor.wait_ready(["kettle"], 15.0)
    assert supervisor.num_starts("kettle") == 1


def test_a_child_that_is_late_is_named(make_supervisor):
    supervisor = make_supervisor()
    supervisor.start(make_spec("print('slow', flush=True); time.sleep(60)"))

    with pytest.raises(ChildFailedError, match=r"kettle not ready after 1 s \(slow\)"):
        supervisor.wait_ready(["kettle"], 1.0)


def test_waiting_can_be_cancelled(make_supervisor):
    supervisor = make_supervisor()
    supervisor.start(make_spec("time.sleep(60)"))

    with pytest.raises(KeyboardInterrupt):
        supervisor.wait_ready(["kettle"], 15.0, cancelled=lambda: True)


def test_a_child_that_may_end_is_left_ended(make_supervisor):
    supervisor = make_supervisor()
    supervisor.start(make_spec("sys.exit(7)", restart="never"))

    assert eventually(lambda: supervisor.returncode("kettle")) == 7
    assert supervisor.state("kettle") == "ended"


def test_exit_code_zero_can_mean_that_the_work_is_done(make_supervisor):
    supervisor = make_supervisor()
    supervisor.start(make_spec("sys.exit(0)", restart="on_failure"))

    eventually(lambda: supervisor.state("kettle") == "ended")
    assert supervisor.returncode("kettle") == 0
    assert supervisor.num_starts("kettle") == 1


def test_the_stubborn_are_killed_with_all_they_started(make_supervisor):
    started = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
"""
    body = started + STUBBORN.replace("ready_file)", "ready_file, child=child.pid)")
    supervisor = make_supervisor()
    supervisor.start(make_spec(body, stop_deadline_s=0.3))
    [facts] = supervisor.wait_ready(["kettle"], 15.0)

    began_s = time.monotonic()
    supervisor.stop()

    assert time.monotonic() - began_s < 5.0
    assert not running(facts["pid"])
    eventually(lambda: not running(facts["child"]))
    assert supervisor.returncode("kettle") == -signal.SIGKILL


def test_a_retired_child_ends_and_its_name_is_free_at_once(make_supervisor):
    supervisor = make_supervisor()
    supervisor.start(make_spec(OBEDIENT))
    [first] = supervisor.wait_ready(["kettle"], 15.0)

    supervisor.retire("kettle")
    supervisor.start(make_spec(OBEDIENT))
    [second] = supervisor.wait_ready(["kettle"], 15.0)

    eventually(lambda: not running(first["pid"]))
    assert running(second["pid"])
    assert supervisor.failures() == []


def test_a_retired_child_that_will_not_end_is_killed(make_supervisor):
    supervisor = make_supervisor()
    supervisor.start(make_spec(STUBBORN, stop_deadline_s=0.3))
    [facts] = supervisor.wait_ready(["kettle"], 15.0)

    supervisor.retire("kettle")

    assert running(facts["pid"])
    eventually(lambda: not running(facts["pid"]))


def test_stopping_ends_the_retired_too(make_supervisor):
    supervisor = make_supervisor()
    supervisor.start(make_spec(STUBBORN, stop_deadline_s=30.0))
    [facts] = supervisor.wait_ready(["kettle"], 15.0)
    supervisor.retire("kettle")
    threading.Timer(0.2, os.kill, (facts["pid"], signal.SIGKILL)).start()

    supervisor.stop()

    assert not running(facts["pid"])


def test_stopping_twice_and_starting_after_that(make_supervisor):
    supervisor = make_supervisor()
    supervisor.stop()
    supervisor.stop()

    with pytest.raises(RuntimeError, match="stopped"):
        supervisor.start(make_spec(OBEDIENT))


PARENT = """
import os, sys, time
from websim.local.supervisor import ChildSpec, Supervisor
supervisor = Supervisor()
supervisor.start(ChildSpec("kettle", ("-c", sys.argv[1]), 0))
[facts] = supervisor.wait_ready(["kettle"], 15.0)
if len(sys.argv) > 2 and os.fork() == 0:
    time.sleep(60)
print(facts["pid"], flush=True)
"""


def start_parent(tail, *argv):
    """Start a process with a supervisor of its own; return it and its child's process id."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT + tail, PRELUDE + OBEDIENT, *argv],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return parent, int(parent.stdout.readline())


@pytest.mark.parametrize("forks", [(), ("fork",)], ids=["alone", "with a fork"])
def test_no_child_outlives_a_killed_supervisor(forks):
    parent, pid = start_parent("time.sleep(60)", *forks)
    with parent:
        assert running(pid)
        parent.kill()
        parent.wait()
        try:
            eventually(lambda: not running(pid))
        finally:
            if forks:
                os.killpg(parent.pid, signal.SIGKILL)


def test_no_child_outlives_a_supervisor_that_was_not_stopped():
    parent, pid = start_parent("sys.exit(0)")
    with parent:
        assert parent.wait(timeout=15) == 0
        assert not running(pid)


def test_ctrl_c_reaches_only_the_supervisor():
    parent, pid = start_parent("supervisor._stopping.wait(60)")
    with parent:
        assert os.getpgid(pid) == pid != parent.pid
        parent.kill()
        eventually(lambda: not running(pid))


def test_output_is_kept_where_asked(make_supervisor, tmp_path):
    supervisor = make_supervisor(log_dir=tmp_path / "logs")
    supervisor.start(make_spec(OBEDIENT))
    supervisor.wait_ready(["kettle"], 15.0)
    supervisor.stop()

    assert (tmp_path / "logs" / "kettle.stderr").read_text() == "bye\n"
