"""The bench of exactness's costs: it runs, compares what it says, and refuses in one line."""

import json

import bench_exactness
import pytest
import run
from interleave import Block

from websim.service.errors import UserError


def make_block(subject, round_index, env_steps):
    return Block(
        subject=subject,
        round=round_index,
        attempt=0,
        env_steps=env_steps,
        seconds=1.0,
        all_env_steps=env_steps,
        cpu_s=2.0,
        foreign_share=0.0,
    )


def test_a_cost_is_what_is_lost_within_a_round():
    blocks = [
        *(make_block("base", number, steps) for number, steps in enumerate((100, 200, 400))),
        *(make_block("exact", number, steps) for number, steps in enumerate((98, 190, 396))),
    ]
    cost = bench_exactness._cost("part", "exact", "base", blocks)
    assert cost.throughput.median == pytest.approx(0.02)
    assert (cost.throughput.low, cost.throughput.high) == pytest.approx((0.01, 0.05))
    assert cost.cpu == pytest.approx(1 - 684 / 700)


def test_a_whole_bench_of_exactness_writes_its_costs(tmp_path, capsys):
    argv = ["exactness", "--task", "InvertedPendulum-v5", "--num-envs", "64", "--workers", "1"]
    argv += ["--intervals", "64", "--rounds", "1", "--block-s", "0.05", "--out", str(tmp_path)]
    assert run.main(argv) == 0
    [path] = tmp_path.glob("exactness-*.json")
    figures = json.loads(path.read_text())
    parts = [cost["part"] for cost in figures["costs"]]
    assert parts == ["snapshots every 64", "fixed tile", "order"]
    assert len({block["subject"] for block in figures["blocks"]}) == 6
    assert "together, as set" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--rounds", "--intervals", "--num-envs"])
def test_nothing_to_measure_is_refused(flag):
    with pytest.raises(UserError, match=flag):
        bench_exactness.main([flag, "0"])
