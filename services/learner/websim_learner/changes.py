"""Other envs, another task: what a person may change about what a run trains on."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from websim_learner.adaptation.adapter import Adapter
from websim_learner.ledger import Ledger
from websim_learner.run_dir import RunConfig
from websim_learner.stage import Stage, in_words, with_envs, with_other_task, with_task
from websim_learner.stages import Stages


class Changes:
    """Lets a run go on in another stage, between two updates, and writes that down."""

    def __init__(self, config: RunConfig, stages: Stages, ledger: Ledger, adapter: Adapter) -> None:
        """Make ready.

        Args:
            config: the run's.
            stages: what it trains on.
            ledger: where it is written.
            adapter: knows the knobs that are turned, and has another goal with another task.
        """
        self._config = config
        self._stages = stages
        self._ledger = ledger
        self._adapter = adapter

    def set_num_envs(self, num_envs: int) -> str:
        """Go on with the same policy on other envs; return what there is now.

        Raises:
            UserError: so many cannot be had; nothing has changed.
            RunStopped: the run is to stop; nothing has changed.
        """
        present = self._stages.present
        if num_envs != present.num_envs:
            stage = with_envs(present, self._config, num_envs, self._ledger.updates)
            self._enter("set_num_envs", stage)
        return f"{num_envs:,} environments"

    def set_task(self, task: str) -> str:
        """Go on with another task; return what there is now.

        Raises:
            UserError: there is no such task; nothing has changed.
            RunStopped: the run is to stop; nothing has changed.
        """
        present, ledger = self._stages.present, self._ledger
        if task == present.task:
            return f"{task}, as before"
        stage = with_task(present, self._config, task, ledger.updates, ledger.env_steps)
        kept = self._enter("set_task", stage)
        return f"{task}, {'the policy goes on' if kept else 'a new policy'}"

    def set_other_task(self, task: str, num_envs: int) -> str:
        """Give so many of the envs another task; return what there is now.

        Raises:
            UserError: so many cannot be had, or the policy cannot act in the task; nothing has
                changed.
            RunStopped: the run is to stop; nothing has changed.
        """
        present = self._stages.present
        if num_envs != dict(present.others).get(task, 0) or task == present.task:
            self._enter("set_task", self._with_other(task, num_envs))
        return in_words(self._stages.present)

    @property
    def others(self) -> Mapping[str, int]:
        """Tasks that some of the envs have instead of the run's own, and how many."""
        return dict(self._stages.present.others)

    @property
    def next_tasks(self) -> tuple[str, ...]:
        """Tasks that the adaptation may give to some of the envs, in that order."""
        present = self._stages.present
        return self._config.next_tasks if present.task == self._config.task else ()

    def give(self, task: str, share: float) -> str:
        """Give a share of the envs another task, as follows from what the run is by now.

        Nothing is journaled: a later life decides the same again. Raises what `set_other_task`
        raises.
        """
        num_envs = math.ceil(share * self._stages.present.num_envs)
        self._enter("set_task", self._with_other(task, num_envs), again=True)
        return in_words(self._stages.present)

    def _with_other(self, task: str, num_envs: int) -> Stage:
        updates = self._ledger.updates
        return with_other_task(self._stages.present, self._config, task, num_envs, updates)

    def replay(self, kind: str, values: dict[str, Any]) -> None:
        """Let an entry of the journal take effect once more."""
        self._enter(kind, msgspec.convert(values["stage"], Stage), again=True)

    def _enter(self, kind: str, stage: Stage, *, again: bool = False) -> bool:
        """Begin another stage; return whether the policy goes on in it.

        `again` says that a later life comes to it without a new entry in the journal. Until an
        entry is there nothing has changed, and after it nothing can fail.
        """
        same_task = stage.branch == self._stages.present.branch
        ranges = self._adapter.state.ranges if same_task else {}
        branch, kept = self._stages.prepare(stage, ranges, wait=again)
        try:
            if not same_task:
                self._ledger.keep_checkpoint()
            if not again:
                self._ledger.journal(kind, {"stage": stage.as_json()})
        except BaseException:
            branch.close()
            raise
        self._stages.enter(stage, branch)
        self._ledger.clock.measure_anew()
        if not same_task:
            self._adapter.change_task()
            self._ledger.forget()
        return kept
