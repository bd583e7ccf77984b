"""Flow control: what one page is sent, however slow it is; times are told, not waited for."""

import asyncio
import collections
import itertools
import struct

import pytest
from dashboard_samples import make_figures, make_pose

from websim.wire.telemetry import figures_topic, pose_topic
from websim_dashboard import viewer as viewer_module
from websim_dashboard.frames import FiguresBoard
from websim_dashboard.hub import Hub
from websim_dashboard.messages import FiguresWish, PoseWish, Subscribe
from websim_dashboard.viewer import MAX_TEXTS, Frame, Sent, TooSlow, Viewer
from websim_dashboard.window import (
    ACK_TIMEOUT_S,
    FIRST_IN_FLIGHT,
    MAX_IN_FLIGHT,
    SLOW_ACK_S,
    Window,
)

FIGURES = ("figures", 7, 0)
POSE = ("pose", 7, 5)


def make_sent():
    return Sent({"figures": 0, "pose": 0}, {"figures": 0, "pose": 0})


def make_viewer(frames):
    return Viewer("view", frames, make_sent(), itertools.count(1000).__next__)


def send_all(window, seq, now_s):
    """Send as many frames as may be; return how many."""
    count = 0
    while window.opens_in(now_s) == 0.0:
        window.note_sent(next(seq), 100, now_s)
        count += 1
    return count


def test_fast_acks_open_the_window_and_slow_ones_close_it_to_one():
    window, seq, now_s = Window(), itertools.count(), 0.0
    in_flight = [send_all(window, seq, now_s)]
    for delay_s in [0.01] * 5 + [SLOW_ACK_S + 0.1] * 5:
        now_s += delay_s
        window.ack(10**6, now_s)
        in_flight.append(send_all(window, seq, now_s))
    assert in_flight[0] == FIRST_IN_FLIGHT
    assert in_flight[5] == MAX_IN_FLIGHT
    assert in_flight[-1] == 1
    assert max(in_flight) == MAX_IN_FLIGHT


def test_an_ack_confirms_what_was_made_before_in_whatever_order_it_was_sent():
    window = Window()
    window.note_sent(5, 100, 0.0)
    window.note_sent(4, 100, 0.0)
    window.ack(4, 0.1)
    assert window.opens_in(0.1) == 0.0
    window.note_sent(6, 100, 0.1)
    window.note_sent(7, 100, 0.1)
    # 5, 6 and 7 are on their way, and three may be after one quick confirmation.
    assert window.opens_in(0.1) == pytest.approx(ACK_TIMEOUT_S - 0.1)
    window.ack(5, 0.2)
    assert window.opens_in(0.2) == 0.0


def test_a_lost_ack_holds_frames_back_for_two_seconds_only():
    window = Window()
    send_all(window, itertools.count(), 0.0)
    assert window.opens_in(0.5) == pytest.approx(ACK_TIMEOUT_S - 0.5)
    assert window.opens_in(ACK_TIMEOUT_S) == 0.0
    assert window.lost == FIRST_IN_FLIGHT


class SlowPage:
    """Takes what it is sent; acks when told."""

    def __init__(self):
        self.said = []
        self.frames = []

    async def send_text(self, data):
        self.said.append(data)

    async def send_bytes(self, data):
        self.frames.append(data)


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def sending(viewer, page):
    task = asyncio.create_task(viewer.send(page))
    await settle()
    return task


def test_a_page_that_does_not_ack_gets_the_newest_afterwards_and_no_backlog():
    async def scenario():
        frames = {}
        viewer, page = make_viewer(frames), SlowPage()
        viewer.subscribe(Subscribe(pose=PoseWish(session=7, env_id=5)))
        task = await sending(viewer, page)
        for seq in range(1, 101):
            frames[POSE] = Frame(seq, b"%d" % seq)
            viewer.notify()
            await settle()
        assert page.frames == [b"1", b"2"]
        viewer.ack(2)
        await settle()
        assert page.frames == [b"1", b"2", b"100"]
        viewer.ack(100)
        await settle()
        assert page.frames == [b"1", b"2", b"100"]
        task.cancel()

    asyncio.run(scenario())


