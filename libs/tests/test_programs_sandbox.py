"""The confined child: what hostile code can do in it, how it fails, and that it never lingers.

Hostile code gets there only because these tests switch the language's check off inside the child.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from websim.programs import Program, ProgramSchema, compile_program
from websim.programs.dryrun import Inputs, make_inputs
from websim.programs.sandbox import Sandbox, SandboxedProgram, SandboxError, default_sandbox

SHARED_CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "reward_programs.json"
SCHEMA = ProgramSchema({"obs": 17, "x_velocity": 0}, 6)
NUM_ROWS = 64

# A forker whose workers run what the program's docstring holds in hex, checked by nobody.
UNCHECKED_CHILD = """
import ast, collections.abc, ctypes, signal, socket, subprocess, sys, threading, time
import numpy as np
from websim.programs import child

class Unchecked:
    components = ()

    def __init__(self, load):
        code = bytes.fromhex(ast.get_docstring(ast.parse(load.source).body[0])).decode()
        self.fields = ("obs",)
        try:
            self.run = compile(code, "<probe>", "eval")
        except SyntaxError:
            self.run = compile(code, "<probe>", "exec")

    def __call__(self, fields, action):
        scope = {"np": np, "obs": fields["obs"], "action": action, "ctypes": ctypes,
                 "signal": signal, "socket": socket, "subprocess": subprocess, "sys": sys,
                 "threading": threading, "time": time, "os": sys.modules["os"]}
        value = eval(self.run, scope)
        if isinstance(value, collections.abc.Sized):
            value = len(value)
        return np.full(len(action), float(scope.get("result", value) or 0))

