"""The public client: environments of a fleet for Gymnasium users and learners."""

from websim.client.errors import FleetError, FleetRefused, FleetTimeout, FleetUnavailable
from websim.client.results import EnvironmentState, ShardResult
from websim.client.session import FleetSession, Socket, wait_for_any
from websim.client.vector_env import DEFAULT_NUM_ENVS, FleetVectorEnv, make_vec

__all__ = [
    "DEFAULT_NUM_ENVS",
    "EnvironmentState",
    "FleetError",
    "FleetRefused",
    "FleetSession",
    "FleetTimeout",
    "FleetUnavailable",
    "FleetVectorEnv",
    "ShardResult",
    "Socket",
    "make_vec",
    "wait_for_any",
]
