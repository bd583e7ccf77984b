"""Measure one task: which subjects there are, opened, taken in turn, summed up, closed.

A task has two sections, each with MuJoCo alone as its reference: stepping (the fleet's tiers and
vector environments of others) and training (whole learners, whose updates need longer blocks).
"""

import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import interleave
import peers
from fleet import InferenceTier, PrivateFleet, SendRecvTier, StepTier
from interleave import Block, Plan
from physics import MujocoAlone
from report import TaskFigures
from subject import NotMeasured, Subject
from summary import REFERENCE, Missing, summarise
from training import TrainingRun

from websim.local.keys import make_key_set
from websim.tasks import load_bundle
from websim_sim_worker.tasks import CompiledTask, bundled, compile_task


@dataclass(frozen=True)
class Conditions:
    """What holds for a whole bench."""

    num_envs: int
    cores: int
    workers: int
    seed: int
    peers_python: str
    stepping: Plan
    training: Plan
    wants: frozenset[str]
    """Of fleet, peers, training."""
    shard_sizes: tuple[int, ...] = ()
    """Shard sizes to compare with the default one."""
    keys: bool = False
    """Whether to compare with a fleet whose wire is encrypted."""


@dataclass
class Progress:
    """Who is told how far it is, and asked whether there is time to repeat a noisy block."""

    note: Callable[[str], None]
    may_repeat: Callable[[], bool]


def compiled(task: str) -> CompiledTask:
    """Return a bundled task, or the one in a task file.

    Raises:
        TaskError: there is none, or it is broken.
    """
    is_file = task.endswith((".yaml", ".yml"))
    return compile_task(load_bundle(Path(task)) if is_file else bundled(task))


class Bencher:
    """Measures tasks under the same conditions.

    Attributes:
        peer_versions: What the peers' Python has installed, once a peer was opened.
    """

    def __init__(self, conditions: Conditions, progress: Progress) -> None:
        self._conditions = conditions
        self._progress = progress
        self.peer_versions: dict[str, str] = {}

    def stepping(self, task: str, figures: TaskFigures) -> None:
        """Measure the fleet's tiers and the vector environments of others."""
        c = self._conditions
        with ExitStack() as stack:
            subjects: list[Subject] = [self._physics(task)]
            if "fleet" in c.wants:
                subjects.append(self._physics(task, timers=False))
                self._progress.note(f"{task}: starting a fleet")
                fleet = PrivateFleet(task, c.num_envs, c.workers, c.seed, (0, *c.shard_sizes))
                stack.enter_context(fleet)
                session = fleet.sessions[0]
                subjects += [SendRecvTier(session), StepTier(session), InferenceTier(session)]
                subjects += [SendRecvTier(fleet.sessions[n], n) for n in c.shard_sizes]
                if c.keys:
                    keys = Path(stack.enter_context(TemporaryDirectory()))
                    make_key_set(keys)
                    keyed = PrivateFleet(task, c.num_envs, c.workers, c.seed, keys=keys)
                    subjects.append(SendRecvTier(stack.enter_context(keyed).sessions[0]))
            if "peers" in c.wants:
                subjects += self._peers(task, peers.VECTOR_PEERS)
            self._measure("stepping", task, subjects, c.stepping, figures)

    def training(self, task: str, figures: TaskFigures) -> None:
        """Measure our learner and those of others."""
        c = self._conditions
        run = TrainingRun(task, c.num_envs, c.workers, c.seed)
        subjects: list[Subject] = [self._physics(task), run]
        subjects += self._peers(task, peers.TRAINING_PEERS)
        self._measure("training", task, subjects, c.training, figures)

    def _physics(self, task: str, *, timers: bool = True) -> MujocoAlone:
        c = self._conditions
        return MujocoAlone(compiled(task), c.num_envs, c.cores, c.seed, timers=timers)

    def _peers(self, task: str, kinds: Sequence[peers.PeerKind]) -> list[Subject]:
        c = self._conditions
        return [
            peers.Peer(kind, task, c.num_envs, c.cores, c.seed, c.peers_python) for kind in kinds
        ]

    def _measure(
        self,
        section: str,
        task: str,
        subjects: Sequence[Subject],
        plan: Plan,
        figures: TaskFigures,
    ) -> None:
        c, progress = self._conditions, self._progress
        gone: dict[str, str] = {}
        with ExitStack() as stack:
            opened: list[Subject] = []
            for subject in subjects:
                progress.note(f"{task}: opening {subject.label}")
                stack.callback(subject.close)
                try:
                    subject.open()
                except NotMeasured as reason:
                    gone[subject.key] = str(reason)
                    continue
                opened.append(subject)
                if isinstance(subject, peers.Peer):
                    self.peer_versions = subject.versions

            def report_block(block: Block) -> None:
                again = ", again" if block.attempt else ""
                progress.note(
                    f"{task}: {section} round {block.round + 1} of {plan.rounds}{again}, "
                    f"{block.subject} {block.steps_per_s:,.0f}/s"
                )

            blocks, failed = interleave.interleave(
                opened,
                plan,
                functools.partial(interleave.measure, cores=c.cores),
                may_repeat=progress.may_repeat,
                on_block=report_block,
                short=lambda subject: subject.key == REFERENCE,
            )
            memory = {
                subject.key: None if subject.key in failed else subject.memory_bytes()
                for subject in opened
            }
        gone |= failed
        figures.blocks[section] = blocks
        rows = summarise(blocks, subjects, memory)
        # The reference has its row from the first section.
        known = {row.subject for row in figures.rows}
        figures.rows += [row for row in rows if row.subject not in known]
        figures.rows.sort(key=lambda row: row.subject != REFERENCE and not _is_ours(row.subject))
        figures.missing += [
            Missing(subject.key, subject.label, gone[subject.key])
            for subject in subjects
            if subject.key in gone
        ]


def _is_ours(subject: str) -> bool:
    return subject.startswith(("fleet", "mujoco"))