child.main(Unchecked)
"""

FORBIDDEN = ("crashed", "forbidden system call")
OUT_OF_ORDER = ("crashed", "reply")
DEADLINE = ("deadline", "took longer")
PROBES = {
    "read_file": ("open('/etc/passwd').read()", FORBIDDEN),
    "read_by_os": ("os.open('/etc/passwd', 0)", FORBIDDEN),
    "list_files": ("os.listdir('/')", FORBIDDEN),
    "stat_file": ("os.stat('/')", FORBIDDEN),
    "own_memory": ("open('/proc/self/mem', 'rb')", FORBIDDEN),
    "numpy_save": ("np.save('/tmp/websim-probe', obs)", FORBIDDEN),
    "numpy_load": ("np.load('/etc/passwd', allow_pickle=True)", FORBIDDEN),
    "import_more": ("__import__('sqlite3')", FORBIDDEN),
    "fork": ("os.fork()", FORBIDDEN),
    "thread": ("threading.Thread(target=print).start()", FORBIDDEN),
    "subprocess": ("subprocess.run(['/bin/true'])", FORBIDDEN),
    "exec": ("os.execv('/bin/true', ['true'])", FORBIDDEN),
    "socket": ("socket.socket()", FORBIDDEN),
    "kill_parent": ("os.kill(os.getppid(), 9)", FORBIDDEN),
    "kill_init": ("os.kill(1, 9)", FORBIDDEN),
    "alarm": ("signal.alarm(1)", FORBIDDEN),
    "sleep": ("time.sleep(60)", FORBIDDEN),
    "whoami": ("os.getuid()", FORBIDDEN),
    "random_bytes": ("os.urandom(8)", FORBIDDEN),
    "write_elsewhere": ("os.write(1, b'hello')", FORBIDDEN),
    "read_replies": ("os.read(4, 1)", FORBIDDEN),
    "executable_memory": ("__import__('mmap').mmap(-1, 4096, prot=7)", FORBIDDEN),
    "executable_data": ("ctypes.CDLL(None).mprotect(obs.ctypes.data & ~4095, 4096, 7)", FORBIDDEN),
    "forged_reply": ("os.write(4, b'0' * 5)", OUT_OF_ORDER),
    "short_reply": ("os.write(4, b'0')", OUT_OF_ORDER),
    "null_pointer": ("ctypes.string_at(0)", ("crashed", "memory that is not there")),
    "leave": ("os._exit(0)", ("crashed", "exited with status 0")),
    "stop": ("raise SystemExit", ("crashed", "ended")),
    "interrupt": ("raise KeyboardInterrupt", ("crashed", "ended")),
    "eight_terabytes": ("np.ones(10 ** 12)", ("error", "MemoryError")),
    "growing_list": ("x = []\nwhile True: x.append(np.empty(10 ** 7))", ("error", "MemoryError")),
    "endless_recursion": ("f = lambda: f()\nf()", ("error", "RecursionError")),
    "deep_recursion": ("def f(g): g(g)\nf(f)", ("error", "RecursionError")),
    "write_input": ("obs[:] = 0", ("error", "ValueError")),
    "unlock_input": ("obs.setflags(write=True)", ("error", "ValueError")),
    "endless_loop": ("while True: pass", DEADLINE),
    "swallow_all": ("while True:\n  try: pass\n  except BaseException: pass", DEADLINE),
    "huge_power": ("9 ** 9 ** 9", DEADLINE),
    "steal_commands": ("os.read(3, 100)", ("deadline", "took longer")),
    "wait_for_itself": ("l = threading.Lock()\nl.acquire()\nl.acquire()", DEADLINE),
    "backtrack": ("__import__('re').match('(a+)+$', 'a' * 40 + 'b')", DEADLINE),
    "flood_of_replies": ("for i in range(10 ** 4): os.write(4, b'0' * 5)", OUT_OF_ORDER),
    "overwritten_memory": ("ctypes.memset(id(np), 255, 4096)", ("crashed", "not there")),
    "error_without_text": (
        "class E(ValueError):\n  def __str__(self): raise self\nraise E",
        ("crashed", "ended"),
    ),
}
"""Code, and how its failure is called and described."""


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def unchecked():
    with Sandbox(("-c", UNCHECKED_CHILD)) as running:
        yield running


def make_program(expression: str = "2.0 * state.obs[:, 3]", **overrides) -> Program:
    source = f"def reward(state, action):\n    return {expression}\n"
    return compile_program(source, **{"schema": SCHEMA, **overrides})


def make_probe(code: str) -> Program:
    """Return a harmless program that carries hostile code in its docstring."""
    body = f'    "{code.encode().hex()}"\n    return state.obs[:, 0]\n'
    return compile_program(f"def reward(state, action):\n{body}", SCHEMA)


def make_batch(num_rows: int = NUM_ROWS, seed: int = 0) -> Inputs:
    return make_inputs(SCHEMA, max(num_rows, 1), seed)["normal"].rows(slice(0, num_rows))


def call(program, inputs: Inputs) -> np.ndarray:
    return program(inputs.fields, inputs.action)


def is_gone(pid: int) -> bool:
    """Tell whether process `pid` has ended; nobody may be there to reap it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1][1] == "Z"
    except FileNotFoundError:
        return True


def wait_until_gone(*pids: int, timeout_s: float = 10.0) -> None:
    give_up_s = time.monotonic() + timeout_s
    while not all(is_gone(pid) for pid in pids):
        assert time.monotonic() < give_up_s, "a process of the sandbox is still there"
        time.sleep(0.01)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def fail_with(program: SandboxedProgram, inputs: Inputs) -> SandboxError:
    with pytest.raises(SandboxError) as caught:
        call(program, inputs)
    return caught.value


@pytest.mark.parametrize("name", PROBES)
def test_hostile_code_is_contained(unchecked, sandbox, name):
    code, (problem, text) = PROBES[name]
    inputs = make_batch()
    with SandboxedProgram(make_probe(code), unchecked, deadline_s=0.05) as program:
        error = fail_with(program, inputs)
    assert error.problem == problem, error
    assert text in str(error)
    with SandboxedProgram(make_program(), sandbox) as program:
        assert np.array_equal(call(program, inputs), 2.0 * inputs.fields["obs"][:, 3])


def test_environment_and_descriptors_are_empty(unchecked):
    with SandboxedProgram(make_probe("os.environ"), unchecked) as program:
        assert call(program, make_batch())[0] == 0.0


