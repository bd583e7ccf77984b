"""The picture moves evenly: what lies between two frames is drawn as well. Frames are made here."""

import struct
from dataclasses import dataclass, field

import numpy as np
import pytest
from live_page import drawn, get, wait_for
from playwright.sync_api import Page, WebSocketRoute

from websim_dashboard.binary import FIGURES, HEADER, MAGIC, VERSION

pytestmark = pytest.mark.timeout(120)

BETWEEN_MS = 200
"""From one frame to the next, as while a learner updates."""
SCALE_M = 0.001
BONE_M = 0.02
SMALL, LARGE = 1024, 1
Each = float | list[float]
"""Environments whose tiles are drawn as lines, and with their limbs."""


@dataclass
class Projector:
    """Frames in place of the service's: of robots whose points are above one another."""

    scene: dict
    session: int
    routes: list[WebSocketRoute] = field(default_factory=list)
    wishes: list[str] = field(default_factory=list)
    seq: int = 1_000_000

    def meet(self, route: WebSocketRoute) -> None:
        """Let a page hear all that the service says but its pictures."""
        server = route.connect_to_server()
        server.on_message(lambda said: route.send(said) if isinstance(said, str) else None)
        self.routes.append(route)

        def pass_on(said: str) -> None:
            self.wishes += [said] if f'"session":{self.session}' in said else []
            server.send(said)

        route.on_message(pass_on)

    def show(self, num_envs: int, right_m: Each, episode_length: Each) -> None:
        """Show all robots so far to the right; each has a number of its own, or all one."""
        left, bottom, right, top = self.scene["view_m"]
        k = self.scene["k"]
        self.seq += 1
        head = (MAGIC, VERSION, FIGURES, 0, self.seq, 0.0, self.session, num_envs, k, 0, SCALE_M)
        part = (0, num_envs)
        points = np.empty((num_envs, k, 2), "<i2")
        across = np.broadcast_to(np.asarray(right_m), num_envs)[:, None]
        points[..., 0] = ((left + right) / 2 + across) / SCALE_M
        # A bone of no length is not drawn by every browser.
        points[..., 1] = ((bottom + top) / 2 + BONE_M * np.arange(k)) / SCALE_M
        columns = [
            np.zeros(num_envs, "<f4"),
            np.zeros(num_envs, "<f4"),
            np.full(num_envs, episode_length, "<u4"),
            points,
            np.zeros(num_envs, "u1"),
        ]
        body = b"".join(column.tobytes() for column in columns)
        self.routes[-1].send(struct.pack(HEADER, *head, *part) + body)


@pytest.fixture
def screen(open_page, stack) -> tuple[Page, Projector]:
    status = get(stack, "status")
    session = status["session"]
    projector = Projector(get(stack, f"sessions/{session}/scene"), session)
    page = open_page()
    # An end of an episode that lights its tile up would be taken for the robot.
    page.add_init_script("localStorage.setItem('websim.flashes', 'false')")
    page.route_web_socket("**/api/v1/live", projector.meet)
    page.reload()
    # A question to the page lets what it has said be heard.
    wait_for(lambda: page.evaluate("1") and projector.wishes, "the page wants no pictures")
    return page, projector


def means_of_x(page: Page, for_ms: int) -> list[float]:
    """Where what is not background is on average, pixels, in each picture of a time."""
    return page.evaluate(
        """async (forMs) => {
            const canvas = document.querySelector('.grid canvas');
            const {width, height} = canvas, seen = [], end = performance.now() + forMs;
            const context = new OffscreenCanvas(width, height).getContext('2d');
            while (performance.now() < end) {
                await new Promise(resolve => setTimeout(resolve, 15));
                context.drawImage(canvas, 0, 0);
                const {data} = context.getImageData(0, 0, width, height);
                const pixels = new Uint32Array(data.buffer);
                let sum = 0, count = 0;
                pixels.forEach((pixel, at) => {
                    if (pixel === pixels[0]) return;
                    sum += at % width;
                    count += 1;
                });
                seen.push(sum / count);
            }
            return seen;
        }""",
        for_ms,
    )


def ways_gone(
    page: Page, projector: Projector, num_envs: int, lengths: tuple[Each, Each], to_m: Each = 0.2
) -> set[float]:
    """How far robots have gone, in each picture after the second of two frames; of their way."""
    projector.show(num_envs, -0.2, lengths[0])
    drawn(page, num_envs)
    before = means_of_x(page, 100)[-1]
    # Frames that come so often are played with that delay.
    projector.show(num_envs, -0.2, lengths[0])
    page.wait_for_timeout(BETWEEN_MS)
    projector.show(num_envs, -0.2, lengths[0])
    page.wait_for_timeout(BETWEEN_MS)
    projector.show(num_envs, to_m, lengths[1])
    seen = means_of_x(page, 3 * BETWEEN_MS)
    return {round((mean - before) / (seen[-1] - before), 2) for mean in seen}


@pytest.mark.parametrize("num_envs", [SMALL, LARGE])
def test_robots_are_seen_on_their_way_from_frame_to_frame(screen, num_envs):
    ways = sorted(ways_gone(*screen, num_envs, lengths=(7, 8)))
    assert ways[-1] == 1.0
    assert any(0.02 < way < 0.98 for way in ways), ways


@pytest.mark.parametrize("lengths", [([7, 7], [37, 0]), ([7, 7], [37, 12])])
def test_a_robot_that_begins_anew_is_there_at_once(screen, lengths):
    """The other one, which stands still, tells by how many steps episodes go on."""
    ways = ways_gone(*screen, 2, lengths, to_m=[-0.2, 0.2])
    assert {way for way in ways if 0.02 < way < 0.98} == set()
    assert 1.0 in ways
