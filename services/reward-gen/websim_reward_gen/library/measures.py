"""The fitness of a goal: how far it was reached, over the nominal horizon, hard to game.

Measures are averages over the full horizon (an early end freezes them) or the best moment. Where
no measure says what the person wants, there is none: a number invented for it would mislead. What
of several wishes cannot be said by one number plays no part, and the description says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from websim_reward_gen.bodies import TaskBody
from websim_reward_gen.library.conditions import condition_of, turning
from websim_reward_gen.library.quantities import Measure, measure_wish, share
from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.wishes import Wish

_RANKS: tuple[frozenset[str], ...] = (
    frozenset({"move", "sideways", "roam"}),
    frozenset({"jump", "spin", "flip", "reach", "push"}),
    frozenset({"height", "stand", "tilt"}),
    frozenset({"still"}),
    frozenset({"balance"}),
    frozenset({"center"}),
)


@dataclass
class _Roles:
    """What part the wishes beside the main one play."""

    added: list[Measure] = field(default_factory=list)
    """Of the same unit: the mean of all counts."""
    conditions: list[tuple[str, Wish]] = field(default_factory=list)
    """Gains count while they hold."""
    factors: list[tuple[Measure, Wish]] = field(default_factory=list)
    """Gains count as far as they are reached."""
    left_out: list[str] = field(default_factory=list)
    """What no number says beside the main wish's."""


def measure_of(wishes: Sequence[Wish], robot: Robot) -> Measure | None:
    """Return the measure of some wishes that the task has fields for; None when they have none.

    One wish is the main one; the others are averaged with it, or are conditions under which it
    counts, or are named as left out.
    """
    for kinds in _RANKS:
        # Of two limits the upper one is a condition: standing still keeps it.
        for wish in sorted(wishes, key=lambda each: each.bound == "most"):
            if wish.kind in kinds and (measure := measure_wish(wish, robot)):
                return _combined(measure, _roles(wish, measure, wishes, robot))
    roles = _roles(None, None, wishes, robot)
    if not roles.conditions:
        return None
    both, words = _joined(roles)
    measure = share(both, f"share of a full episode during which '{words}' holds")
    return _without(measure, roles.left_out)


def own_fitness(wishes: Sequence[Wish], robot: Robot, task: TaskBody) -> Measure | None:
    """Return the task's own fitness where it is what the wishes ask for; no expression is in it."""
    own = task.fitness_description.lower()
    description = task.fitness_description or "the task's own fitness"
    measure = Measure("", "sum", task.fitness_unit, description)
    kinds = {wish.kind for wish in wishes if not wish.avoid}
    if "forward displacement" in own:
        main = next((wish for wish in wishes if _is_plain_forward(wish)), None)
    elif "distance from object" in own:
        main = _wanted(wishes, "push")
    elif "distance from fingertip" in own:
        main = _wanted(wishes, "reach")
    elif "is up" in own and kinds <= {"balance", "effort", "smooth"}:
        main = _wanted(wishes, "balance")
    elif "mean torso height" in own:
        main = _wanted(wishes, "stand")
    else:
        main = None
    if main is None:
        return None
    roles = _roles(main, measure_wish(main, robot), wishes, robot)
    if main.kind == "move" and _says_more(roles, robot):
        return None
    others = [wish.text for wish in wishes if wish is not main]
    return _without(measure, roles.left_out if main.kind == "move" else others)


def _is_plain_forward(wish: Wish) -> bool:
    return wish.kind == "move" and wish.sign > 0 and wish.target is None and not wish.avoid


def _wanted(wishes: Sequence[Wish], kind: str) -> Wish | None:
    wanted = (wish for wish in wishes if wish.kind == kind and wish.sign > 0 and not wish.avoid)
    return next((wish for wish in wanted if wish.target is None), None)


def _says_more(roles: _Roles, robot: Robot) -> bool:
    """Tell whether other wishes count that the task's own fitness does not know of."""
    # Where the task itself knows a fall, that freezes the displacement: no fall need be said.
    conditions = [
        w for _, w in roles.conditions if w.kind != "balance" or w.sign < 0 or not robot.alive
    ]
    return bool(roles.added or roles.factors or conditions)


def _roles(
    main: Wish | None, measure: Measure | None, wishes: Sequence[Wish], robot: Robot
) -> _Roles:
    roles = _Roles()
    for wish in wishes:
        if wish is main or (main and _is_opposite(wish, main)):
            continue
        own = measure_wish(wish, robot)
        if measure and not measure.gains:
            roles.left_out.append(wish.text)
        elif condition := condition_of(wish, robot, beside=main):
            roles.conditions.append((condition, wish))
        elif own and measure and own.adds_to(measure):
            roles.added.append(own)
        elif own and own.is_share:
            roles.factors.append((own, wish))
        elif condition := turning(wish, robot):
            roles.conditions.append((condition, wish))
        else:
            roles.left_out.append(wish.text)
    return roles


def _is_opposite(wish: Wish, main: Wish) -> bool:
    """Tell whether a wish asks not to do what the main one's measure pays nothing for anyway."""
    return wish.avoid and not wish.bound and wish.kind == main.kind and wish.sign != main.sign


def _combined(measure: Measure, roles: _Roles) -> Measure:
    """Return a measure to which other wishes have contributed their part."""
    gain, description, given = measure.expression, measure.description, []
    if roles.added:
        all_of = [measure, *roles.added]
        gain = f"({' + '.join(f'({each.expression})' for each in all_of)}) / {len(all_of)}"
        description = f"mean of {', and of '.join(each.description for each in all_of)}"
    if roles.factors or roles.conditions:
        given.append(f"gain = {gain}")
        gain = "gain"
    # What is lost counts whatever else is done: or rocking to and fro would gain.
    for factor, wish in roles.factors:
        given.append(
            f"gain = np.maximum(gain, 0.0) * ({factor.expression}) + np.minimum(gain, 0.0)"
        )
        description = f"{description}; gains count as far as '{wish.text}' is reached"
    if roles.conditions:
        both, words = _joined(roles)
        gain = f"np.where({both}, gain, np.minimum(gain, 0.0))"
        description = f"{description}; gains count only while '{words}' holds"
    combined = replace(measure, expression=gain, description=description, given=tuple(given))
    return _without(combined, roles.left_out)


def _joined(roles: _Roles) -> tuple[str, str]:
    """Return all conditions as one, in the language and in words."""
    both = " & ".join(f"({condition})" for condition, _ in roles.conditions)
    return both, " and ".join(wish.text for _, wish in roles.conditions)


def _without(measure: Measure, left_out: Sequence[str]) -> Measure:
    """Return the measure with a word on what plays no part in it."""
    words = [f"'{each}'" for each in dict.fromkeys(left_out)]
    if not words:
        return measure
    plays = "play" if len(words) > 1 else "plays"
    text = f"{measure.description}; {' and '.join(words)} {plays} no part in it"
    return replace(measure, description=text)
