"""How figures lie in their tiles, and what is told of them: how many, what their colours mean."""

import base64
import io
import struct

import numpy as np
import pytest
from live_page import serve_dashboard, wait_for
from PIL import Image
from told_page import NOBODY, keep, make_point, tell_page

pytestmark = pytest.mark.timeout(300)

MM = 0.001
TERMINATED = 1
STICK = {
    "task": "HalfCheetah-v5", "content_sha256": "", "plane": "xz", "k": 2, "point_names": [],
    "bones": [[0, 1]], "bone_radii_m": [0.02], "scale_m": MM, "extent_m": 3.0, "geoms": [],
    "meshes": [], "hfields": [], "view_m": [-1.1, -1.1, 1.1, 1.1], "ground_z_m": None,
    "stands_still": True,
}  # fmt: skip
"""A stick from corner to corner of what its picture has to hold, 5 % of it left at each side."""
ENDS = ((-1000, -1000), (1000, 1000))


def figures(num_envs, ends=ENDS, returns=None, seq=1):
    """A picture of environments whose sticks reach from end to end, mm, as it travels."""
    head = struct.pack("<4BIdIIHHfII", 0x57, 2, 1, 0, seq, 0.0, 1, num_envs, 2, 0, MM, 0, num_envs)
    sent = [0.0] * num_envs if returns is None else returns
    points = np.tile(np.array(ends, "<i2"), (num_envs, 1))
    return b"".join([
        head, np.zeros(num_envs, "<f4").tobytes(), np.array(sent, "<f4").tobytes(),
        np.full(num_envs, 9, "<u4").tobytes(), points.tobytes(),
        np.full(num_envs, TERMINATED, "u1").tobytes(),
    ])  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The address of a dashboard that has a history, and nobody to ask."""
    place = tmp_path_factory.mktemp("figures")
    keep(place, "one", make_point(1))
    with serve_dashboard(place, *NOBODY) as url:
        yield url


@pytest.fixture
def show(open_alone, alone):
    """Open a page that is shown a picture of a session whose scene is the stick's, but for this."""

    def make(frame, **scene):
        page = open_alone(color_scheme="dark")
        page.route("**/sessions/1/scene", lambda route: route.fulfill(json=STICK | scene))
        tell_page(page, alone, "one")
        tell_picture(page, frame)
        page.locator(".grid .veil").wait_for(state="detached")
        return page

    return make


def tell_picture(page, frame):
    page.evaluate(
        """(text) => {
            const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
            window.live.onmessage({data: bytes.buffer});
        }""",
        base64.b64encode(frame).decode(),
    )


def drawn_box(page):
    """Return left, top, right and bottom of what is coloured in the grid, as shares of it."""
    shot = page.locator(".grid canvas").screenshot()
    image = np.array(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    rows, columns = np.nonzero(image.max(axis=2) - image.min(axis=2) > 60)
    if not len(rows):
        return None
    height, width = image.shape[:2]
    return columns.min() / width, rows.min() / height, columns.max() / width, rows.max() / height


@pytest.mark.parametrize("ground", [None, -3.0, -1.0], ids=["none", "far below", "in the view"])
def test_a_figure_that_stands_still_is_seen_whole(show, ground):
    page = show(figures(1), ground_z_m=ground)
    wait_for(lambda: drawn_box(page) is not None, "no figure is drawn")
    left, top, right, bottom = drawn_box(page)
    assert min(left, top, 1 - right, 1 - bottom) > 0.01
    # ... and the lower of the tile's sides is used but for the margin.
    assert max(right - left, bottom - top) > 0.8


def test_a_ground_out_of_the_view_moves_no_figure_out_of_its_tile(show):
    page = show(figures(1, ((0, -500), (0, 500))), stands_still=False, ground_z_m=-3.0)
    wait_for(lambda: drawn_box(page) is not None, "no figure is drawn")
    _, top, _, bottom = drawn_box(page)
    assert (top + bottom) / 2 == pytest.approx(0.5, abs=0.05)


def test_a_filter_that_nobody_passes_says_so(show):
    page = show(figures(64))
    heading = page.locator(".grid h2")
    wait_for(lambda: heading.inner_text() == "64 environments", "the figures do not come")
    page.get_by_label("Filter", exact=True).select_option("success")
    page.locator(".grid .veil", has_text="None of the 64 environments passes").wait_for()
    assert "succeeded before" in page.locator(".grid .veil").inner_text()
    assert heading.inner_text() == "0 of 64 environments"
    page.get_by_label("Filter", exact=True).select_option("best")
    wait_for(lambda: heading.inner_text() == "6 of 64 environments", "the tenth is not counted")
    assert page.locator(".grid .veil").count() == 0


def test_one_environment_is_told_as_one(show):
    page = show(figures(1))
    heading = page.locator(".grid h2")
    wait_for(lambda: heading.inner_text() == "1 environment", "it is not told")


@pytest.mark.parametrize(
    ("returns", "told"),
    [([-0.00084] * 9 + [100.0], ["0", "100"]), ([0.0] * 10, ["0", "0"])],
    ids=["beside the range", "of what was"],
)
def test_an_end_that_is_nothing_beside_the_range_is_0(show, returns, told):
    page = show(figures(10, returns=[3.0] * 5 + [70.0] * 5))
    ends = page.locator(".legend > span:not(.ramp):not(.what)")
    wait_for(lambda: ends.all_inner_texts() == ["3.00", "70.0"], "the range is not told")
    tell_picture(page, figures(10, returns=returns, seq=2))

    def settled():
        # What is told anew each time: colours follow while something is drawn.
        page.locator(".grid canvas").hover()
        page.mouse.move(5, 5)
        return ends.all_inner_texts() == told

    wait_for(settled, "the ends do not become what is told")
