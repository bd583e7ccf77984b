"""The library as a provider: always there, costs nothing, the same answer to the same question."""

from dataclasses import replace

from websim.programs import ProgramError
from websim_reward_gen.answers import ProviderKind
from websim_reward_gen.bodies import GoalRequest, RewardRequest, TaskBody
from websim_reward_gen.library.compose import Composition, compose, split_possible
from websim_reward_gen.library.diagnosis import diagnose
from websim_reward_gen.library.measures import measure_of, own_fitness
from websim_reward_gen.library.quantities import Measure
from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.sentence import Understanding, understand
from websim_reward_gen.library.vocabulary import STOP_WORDS
from websim_reward_gen.library.wishes import Wish
from websim_reward_gen.library.words import tokenise
from websim_reward_gen.proposal import Ask, Draft, GoalAsk, GoalProposal, Proposal
from websim_reward_gen.weights import read_weights

MODEL = "library-8"
"""Changes with what the library answers."""

_PURPOSES = (
    Wish("push", "push"),
    Wish("reach", "reach"),
    Wish("balance", "balance"),
    Wish("stand", "stand up"),
    Wish("move", "forward"),
)
"""What a task may be for: the first that its own fitness measures."""


class LibraryProvider:
    """Predefined rewards and templates, matched to words and fields."""

    name: ProviderKind = "library"
    corrects = False

    async def propose(self, ask: Ask) -> Proposal:
        """Return one draft per lens; none when nothing of the description can be expressed."""
        request = ask.request
        composition, understanding = compose_request(request.task, request.description)
        missing = map(understanding.as_typed, composition.missing)
        not_understood = (*understanding.not_understood, *missing)
        if not composition.drafts:
            return Proposal(
                "nothing of the description can be put into terms of this task's fields; "
                "say it in other words, or write a reward",
                "none",
                (),
                not_understood=not_understood,
                model=MODEL,
            )
        weights = _weights(request)
        diagnosis = diagnose(request.feedback, weights, request.knobs)
        drafts = composition.drafts if diagnosis.action in ("reweight", "new_reward") else ()
        if diagnosis.weights:
            hypothesis = f"Smallest change first: {diagnosis.text}."
            drafts = (Draft("reweighted", hypothesis, "", diagnosis.weights), *drafts)
        return Proposal(
            diagnosis.text,
            diagnosis.action,
            drafts,
            diagnosis.env_changes,
            composition.understood,
            not_understood,
            MODEL,
        )

    async def measure(self, ask: GoalAsk) -> GoalProposal:
        """Return how a goal is measured; honestly not at all where no measure says it."""
        measure, seen = measure_goal(ask.request)
        understood = tuple(wish.text for wish in seen.wishes)
        if measure is None:
            words = ", ".join(f"'{each}'" for each in (seen.not_understood or understood)[:4])
            proposal = GoalProposal(
                "none",
                f"no measure expresses {words or 'this goal'}; candidates are judged by a person, "
                "side by side, or write a fitness program",
            )
        elif measure.is_the_tasks:
            proposal = GoalProposal("task", measure.description, unit=measure.unit)
        else:
            proposal = GoalProposal(
                "program",
                measure.description,
                measure.program,
                measure.accumulate,
                measure.per_horizon,
                measure.unit,
            )
        return replace(proposal, understood=understood, not_understood=seen.not_understood)


def compose_request(task: TaskBody, description: str) -> tuple[Composition, Understanding]:
    """Return the drafts for a description, and what was understood of it."""
    understanding = _understand(task, description)
    return compose(understanding.wishes, Robot.of(task)), understanding


def measure_goal(request: GoalRequest) -> tuple[Measure | None, Understanding]:
    """Return how a goal is measured: a program, the task's own fitness, or None for not at all."""
    task, robot = request.task, Robot.of(request.task)
    understanding = _understand(task, request.description)
    possible, missing = split_possible(understanding.wishes, robot)
    left_out = (*understanding.not_understood, *map(understanding.as_typed, missing))
    seen = Understanding(tuple(possible), left_out, understanding.style)
    if seen.style:
        return None, seen
    return own_fitness(possible, robot, task) or measure_of(possible, robot), seen


def _understand(task: TaskBody, description: str) -> Understanding:
    robot = Robot.of(task)
    understanding = understand(
        description, familiar=task.description, goal_of_object=robot.push_distance is not None
    )
    own = {token.text for token in tokenise(task.description)} - STOP_WORDS
    spoken_of = any(token.text in own and token.text.isalpha() for token in tokenise(description))
    if understanding.wishes or understanding.not_understood or not spoken_of:
        return understanding
    # Nothing but the task's own words: what the task is for.
    for wish in _PURPOSES:
        if own_fitness([wish], robot, task) is not None:
            return Understanding((wish,), ())
    return understanding


def _weights(request: RewardRequest) -> dict[str, float]:
    try:
        return read_weights(request.current_program or "")
    except ProgramError:
        return {}
