"""What training waits for most, in one sentence; pure."""

from collections.abc import Sequence

from websim_dashboard.messages import TimeSplit, Worker

MOST = 0.5
"""From this share on, one thing is what training waits for."""

CALLED = {"inference": "policy", "update": "learning"}
"""Parts of the time whose names on the page are others."""

BUSY = 0.8
"""A fleet whose workers step for this part of the waiting time has no more to give."""


def describe_bottleneck(split: TimeSplit, workers: Sequence[Worker], busy: float | None) -> str:
    """Return the sentence; empty while nothing is known.

    Args:
        split: what the learner's time went to.
        workers: the fleet.
        busy: part of the last seconds that the workers were stepping, over all; None if unknown.
    """
    shares = split.model_dump()
    largest = max(shares, key=lambda name: shares[name])
    share = shares[largest]
    if share == 0.0:
        return ""
    percent = f"{share:.0%}"
    if share < MOST:
        parts = ", ".join(
            f"{CALLED.get(name, name)} {part:.0%}" for name, part in shares.items() if part >= 0.01
        )
        return f"Nothing stands out: the time goes to {parts}."
    match largest:
        case "physics":
            one = len(workers) == 1
            count = f"{len(workers)} sim worker{'' if one else 's'}"
            if busy is not None and busy < BUSY:
                return (
                    f"Waiting for physics takes {percent} of the time although {count} "
                    f"step{'s' if one else ''} only {busy:.0%} of it: processor cores are short, "
                    "or shards too few."
                )
            return f"Physics takes {percent} of the time: more than {count} would help."
        case "update":
            return f"Learning takes {percent} of the time: more workers would not help."
        case "inference":
            return f"Choosing actions takes {percent} of the time: more workers would not help."
        case _:
            return (
                f"Evaluation takes {percent} of the time: a larger "
                "WEBSIM_LEARNER_EVAL_EVERY_STEPS, set before a run begins, makes it less often."
            )