def test_figures_come_no_faster_than_wanted(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(viewer_module.time, "monotonic", lambda: now[0])

    async def scenario():
        frames = {}
        viewer, page = make_viewer(frames), SlowPage()
        viewer.subscribe(Subscribe(figures=FiguresWish(session=7, max_hz=10.0)))
        waits = []
        for seq in range(1, 61):
            frames[FIGURES] = Frame(seq, b"x")
            waits.append(await viewer._send_frame(page))
            viewer.ack(seq)
            now[0] += 1.0 / 60.0
        return page.frames, waits

    frames, waits = asyncio.run(scenario())
    # One second at 10 Hz.
    assert len(frames) in (10, 11)
    assert max(waits) <= 0.1


def test_a_picture_larger_than_a_frame_comes_in_parts_until_all_of_it_has_come():
    async def scenario():
        board = FiguresBoard()
        board.put(make_figures(n=1024, k=24))
        frames = {FIGURES: Frame(1, board.encode(1, 0.0), 1024)}
        viewer, page = make_viewer(frames), SlowPage()
        viewer.subscribe(Subscribe(figures=FiguresWish(session=7)))
        task = await sending(viewer, page)
        parts = []
        for _ in range(100):
            await asyncio.sleep(0.01)
            parts += page.frames
            page.frames.clear()
            viewer.ack(10**6)
        task.cancel()
        return [struct.unpack_from("<BBBBIdIIHHfII", part) for part in parts]

    heads = asyncio.run(scenario())
    seqs = [head[4] for head in heads]
    assert seqs == [*range(1000, 1000 + len(heads))]
    assert {head[7] for head in heads} == {1024}
    ranges = [range(head[11], head[11] + head[12]) for head in heads]
    assert len(ranges) > 1
    assert [env for envs in ranges for env in envs] == [*range(1024)]


def test_several_sessions_figures_take_turns():
    async def scenario():
        other = ("figures", 8, 0)
        frames = {FIGURES: Frame(1, b"seven"), other: Frame(2, b"eight")}
        viewer, page = make_viewer(frames), SlowPage()
        wishes = [FiguresWish(session=7), FiguresWish(session=8)]
        viewer.subscribe(Subscribe(figures=wishes))
        task = await sending(viewer, page)
        assert sorted(page.frames) == [b"eight", b"seven"]
        task.cancel()

    asyncio.run(scenario())


def test_of_many_sessions_none_is_left_behind(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(viewer_module.time, "monotonic", lambda: now[0])
    sessions = range(8)

    async def scenario():
        frames = {}
        viewer, page = make_viewer(frames), SlowPage()
        viewer.subscribe(Subscribe(figures=[FiguresWish(session=each) for each in sessions]))
        seq = itertools.count(1)
        # A second in which every session has a new frame at each turn, and two travel at a time.
        for _ in range(30):
            for session in sessions:
                frames["figures", session, 0] = Frame(next(seq), b"%d" % session)
            await viewer._send_frame(page)
            await viewer._send_frame(page)
            viewer.ack(next(seq))
            now[0] += 1.0 / 30.0
        return page.frames

    sent = collections.Counter(asyncio.run(scenario()))
    assert set(sent) == {b"%d" % session for session in sessions}
    # 60 frames among 8.
    assert set(sent.values()) <= {7, 8}


def test_nothing_unwanted_is_sent():
    async def scenario():
        frames = {FIGURES: Frame(1, b"f"), POSE: Frame(2, b"p")}
        viewer, page = make_viewer(frames), SlowPage()
        task = await sending(viewer, page)
        assert page.frames == []
        viewer.subscribe(Subscribe(figures=FiguresWish(session=7)))
        await settle()
        assert page.frames == [b"f"]
        viewer.subscribe(Subscribe())
        frames[FIGURES] = Frame(3, b"g")
        viewer.notify()
        await settle()
        assert page.frames == [b"f"]
        task.cancel()

    asyncio.run(scenario())


def test_the_status_that_waits_is_replaced_and_events_are_not():
    async def scenario():
        viewer, page = make_viewer({}), SlowPage()
        for number in range(5):
            viewer.say(f"status {number}", "status")
            viewer.say(f"event {number}")
        task = await sending(viewer, page)
        assert page.said == [*(f"event {n}" for n in range(4)), "status 4", "event 4"]
        task.cancel()

    asyncio.run(scenario())


def test_a_page_that_is_too_far_behind_has_to_come_again():
    async def scenario():
        viewer = make_viewer({})
        for number in range(MAX_TEXTS + 1):
            viewer.say(str(number))
        with pytest.raises(TooSlow):
            await viewer.send(SlowPage())

    asyncio.run(scenario())


def test_upstream_is_subscribed_to_just_what_somebody_looks_at():
    async def scenario():
        watched = []
        hub = Hub(watched.append)
        first, second = hub.join("view"), hub.join("control")
        first.subscribe(Subscribe(figures=FiguresWish(session=7)))
        second.subscribe(
            Subscribe(figures=FiguresWish(session=7), pose=PoseWish(session=7, env_id=5))
        )
        assert watched[-1] == {figures_topic(7), pose_topic(7, 5)}
        hub.leave(second)
        assert watched[-1] == {figures_topic(7)}
        first.subscribe(Subscribe())
        assert watched[-1] == set()

    asyncio.run(scenario())


def test_a_picture_in_which_nothing_moves_is_sent_once():
    async def scenario():
        hub = Hub(lambda topics: None)
        viewer, page = hub.join("view"), SlowPage()
        viewer.subscribe(Subscribe(pose=PoseWish(session=7, env_id=5)))
        task = await sending(viewer, page)
        for g in (2, 2, 2, 3):
            hub.receive({b"p": make_pose(g=g)})
            await settle()
            viewer.ack(10**6)
        assert [len(frame) for frame in page.frames] == [40 + 2 * 28 + 16, 40 + 3 * 28 + 16]
        late, other = hub.join("view"), SlowPage()
        late.subscribe(Subscribe(pose=PoseWish(session=7, env_id=5)))
        other_task = await sending(late, other)
        assert other.frames == page.frames[-1:]
        task.cancel()
        other_task.cancel()

    asyncio.run(scenario())


def test_one_frame_is_made_for_all_who_watch():
    async def scenario():
        hub = Hub(lambda topics: None)
        viewers = [hub.join("view") for _ in range(3)]
        pages = [SlowPage() for _ in viewers]
        for viewer in viewers:
            viewer.subscribe(
                Subscribe(figures=FiguresWish(session=7), pose=PoseWish(session=7, env_id=5))
            )
        tasks = [await sending(v, p) for v, p in zip(viewers, pages, strict=True)]
        hub.receive({b"f": make_figures(), b"p": make_pose(reward=1.0)})
        hub.receive({b"g": make_figures(session=8)})
        await asyncio.sleep(0.1)
        assert [len(page.frames) for page in pages] == [2, 2, 2]
        assert all(a is b for a, b in zip(pages[0].frames, pages[2].frames, strict=True))
        assert hub.sent.frames == {"figures": 3, "pose": 3}
        assert hub.rewards[POSE] == (1.0, {})
        for task in tasks:
            task.cancel()

    asyncio.run(scenario())
