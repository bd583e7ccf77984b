"""What the guard, the dry run and a learner need of a program, wherever it runs."""

from collections.abc import Mapping
from typing import Protocol

from websim.programs.schema import ProgramKind, ProgramSchema
from websim.programs.values import Array


class Evaluator(Protocol):
    """A program in this process (Program) or in a confined child (SandboxedProgram)."""

    @property
    def id(self) -> str:
        """The program's id."""

    @property
    def kind(self) -> ProgramKind:
        """What it returns."""

    @property
    def source(self) -> str:
        """Its text."""

    @property
    def schema(self) -> ProgramSchema:
        """What it may read."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields it reads."""

    @property
    def components(self) -> tuple[str, ...]:
        """Names of its components."""

    def __call__(self, fields: Mapping[str, Array], action: Array) -> Array:
        """Return the total, shape (N,)."""

    def with_components(
        self, fields: Mapping[str, Array], action: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Return the total and the components, each of shape (N,)."""
