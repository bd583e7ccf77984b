"""Registers the bundled tasks with Gymnasium: gymnasium.make_vec("websim/HalfCheetah-v5", ...).

`import websim` does it; Gymnasium imports websim by itself for "websim:websim/HalfCheetah-v5".
"""

import gymnasium

BUNDLED_TASKS = (
    "Ant-v5",
    "AntFast-v0",
    "HalfCheetah-v5",
    "Hopper-v5",
    "Humanoid-v5",
    "HumanoidFast-v0",
    "HumanoidStandup-v5",
    "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5",
    "NLinkSwimmer-v0",
    "Pusher-v5",
    "Reacher-v5",
    "Swimmer-v5",
    "Walker2d-v5",
)
"""The tasks every sim worker brings along; a test holds them against the worker's own list."""


def register_all() -> None:
    """Register every bundled task under the namespace websim."""
    for task in BUNDLED_TASKS:
        gymnasium.register(
            id=f"websim/{task}",
            vector_entry_point="websim.client.vector_env:make_vec",
            kwargs={"task": task},
        )