def test_secrets_of_the_caller_never_reach_the_child(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary")
    with Sandbox() as running, SandboxedProgram(make_program(), running) as program:
        for pid in (running.pid, program.worker_pid):
            assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_input_memory_cannot_be_made_writable(unchecked):
    mprotect = "ctypes.CDLL(None).mprotect(obs.ctypes.data & ~4095, 4096, 3)"
    with SandboxedProgram(make_probe(mprotect), unchecked) as program:
        assert call(program, make_batch())[0] == -1.0


def test_printing_a_gigabyte_reaches_nobody(unchecked, capfd):
    with SandboxedProgram(make_probe("print('x' * 10 ** 8)"), unchecked, deadline_s=1) as program:
        call(program, make_batch())
    assert capfd.readouterr() == ("", "")


def test_shared_probes_are_contained(unchecked):
    probes = []
    if SHARED_CORPUS.exists():
        probes = json.loads(SHARED_CORPUS.read_text(encoding="utf-8"))["sandbox_probes"]
    inputs = make_batch()
    for probe in probes:
        with SandboxedProgram(make_probe(probe["code"]), unchecked) as program:
            if "ok-reply" in probe["expected"]:
                assert call(program, inputs)[0] == 0.0, probe
                continue
            error = fail_with(program, inputs)
        if "SIGSYS" in probe["expected"]:
            assert "forbidden system call" in str(error), probe
        elif "deadline" in probe["expected"]:
            assert error.problem == "deadline", probe
        else:
            assert probe["expected"].startswith("ValueError")
            assert "ValueError" in str(error), probe


def test_all_locks_hold_that_this_machine_offers(sandbox):
    assert {"seccomp", "no_new_privs", "rlimits"} <= set(sandbox.locks)
    status = Path(f"/proc/{sandbox.pid}/status").read_text(encoding="ascii")
    assert "NoNewPrivs:\t1" in status
    assert "Threads:\t1\n" in status, "forking from several threads is not safe"
    with SandboxedProgram(make_program(), sandbox) as program:
        status = Path(f"/proc/{program.worker_pid}/status").read_text(encoding="ascii")
        assert "Seccomp:\t2" in status
        if "user" in sandbox.locks:
            assert "Uid:\t65534\t65534\t65534\t65534" in status


@pytest.mark.parametrize("name", ["OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES"])
def test_what_chooses_how_numpy_rounds_is_the_callers(monkeypatch, name):
    monkeypatch.setenv(name, "")
    with Sandbox() as sandbox:
        given = Path(f"/proc/{sandbox.pid}/environ").read_bytes()
    assert f"{name}=".encode() in given


@pytest.mark.parametrize("num_rows", [0, 1, 64, 1024, 5000])
def test_results_are_those_of_the_program(sandbox, num_rows):
    sources = [
        "state.x_velocity",
        "0.1 * np.sum(np.square(action), axis=1)",
        "np.exp(-np.square(state.obs[:, 2])), {'a': action[:, 0], 'b': state.x_velocity > 0.0}",
        "np.linalg.norm(state.obs[:, 4:9], axis=1) + state.obs[:, -1], {}",
        "np.ones_like(state.x_velocity)",
    ]
    inputs = make_batch(num_rows)
    for source in sources:
        program = make_program(source)
        with SandboxedProgram(program, sandbox, num_rows=16) as confined:
            total, components = confined.with_components(inputs.fields, inputs.action)
            alone = call(confined, inputs)
        expected, expected_components = program.with_components(inputs.fields, inputs.action)
        pairs = [(total, expected), (alone, expected)]
        pairs += [(components[name], array) for name, array in expected_components.items()]
        assert tuple(components) == program.components
        for mine, theirs in pairs:
            assert mine.dtype == theirs.dtype
            assert mine.tobytes() == theirs.tobytes()


def test_boolean_kinds_and_constants_reach_the_child(sandbox):
    schema = ProgramSchema({"z": 0}, 1, {"limits": (0.2, float("inf")), "flag": 1.0})
    source = "def terminated(state, action):\n    return (state.z < limits[0]) | (flag < 0.5)"
    program = compile_program(source, schema, "terminated")
    z = np.array([0.1, 0.3])
    with SandboxedProgram(program, sandbox) as confined:
        result = confined({"z": z}, np.zeros((2, 1), np.float32))
    assert result.dtype == np.bool_
    assert result.tolist() == [True, False]


def test_results_are_not_overwritten_by_the_next_call(sandbox):
    with SandboxedProgram(make_program(), sandbox) as program:
        first = call(program, make_batch(seed=1))
        kept = first.copy()
        call(program, make_batch(seed=2))
    assert np.array_equal(first, kept)


def test_wrong_inputs_are_refused_before_they_travel(sandbox):
    inputs = make_batch()
    with SandboxedProgram(make_program("state.obs[:, 0] + state.x_velocity"), sandbox) as program:
        with pytest.raises(ValueError, match="shape"):
            program({**inputs.fields, "obs": inputs.fields["obs"][:, :5]}, inputs.action)
        with pytest.raises(ValueError, match="shape"):
            program({**inputs.fields, "x_velocity": np.zeros(3)}, inputs.action)
        with pytest.raises(ValueError, match="x_velocity"):
            program({"obs": inputs.fields["obs"]}, inputs.action)
        with pytest.raises(ValueError, match="65536"):
            program(inputs.fields, np.zeros((70_000, 6), np.float32))
        assert call(program, inputs).shape == (NUM_ROWS,)


def test_worker_that_died_is_replaced(sandbox):
    inputs = make_batch()
    with SandboxedProgram(make_program(), sandbox) as program:
        before = program.worker_pid
        os.kill(before, signal.SIGKILL)
        error = fail_with(program, inputs)
        assert error.problem == "crashed"
        assert program.worker_pid != before
        assert np.array_equal(call(program, inputs), 2.0 * inputs.fields["obs"][:, 3])
    wait_until_gone(before)


def test_three_strikes_are_a_quarantine(unchecked):
    inputs = make_batch()
    with SandboxedProgram(make_probe("while True: pass"), unchecked, deadline_s=0.02) as program:
        problems = [fail_with(program, inputs).problem for _ in range(5)]
        assert problems == ["deadline"] * 3 + ["quarantined"] * 2
        assert program.is_quarantined
        wait_until_gone(program.worker_pid)


def test_strikes_of_the_caller_count(sandbox):
    with SandboxedProgram(make_program(), sandbox) as program:
        for _ in range(3):
            assert not program.is_quarantined
            program.strike()
        assert fail_with(program, make_batch()).problem == "quarantined"


def test_rare_failures_are_forgiven(sandbox, monkeypatch):
    monkeypatch.setattr("websim.programs.sandbox.STRIKE_WINDOW", 10)
    inputs = make_batch()
    with SandboxedProgram(make_program(), sandbox) as program:
        for _ in range(6):
            program.strike()
            for _ in range(6):
                call(program, inputs)
        assert not program.is_quarantined


def test_hanging_program_costs_little_and_never_the_caller(unchecked):
    with SandboxedProgram(make_probe("while True: pass"), unchecked) as program:
        start_s = time.monotonic()
        fail_with(program, make_batch())
        assert time.monotonic() - start_s < 5.0


def test_starved_machine_is_no_strike(sandbox):
    inputs = make_batch()
    with SandboxedProgram(make_program(), sandbox, deadline_s=0.05) as program:
        os.kill(program.worker_pid, signal.SIGSTOP)
        wake = threading.Timer(0.3, os.kill, (program.worker_pid, signal.SIGCONT))
        wake.start()
        assert np.array_equal(call(program, inputs), 2.0 * inputs.fields["obs"][:, 3])
        wake.join()


def test_worker_that_never_answers_is_given_up(sandbox):
    with SandboxedProgram(make_program(), sandbox, deadline_s=0.005) as program:
        frozen = program.worker_pid
        os.kill(frozen, signal.SIGSTOP)
        assert fail_with(program, make_batch()).problem == "deadline"
        assert program.worker_pid != frozen
    wait_until_gone(frozen)


def test_callers_from_many_threads_take_turns(sandbox):
    results: dict[int, bool] = {}
    with SandboxedProgram(make_program(), sandbox) as program:

        def work(seed: int) -> None:
            inputs = make_batch(seed=seed)
            wanted = 2.0 * inputs.fields["obs"][:, 3]
            results[seed] = all(np.array_equal(call(program, inputs), wanted) for _ in range(50))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == dict.fromkeys(range(4), True)


def test_nothing_is_left_open_or_running(sandbox):
    call_once = make_batch()
    pids = []

    def use() -> None:
        with SandboxedProgram(make_program(), sandbox) as program:
            call(program, call_once)
            pids.append(program.worker_pid)

    use()
    gc.collect()  # what other tests left open to the collector is not counted here
    before = open_descriptors()
    for _ in range(10):
        use()
    assert open_descriptors() == before
    wait_until_gone(*pids)


def test_dropped_program_ends_its_worker(sandbox):
    program = SandboxedProgram(make_program(), sandbox)
    pid = program.worker_pid
    del program
    wait_until_gone(pid)
    with SandboxedProgram(make_program(), sandbox):
        assert not Path(f"/proc/{pid}").exists(), "a zombie is left"


def test_closed_sandbox_ends_its_workers_and_says_so():
    running = Sandbox()
    program = SandboxedProgram(make_program(), running)
    running.close()
    running.close()
    wait_until_gone(running.pid, program.worker_pid)
    assert fail_with(program, make_batch()).problem == "unavailable"
    program.close()


def test_killed_forker_takes_its_workers_along_and_the_default_one_is_replaced():
    inputs = make_batch()
    program = SandboxedProgram(make_program())
    first, worker = default_sandbox(), program.worker_pid
    os.kill(first.pid, signal.SIGKILL)
    wait_until_gone(first.pid, worker)
    assert fail_with(program, inputs).problem == "crashed"
    assert default_sandbox() is not first
    assert np.array_equal(call(program, inputs), 2.0 * inputs.fields["obs"][:, 3])
    program.close()
    default_sandbox().close()


def test_forker_that_answers_too_late_is_asked_nothing_more(monkeypatch):
    monkeypatch.setattr("websim.programs.forker._REQUEST_TIMEOUT_S", 0.2)
    inputs = make_batch()
    program = SandboxedProgram(make_program())
    first, worker = default_sandbox(), program.worker_pid
    os.kill(first.pid, signal.SIGSTOP)
    with pytest.raises(SandboxError, match="timed out") as caught:
        SandboxedProgram(make_program())
    assert caught.value.problem == "unavailable"
    assert not first.is_running
    wait_until_gone(first.pid, worker)
    assert fail_with(program, inputs).problem == "crashed"
    assert np.array_equal(call(program, inputs), 2.0 * inputs.fields["obs"][:, 3])
    program.close()
    default_sandbox().close()


OWNER = """
import os, sys
import numpy as np
from websim.programs import ProgramSchema, compile_program
from websim.programs.sandbox import Sandbox, SandboxedProgram
sandbox = Sandbox(("-c", {child!r}))
loop = b"while True: pass".hex()
source = f'def reward(state, action):\\n    "{{loop}}"\\n    return state.x'
program = compile_program(source, ProgramSchema({{"x": 0, "obs": 1}}, 1))
confined = SandboxedProgram(program, sandbox, deadline_s=60.0)
print(sandbox.pid, confined.worker_pid, flush=True)
if {spin}:
    confined({{"x": np.ones(1), "obs": np.ones((1, 1))}}, np.ones((1, 1), np.float32))
sys.stdin.read()
"""


@pytest.mark.parametrize("spin", [False, True])
def test_killed_owner_leaves_no_process(spin):
    script = OWNER.format(child=UNCHECKED_CHILD, spin=spin)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        time.sleep(0.1)
        assert not any(is_gone(pid) for pid in pids)
        owner.kill()
    wait_until_gone(*pids)


def test_child_that_cannot_start_is_one_clear_line():
    with pytest.raises(SandboxError, match="broken on purpose") as caught:
        Sandbox(("-c", "raise RuntimeError('broken on purpose')"))
    assert caught.value.problem == "unavailable"
    assert "\n" not in str(caught.value)


def test_child_without_seccomp_refuses_to_serve():
    code = "from websim.programs import child, seccomp\nseccomp.install = lambda code: None\n"
    with pytest.raises(SandboxError, match="does not enforce seccomp"):
        Sandbox(("-c", code + "child.main()"))


def test_child_on_an_unknown_machine_refuses_to_serve():
    code = "from websim.programs import child, seccomp\nseccomp.is_supported = lambda: False\n"
    with pytest.raises(SandboxError, match="no seccomp filter for this machine"):
        Sandbox(("-c", code + "child.main()"))
