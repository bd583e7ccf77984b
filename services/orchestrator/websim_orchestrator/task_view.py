"""Tasks as the HTTP API gives them to pages: what workers have by name, and what a session's is."""

import msgspec
from pydantic import BaseModel

from websim.wire.messages import TaskInfo
from websim_orchestrator.brain import Brain


class TaskSummaryView(BaseModel):
    """A task that can be opened by name."""

    name: str
    description: str


class FieldView(BaseModel):
    """What a program may read as `state.<name>`."""

    name: str
    columns: int
    """0: one number per environment."""
    unit: str
    description: str


class KnobView(BaseModel):
    """A physical parameter that environments may draw anew for each episode."""

    name: str
    description: str
    unit: str
    nominal: float
    low: float
    high: float
    hard_low: float
    hard_high: float


class TaskView(BaseModel):
    """The task of a session."""

    id: str
    description: str
    fields: list[FieldView]
    action_dim: int
    action_names: list[str]
    reward_source: str
    reward_components: list[str]
    fitness_unit: str
    fitness_description: str
    has_success: bool
    dt_s: float
    """Simulated time of one env step."""
    max_episode_steps: int
    knobs: list[KnobView]


def view_tasks(brain: Brain) -> list[TaskSummaryView]:
    """Return the tasks that all workers have: an environment may be placed on any of them."""
    each_has = [
        {task.name: task.description for task in worker.tasks}
        for worker in brain.fleet.workers.values()
    ]
    if not each_has:
        return []
    names = set.intersection(*map(set, each_has))
    return [TaskSummaryView(name=n, description=each_has[0][n]) for n in sorted(names)]


def view_task(brain: Brain, session: int) -> TaskView:
    """Return the task of a session.

    Raises:
        LookupError: there is no such session, or no worker has said yet what its task is.
    """
    record = brain.fleet.sessions.get(session)
    if record is None:
        raise LookupError(f"there is no session {session}")
    if record.task is None:
        raise LookupError(f"session {session} is still being opened")
    return _view(record.task)


def _view(task: TaskInfo) -> TaskView:
    return TaskView(
        id=task.id,
        description=task.description,
        fields=[
            FieldView(name=f.name, columns=f.columns, unit=f.unit, description=f.description)
            for f in task.fields
        ],
        action_dim=task.action_dim,
        action_names=list(task.action_names),
        reward_source=task.reward_source,
        reward_components=list(task.reward_components),
        fitness_unit=task.fitness_unit,
        fitness_description=task.fitness_description,
        has_success=task.has_success,
        dt_s=task.dt_s,
        max_episode_steps=task.max_episode_steps,
        knobs=[KnobView(**msgspec.structs.asdict(knob)) for knob in task.knobs],
    )
