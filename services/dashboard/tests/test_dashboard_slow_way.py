"""What travels where the way carries less than whole pictures; times are told, not waited for."""

from collections import deque
from dataclasses import dataclass

import pytest

from websim_dashboard.frame_size import (
    FIRST_BYTES,
    GROWTH,
    MIN_BYTES,
    SAMPLES,
    TARGET_S,
    FrameSize,
)
from websim_dashboard.turns import Turns
from websim_dashboard.window import Window


def turns_of(turns, seq, num_envs, most):
    """Take turns until all of a picture was sent; return the numbers of each turn's ends."""
    taken = []
    while not turns.is_through(seq):
        turn = turns.take(seq, num_envs, most)
        taken.append((turn.start, turn.stop))
    return taken


def test_a_picture_that_fits_is_sent_whole():
    assert turns_of(Turns(), seq=1, num_envs=10, most=10) == [(0, 10)]


def test_environments_take_turns_of_even_size():
    # 10 environments by 4 take 3 turns, of 4, 4 and what is left.
    assert turns_of(Turns(), seq=1, num_envs=10, most=4) == [(0, 4), (4, 8), (8, 10)]
    # By 9 they take 2 turns, of 5 each.
    assert turns_of(Turns(), seq=1, num_envs=10, most=9) == [(0, 5), (5, 10)]


def test_a_newer_picture_goes_on_with_those_who_have_waited_longest():
    turns = Turns()
    assert turns.take(1, 10, 4) == range(0, 4)
    assert turns.has_begun(1)
    assert not turns.is_through(1)
    assert turns_of(turns, seq=2, num_envs=10, most=4) == [(4, 8), (8, 10), (0, 4)]


def test_a_picture_ends_where_its_turns_began():
    turns = Turns()
    turns.take(1, 10, 4)
    # Environments 0 to 3 have this picture; of the rest all fit.
    assert turns.take(1, 10, 10) == range(4, 10)
    assert turns.is_through(1)


def test_where_all_fit_again_the_next_picture_is_whole():
    turns = Turns()
    turns.take(1, 10, 4)
    assert turns.take(2, 10, 10) == range(10)
    assert turns.is_through(2)


def test_a_picture_of_fewer_environments_begins_with_the_first():
    turns = Turns()
    turns.take(1, 10, 8)
    assert turns_of(turns, seq=2, num_envs=3, most=2) == [(0, 2), (2, 3)]


def test_where_not_one_environment_fits_one_is_sent():
    assert turns_of(Turns(), seq=1, num_envs=2, most=0) == [(0, 1), (1, 2)]


def confirm(size, num_bytes, *took_s):
    """Have frames of a size confirmed; return for how long each has queued."""
    return [size.note(num_bytes, each) for each in took_s]


def test_what_the_quickest_took_is_the_way_and_the_rest_a_queue():
    queued_s = confirm(FrameSize(), 5_000, 0.3, 0.2, 0.2, 0.5)
    assert queued_s == pytest.approx([0.0, 0.0, 0.0, 0.3])


def test_frames_that_do_not_queue_grow_however_long_the_way_is():
    size = FrameSize()
    assert size.max_bytes == FIRST_BYTES
    confirm(size, FIRST_BYTES, 0.3, 0.3)
    assert size.max_bytes == int(GROWTH * int(GROWTH * FIRST_BYTES))


