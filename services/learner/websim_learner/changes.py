"""Other envs, another task: what a person may change about what a run trains on."""

from typing import Any

import msgspec

from websim_learner.adaptation.adapter import Adapter
from websim_learner.ledger import Ledger
from websim_learner.run_dir import RunConfig
from websim_learner.stage import Stage, with_envs, with_task
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

    def replay(self, kind: str, values: dict[str, Any]) -> None:
        """Let an entry of the journal take effect once more."""
        self._enter(kind, msgspec.convert(values["stage"], Stage), again=True)

    def _enter(self, kind: str, stage: Stage, *, again: bool = False) -> bool:
        """Begin another stage; return whether the policy goes on in it.

        Until the entry is in the journal nothing has changed, and after it nothing can fail.
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
            self._ledger.reporter.forget()
        return kept
