"""What the language says to a reward that somebody types; nothing of it is run."""

from websim.programs import ProgramError, ProgramSchema, compile_program
from websim_dashboard.messages import CheckMessage, RewardCheck, TaskDetail


def check_reward(source: str, task: TaskDetail) -> RewardCheck:
    """Return the compiler's word on a reward program for a task."""
    schema = ProgramSchema({each.name: each.columns for each in task.fields}, task.action_dim)
    try:
        program = compile_program(source, schema)
    except ProgramError as error:
        messages = [
            CheckMessage(
                line=issue.line, column=issue.column, reason=issue.reason, message=issue.message
            )
            for issue in error.issues
        ]
        return RewardCheck(ok=False, messages=messages, components=[])
    return RewardCheck(ok=True, id=program.id, messages=[], components=list(program.components))
