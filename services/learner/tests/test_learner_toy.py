"""The toy that stands in for a fleet turns its knob as a fleet does."""

import numpy as np
import pytest

from websim.client import FleetError


def test_the_toys_knob_scales_its_force_from_the_next_episode_on(make_client):
    client = make_client(3, shard_envs=3)
    client.send_reset(0)
    client.recv()
    client.send_knobs(0, {"force": 0.5})
    assert client.recv().kind == "knobs"

    def gained():
        before = np.array([client.get_state(env).qvel[0] for env in range(3)])
        client.send(0, np.ones((3, 1), np.float32))
        client.recv()
        return [client.get_state(env).qvel[0] for env in range(3)] - before

    assert gained() == pytest.approx([0.1] * 3)
    client.send_reset(0)
    client.recv()
    assert gained() == pytest.approx([0.05] * 3)
    snapshot = client.snapshot(0)
    client.send_knobs(0, {"force": (0.0, 2.0)})
    client.recv()
    client.send_restore(0, snapshot)
    client.recv()
    client.send_reset(0)
    client.recv()
    assert gained() == pytest.approx([0.05] * 3), "its range is part of its state"


def test_the_toy_refuses_what_a_fleet_refuses(make_client):
    with pytest.raises(FleetError, match="is no range of the knob force"):
        make_client(3).send_knobs(0, {"force": 3.0})