def test_frames_that_were_small_anyway_do_not_let_larger_ones_through():
    size = FrameSize()
    confirm(size, FIRST_BYTES // 2, *[0.01] * 100)
    assert size.max_bytes == FIRST_BYTES


def test_frames_that_queue_one_and_all_shrink_by_how_long_they_do():
    size = FrameSize()
    while size.max_bytes < 40_000:
        confirm(size, size.max_bytes, 0.0)
    grown = size.max_bytes
    confirm(size, 40_000, *[2 * TARGET_S] * (SAMPLES - 1))
    assert size.max_bytes == grown
    # Now the last quick one is forgotten.
    confirm(size, 40_000, 3 * TARGET_S)
    assert size.max_bytes == 20_000


def test_frames_shrink_to_a_few_environments_at_least():
    size = FrameSize()
    confirm(size, 100, 0.0)
    confirm(size, FIRST_BYTES, *[10.0] * SAMPLES)
    assert size.max_bytes == MIN_BYTES


def test_a_page_that_is_busy_now_and_then_is_no_slow_way():
    size = FrameSize()
    confirm(size, FIRST_BYTES // 2, 0.01)
    for _ in range(10):
        confirm(size, FIRST_BYTES, *[1.0] * (SAMPLES - 1), 0.01 + 0.9 * TARGET_S)
    assert size.max_bytes == FIRST_BYTES


def test_frames_of_a_few_bytes_say_nothing():
    size = FrameSize()
    confirm(size, 100, 0.01, *[1.0] * 100)
    assert size.max_bytes == FIRST_BYTES


@dataclass
class Arrived:
    sent_s: float
    at_s: float
    envs: range


TICK_S = 0.033
"""A page draws, and confirms, so often."""


def travel(bytes_per_s, delay_s, env_bytes, num_envs=1024, for_s=10.0):
    """Let a page watch pictures that come 30 times a second; return the frames that arrive.

    The way carries so many bytes a second, one frame after the other, and takes a while to and fro.
    """
    window, turns = Window(), Turns()
    on_way, arrived = deque(), []
    free_s = acked_s = 0.0
    for ms in range(int(for_s * 1000)):
        now_s = ms / 1000
        seq = 1 + ms // 33
        if now_s - acked_s >= TICK_S:
            acked_s = now_s
            while on_way and on_way[0].at_s + delay_s <= now_s:
                arrived.append(on_way.popleft())
            window.ack(len(arrived) - 1, now_s)
        if turns.is_through(seq) or window.opens_in(now_s) > 0.0:
            continue
        envs = turns.take(seq, num_envs, window.frame_bytes // env_bytes)
        num_bytes = len(envs) * env_bytes
        free_s = max(free_s, now_s) + num_bytes / bytes_per_s
        window.note_sent(len(arrived) + len(on_way), num_bytes, now_s)
        on_way.append(Arrived(now_s, free_s + delay_s, envs))
    return arrived


def longest_wait_s(arrived, num_envs=1024):
    """Return the longest time between two pictures of an environment."""
    last_s = {}
    longest = 0.0
    for frame in arrived:
        for env in frame.envs:
            longest = max(longest, frame.at_s - last_s.get(env, frame.at_s))
            last_s[env] = frame.at_s
    assert len(last_s) == num_envs
    return longest


ANT_BYTES, HUMANOID_BYTES = 65, 105
"""Of one environment in a picture."""


@pytest.mark.parametrize("env_bytes", [ANT_BYTES, HUMANOID_BYTES])
def test_over_a_megabit_no_figure_is_old_and_all_have_their_turn(env_bytes):
    arrived = travel(125_000, 0.02, env_bytes)
    settled = [each for each in arrived if each.sent_s > 2.5]
    assert max(each.at_s - each.sent_s for each in settled) < 0.35
    # The way takes 0.53 s for all Ants and 0.86 s for all Humanoids, and stands still for little.
    whole_s = 1024 * env_bytes / 125_000
    assert whole_s < longest_wait_s(settled) < 1.3 * whole_s


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.15, 0.3])
def test_over_a_fast_way_nobody_waits_for_more_than_its_length(delay_s):
    arrived = travel(4_000_000, delay_s, ANT_BYTES)
    settled = [each for each in arrived if each.sent_s > 5.0]
    assert longest_wait_s(settled) < 0.1 + 2 * delay_s


def test_over_a_fast_way_pictures_are_whole():
    arrived = travel(4_000_000, 0.0, ANT_BYTES)
    settled = [each for each in arrived if each.sent_s > 5.0]
    assert all(each.envs == range(1024) for each in settled)
