"""Contenders of trials are told apart, and compared with what was in force; the log is made up."""

import pytest
from live_page import wait_for
from told_page import log_row, tell_log, tell_page

pytestmark = pytest.mark.timeout(300)

NAMES = ["direct", "bounded", "smooth", "bold", "stiff", "loose", "calm"]
SETTINGS = {"round_env_steps": [1000, 1000]}
CONTRASTS = """() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((each) => each / 255);
    const linear = (each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4;
    const light = (colour) => {
        const [r, g, b] = parts(colour).map(linear);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    const contrast = (...colours) => {
        const [low, high] = colours.map(light).sort((a, b) => a - b);
        return high / low;
    };
    const style = (element) => getComputedStyle(element);
    const below = (element) => {
        const ground = style(element.parentElement).backgroundColor;
        return ground === 'rgba(0, 0, 0, 0)' ? below(element.parentElement) : ground;
    };
    const all = (selector) => [...document.querySelectorAll(selector)];
    return [
        ...all('.candidate .dot').map((dot) => contrast(style(dot).backgroundColor, below(dot))),
        ...all('.trial polyline').map((line) => contrast(style(line).stroke, below(line))),
        ...all('.trial circle').map((dot) => contrast(style(dot).fill, below(dot))),
    ];
}"""
"""The contrast of each dot and line of a contender against what is behind it."""


def open_candidates(page, url, rows, **status):
    tell_log(page, rows)
    told = tell_page(page, url, "one")
    told.change(learner_error=None, orchestrator_error=None, **status)
    page.keyboard.press("r")
    page.get_by_role("tab", name="Candidates").click()
    page.locator(".candidate").first.wait_for()
    return told


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_contender_is_seen_on_its_ground(open_alone, alone, scheme):
    candidates = [{"name": name, "source": "", "origin": "library"} for name in NAMES]
    fitness = {name: {"fitness": [float(n)]} for n, name in enumerate(["control", *NAMES])}
    rounds = (
        log_row(n + 1, "round", round=n, results=fitness, stay=NAMES, settings=SETTINGS)
        for n in (1, 2)
    )
    page = open_alone(color_scheme=scheme)
    open_candidates(page, alone, [log_row(1, "answer", candidates=candidates), *rounds])
    # Of each candidate a dot, of each contender a line and two dots.
    wait_for(lambda: len(page.evaluate(CONTRASTS)) == 7 + 8 + 16, "not all is drawn")
    assert min(page.evaluate(CONTRASTS)) >= 3
    page.keyboard.press("d")
    wait_for(lambda: page.evaluate("document.documentElement.dataset.theme") != scheme, "no switch")
    assert min(page.evaluate(CONTRASTS)) >= 3
