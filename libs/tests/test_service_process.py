"""Shutdown, exit codes, ready files, logs: much of it in real processes, which signals need."""

import faulthandler
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import structlog

from websim.service.errors import UserError
from websim.service.files import write_atomic
from websim.service.logs import bind_log_ids, configure_logs, get_logger
from websim.service.main import run_service
from websim.service.ready import read_ready, write_ready
from websim.service.shutdown import PARENT_FD_VARIABLE, Shutdown

WAITS = """
import sys
from websim.service.shutdown import install_shutdown
shutdown = install_shutdown()
print("up", flush=True)
sys.exit(0 if shutdown.wait(30.0) and print(shutdown.reason) is None else 1)
"""

HANGS = """
import time
from websim.service import shutdown
shutdown.PARENT_GONE_GRACE_S = 0.2
shutdown.install_shutdown()
print("up", flush=True)
time.sleep(60)
"""


def start(script, **options):
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, **options
    )
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_only_set_the_flag(number):
    with start(WAITS) as process:
        process.send_signal(number)
        out, _ = process.communicate(timeout=10)

    assert process.returncode == 0
    assert out == f"received {number.name}\n"


ELSEWHERE = """
import signal, sys, threading, time
from websim.service.shutdown import install_shutdown
shutdown = install_shutdown()
def work():
    time.sleep(0.5)  # the main thread waits by then
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
threading.Thread(target=work, daemon=True).start()
print("up", flush=True)
sys.exit(0 if shutdown.wait(30.0) and print(shutdown.reason) is None else 1)
"""


def test_a_signal_that_another_thread_gets_ends_the_wait_too():
    with start(ELSEWHERE) as process:
        out, _ = process.communicate(timeout=10)

    assert process.returncode == 0
    assert out == "received SIGTERM\n"


def start_with_parent_pipe(script):
    read_fd, write_fd = os.pipe()
    environment = {**os.environ, PARENT_FD_VARIABLE: str(read_fd)}
    process = start(script, pass_fds=[read_fd], env=environment)
    os.close(read_fd)
    return process, write_fd


def test_the_parents_death_asks_for_shutdown():
    process, write_fd = start_with_parent_pipe(WAITS)
    with process:
        os.close(write_fd)
        out, _ = process.communicate(timeout=10)

    assert process.returncode == 0
    assert out == "the parent process is gone\n"


def test_an_orphan_that_does_not_stop_is_ended():
    process, write_fd = start_with_parent_pipe(HANGS)
    with process:
        os.close(write_fd)
        assert process.wait(timeout=10) == 1


STARTS_SLOWLY = """
import time
from websim.service.main import run_service
def main(argv):
    print("up", flush=True)
    time.sleep(60)
run_service(main)
"""


def test_an_orphan_that_has_not_begun_ends_at_once():
    process, write_fd = start_with_parent_pipe(STARTS_SLOWLY)
    with process:
        os.close(write_fd)
        assert process.wait(timeout=3) == 1


def test_waiting_ends_when_another_thread_asks():
    shutdown = Shutdown()
    assert shutdown.wait(0.01) is False
    threading.Timer(0.05, shutdown.request, ["tea is ready"]).start()

    began_s = time.monotonic()
    assert shutdown.wait(10.0) is True
    assert time.monotonic() - began_s < 5.0
    assert shutdown.reason == "tea is ready"


NEVER_ENDS = """
import threading
import websim.service.main
websim.service.main.END_S = 0.5
def wait_for_godot():
    threading.Event().wait()
def main(argv):
    threading.Thread(target=wait_for_godot).start()
    return 0
websim.service.main.run_service(main)
"""


def test_a_thread_that_keeps_a_process_from_ending_is_told_and_ended():
    answer = subprocess.run(
        [sys.executable, "-c", NEVER_ENDS], capture_output=True, text=True, timeout=30
    )

    assert answer.returncode == 1
    assert "wait_for_godot" in answer.stderr


@pytest.fixture
def outlives():
    """For programs that are run within this process, which does not end with them."""
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.usefixtures("outlives")
def test_user_errors_are_one_line_and_exit_code_two(capsys):
    def main(argv):
        raise UserError("no kettle.", "Buy one.")

    with pytest.raises(SystemExit) as caught:
        run_service(main)

    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: no kettle. Buy one.\n"


@pytest.mark.usefixtures("outlives")
def test_exit_codes_pass_and_interrupts_are_quiet(capsys):
    def interrupted(argv):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_service(lambda argv: 3)
    assert caught.value.code == 3
    with pytest.raises(SystemExit) as caught:
        run_service(interrupted)
    assert caught.value.code == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_leaves_is_no_error():
    script = """
from websim.service.main import run_service
def main(argv):
    for line in range(100_000):
        print(line)
    return 0
run_service(main)
"""
    command = f"{sys.executable} -c '{script}' | head -1; echo ${{PIPESTATUS[0]}}"
    answer = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True
    )

    assert answer.stdout == "0\n141\n"
    assert answer.stderr == ""


def test_ready_files(tmp_path):
    path = tmp_path / "kettle.ready"
    write_ready(None, http_url="unused")
    assert read_ready(path) is None

    write_ready(path, http_url="http://127.0.0.1:1")

    assert read_ready(path) == {"pid": os.getpid(), "http_url": "http://127.0.0.1:1"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["kettle.ready"]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, b"new")

    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_logs_are_json_in_the_file_and_warnings_on_stderr(tmp_path, capsys):
    file = tmp_path / "logs" / "kettle.jsonl"
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        configure_logs("kettle", json=False, file=file)
        bind_log_ids(run="breakfast", session=1)
        get_logger("websim.kettle").info("boiled", cups=3, session=2)
        bind_log_ids(run=None)
        logging.getLogger("elsewhere").warning("hot %s", "water")
    finally:
        bind_log_ids(run=None, session=None)
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()

    first, second = map(json.loads, file.read_text().splitlines())
    assert (first["event"], first["cups"], first["service"]) == ("boiled", 3, "kettle")
    assert (second["event"], second["level"]) == ("hot water", "warning")
    assert (first["run"], first["session"]) == ("breakfast", 2)
    assert ("run" in second, second["session"]) == (False, 1)
    shown = capsys.readouterr().err
    assert "hot water" in shown
    assert "boiled" not in shown
