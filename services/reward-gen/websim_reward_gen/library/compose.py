"""Programs from wishes: one per lens, so that candidates differ in kind and not in luck."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from websim_reward_gen.library.columns import Missing, Term
from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.terms import effort_term, smooth_term, terms_of
from websim_reward_gen.library.wishes import Wish
from websim_reward_gen.proposal import Draft


@dataclass(frozen=True)
class Lens:
    """One way to shape a reward."""

    name: str
    hypothesis: str
    expected_failure: str
    effort: float = 0.1
    smooth: float = 0.0
    alive: float = 1.0
    main: float = 1.0
    """Factor of the weights of the wishes' own terms."""
    bounded: bool = False
    gated: bool = False
    """Pay for gains of the main terms only as far as the robot is upright."""


LENSES: tuple[Lens, ...] = (
    Lens(
        "direct",
        "The plain quantity gives the clearest gradient; a little effort cost keeps actions small.",
        "One term may dwarf the others once it is learned.",
    ),
    Lens(
        "bounded",
        "Saturating terms keep every wish worth pursuing, and the value function calm.",
        "Beyond the saturation there is nothing more to gain.",
        bounded=True,
        main=2.0,
    ),
    Lens(
        "smooth",
        "Costs on effort and on changes of the action give a calmer gait that falls less often.",
        "If the costs dominate, doing nothing pays best.",
        effort=0.3,
        smooth=0.1,
    ),
    Lens(
        "survive",
        "Staying alive first: longer episodes bring the experience that the main term needs.",
        "A robot may be content with standing.",
        alive=3.0,
    ),
    Lens(
        "bold",
        "A stronger main term and almost no costs help exploration out of a standstill.",
        "The gait may be wild.",
        effort=0.02,
        main=2.0,
        alive=0.5,
    ),
    Lens(
        "upright",
        "Progress counts only while the robot is upright, which rules out diving and sliding.",
        "Where the wish needs another posture, the gate works against it.",
        gated=True,
    ),
    Lens(
        "careful",
        "Bounded terms with costs on effort and jerk: slow to exploit, hard to game.",
        "Slow progress.",
        effort=0.3,
        smooth=0.2,
        alive=2.0,
        bounded=True,
    ),
    Lens(
        "frugal",
        "A high price of effort makes the most efficient way of doing it the best one.",
        "Doing nothing may pay best.",
        effort=1.0,
    ),
)


@dataclass(frozen=True)
class Composition:
    """What wishes became."""

    drafts: tuple[Draft, ...]
    understood: tuple[str, ...]
    missing: tuple[str, ...]
    """Wishes that the task has no field for, each with the reason."""


def compose(wishes: Sequence[Wish], robot: Robot) -> Composition:
    """Return one draft per lens, without repetitions; none when no wish can be put into terms."""
    possible, missing = split_possible(wishes, robot)
    if not possible:
        return Composition((), (), tuple(missing))
    programs: dict[str, Draft] = {}
    for lens in LENSES:
        terms = _terms(possible, robot, lens)
        program = write_program(terms)
        purpose = ", ".join(dict.fromkeys(term.purpose for term in terms if term.main))
        draft = Draft(
            lens.name, f"{lens.hypothesis} Wanted: {purpose}.", program, {}, lens.expected_failure
        )
        programs.setdefault(program, draft)
    return Composition(
        tuple(programs.values()), tuple(wish.text for wish in possible), tuple(missing)
    )


def split_possible(wishes: Sequence[Wish], robot: Robot) -> tuple[list[Wish], list[str]]:
    """Return the wishes that the task has fields for, and the others with what is missing."""
    possible, missing = [], []
    for wish in wishes:
        try:
            terms_of(wish, robot)
        except Missing as reason:
            missing.append(f"{wish.text} ({reason})")
        else:
            possible.append(wish)
    return possible, missing


def _terms(wishes: Sequence[Wish], robot: Robot, lens: Lens) -> list[Term]:
    terms = [
        replace(term, weight=term.weight * (lens.main if term.main else 1.0))
        for wish in wishes
        for term in terms_of(wish, robot, bounded=lens.bounded)
    ]
    kinds = {wish.kind for wish in wishes}
    # Some wishes need states that the task calls unhealthy; an alive bonus would forbid them.
    healthy = not any(_needs_another_posture(wish) for wish in wishes)
    if lens.gated and robot.upright and healthy:
        gate = f"np.clip({robot.upright}, 0.0, 1.0)"
        terms = [
            # What it loses counts in any posture: or falling over would spare it the loss.
            replace(
                term,
                expression=f"np.maximum({term.expression}, 0.0) * {gate}"
                f" + np.minimum({term.expression}, 0.0)",
            )
            if term.main and term.name not in ("upright", "alive")
            else term
            for term in terms
        ]
    if robot.alive and healthy:
        terms.append(Term("alive", robot.alive, lens.alive, "stay healthy", main=False))
    if "effort" not in kinds and lens.effort:
        terms.append(effort_term(robot, lens.effort))
    if "smooth" not in kinds and lens.smooth:
        terms.append(smooth_term(lens.smooth))
    return _named(terms)


def _needs_another_posture(wish: Wish) -> bool:
    if wish.avoid:
        return False
    if wish.kind == "tilt":
        return wish.target != 0.0 and wish.bound != "most"
    low = wish.kind in ("height", "balance") and wish.sign < 0 and not wish.bound
    return low or wish.kind == "flip"


def _named(terms: Sequence[Term]) -> list[Term]:
    """Return the terms under names of their own: forward at 2 m/s is not left at 1 m/s."""
    named: dict[str, Term] = {}
    for term in terms:
        name, number = term.name, 1
        while name in named and named[name].expression != term.expression:
            number += 1
            name = f"{term.name}_{number}"
        # What merely accompanies gives way to a wish for the same.
        if number > 1 and not term.main:
            continue
        if name not in named or term.weight > named[name].weight:
            named[name] = replace(term, name=name)
    return list(named.values())


def write_program(terms: Sequence[Term]) -> str:
    """Return the text of a reward that is the weighted sum of some terms."""
    lines = ["def reward(state, action):"]
    lines += [f"    {term.name}_weight = {term.weight:.6g}" for term in terms]
    lines += [f"    {term.name} = {term.name}_weight * ({term.expression})" for term in terms]
    lines.append(f"    total = {' + '.join(term.name for term in terms)}")
    parts = ", ".join(f'"{term.name}": {term.name}' for term in terms)
    lines.append(f"    return total, {{{parts}}}")
    return "\n".join(lines) + "\n"
