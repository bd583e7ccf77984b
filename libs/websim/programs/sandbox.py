"""Programs evaluated in a confined child process: `SandboxedProgram` is called like a Program.

What holds on Linux: the language's own layers, and a worker without files, network, further
processes, environment or executable memory, which may only read its command pipe, write its reply
pipe and compute; `Sandbox.locks` names the locks. On other systems only the language's layers and
a plain subprocess with resource limits hold; `Sandbox.locks` then lacks "seccomp".
"""

import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType

from websim.programs.forker import Problem, Sandbox, SandboxError
from websim.programs.link import WorkerLink
from websim.programs.program import Program
from websim.programs.schema import ProgramKind, ProgramSchema
from websim.programs.shared import MAX_ROWS
from websim.programs.values import Array

__all__ = [
    "DEADLINE_S",
    "Problem",
    "Sandbox",
    "SandboxError",
    "SandboxedProgram",
    "default_sandbox",
]

DEADLINE_S = 0.05
"""Processor time one call may take, per ROWS_PER_DEADLINE environments begun."""

ROWS_PER_DEADLINE = 8192
"""The dearest program of the language takes about 16 ms for as many."""

STRIKES = 3
"""Failures within STRIKE_WINDOW calls after which a program is quarantined."""

STRIKE_WINDOW = 1000

_default: list[Sandbox] = []
_default_lock = threading.Lock()


def default_sandbox() -> Sandbox:
    """Return the sandbox that this process shares; started when first asked for."""
    with _default_lock:
        if _default and not _default[0].is_running:
            _default.pop().close()
        if not _default:
            _default.append(Sandbox())
        return _default[0]


class SandboxedProgram:
    """A program in a worker of its own, with the calls and results of the Program itself.

    One call at a time; a lock orders callers from several threads.
    """

    def __init__(
        self,
        program: Program,
        sandbox: Sandbox | None = None,
        *,
        deadline_s: float = DEADLINE_S,
        num_rows: int = 1024,
    ) -> None:
        """Start the worker.

        Args:
            program: what to run; the worker checks and compiles its source again.
            sandbox: whose worker it becomes; the process-wide default if None.
            deadline_s: processor time of one call, per ROWS_PER_DEADLINE environments begun.
            num_rows: environments to have room for; more are made room for when they come.

        Raises:
            SandboxError: there is no sandbox to be had, or the worker did not start.
        """
        self._program = program
        self._sandbox = sandbox
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._calls = 0
        self._struck_at: deque[int] = deque(maxlen=STRIKES)
        self._closed = ""
        self._quarantined = False
        self._link = self._spawn(num_rows)

    @property
    def id(self) -> str:
        """The program's id."""
        return self._program.id

    @property
    def kind(self) -> ProgramKind:
        """What the program returns."""
        return self._program.kind

    @property
    def source(self) -> str:
        """The program's text."""
        return self._program.source

    @property
    def schema(self) -> ProgramSchema:
        """What the program may read."""
        return self._program.schema

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields the program reads, sorted."""
        return self._program.fields

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the program's components, in the order written."""
        return self._program.components

    @property
    def worker_pid(self) -> int:
        """Process id of the present worker."""
        return self._link.pid

    @property
    def is_quarantined(self) -> bool:
        """True once it has struck too often: every call is refused."""
        return self._quarantined

    def __call__(self, fields: Mapping[str, Array], action: Array) -> Array:
        """Return the total of every environment, shape (N,), as Program does.

        Inputs are float64 fields and float32 action; other dtypes are converted to these.

        Raises:
            SandboxError: there is no result; the worker was replaced where it had to be.
        """
        return self._call(fields, action, with_components=False)[0]

    def with_components(
        self, fields: Mapping[str, Array], action: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Return the total and each component by name, shape (N,), as Program does."""
        total, *parts = self._call(fields, action, with_components=True)
        return total, dict(zip(self.components, parts, strict=True))

    def strike(self) -> None:
        """Count a failure that the caller saw, such as too many rows that are not finite."""
        with self._lock:
            self._strike()

    def close(self) -> None:
        """End the worker; safe to call more than once."""
        with self._lock:
            self._shut("it is closed")

    def __enter__(self) -> "SandboxedProgram":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _call(
        self, fields: Mapping[str, Array], action: Array, *, with_components: bool
    ) -> list[Array]:
        num_rows = len(action)
        if num_rows > MAX_ROWS:
            raise ValueError(f"{num_rows} environments in one call; send at most {MAX_ROWS}")
        budget_s = self._deadline_s * max(1, -(-num_rows // ROWS_PER_DEADLINE))
        with self._lock:
            if self._closed:
                raise SandboxError("quarantined", f"program {self.id} is not run: {self._closed}")
            self._calls += 1
            if num_rows > self._link.capacity:
                self._link.end()
                self._link = self._spawn(num_rows)
            try:
                return self._link.call(fields, action, budget_s, with_components=with_components)
            except SandboxError as error:
                raise self._recover(error) from None

    def _recover(self, error: SandboxError) -> SandboxError:
        """Replace the worker where it has to be, count the strike, and name the cause."""
        cause = ""
        if error.problem != "error":
            ended = self._link.end()
            cause = f": {ended}" if error.problem == "crashed" else ""
            self._link = self._spawn(self._link.capacity)
        self._strike()
        tail = "; it is quarantined" if self.is_quarantined else ""
        return SandboxError(error.problem, f"program {self.id}: {error}{cause}{tail}")

    def _strike(self) -> None:
        self._struck_at.append(self._calls)
        recent = self._calls - self._struck_at[0] < STRIKE_WINDOW
        if len(self._struck_at) == STRIKES and recent and not self._closed:
            self._quarantined = True
            self._shut(f"it failed {STRIKES} times within {STRIKE_WINDOW} calls")

    def _shut(self, why: str) -> None:
        if not self._closed:
            self._closed = why
            self._link.end()

    def _spawn(self, num_rows: int) -> WorkerLink:
        return WorkerLink(self._sandbox or default_sandbox(), self._program, num_rows)
