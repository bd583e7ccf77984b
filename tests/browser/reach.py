"""What keeps people from using a page: found by axe, by the keyboard, on a small screen."""

from pathlib import Path

from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
AXE = ROOT / "services/dashboard/web/node_modules/axe-core/axe.min.js"

TABBED = """(scope) => [...document.querySelectorAll('button, select, input, canvas, textarea, [tabindex="0"]')]
    .filter(each => each.closest(scope) && each.tabIndex >= 0 && each.checkVisibility())"""  # noqa: E501


def axe_findings(page: Page) -> list[object]:
    """Return what axe finds serious or critical on a page."""
    # evaluate() is not held to the page's policy, a script element would be.
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    answer = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (each["id"], each["impact"], [node["target"] for node in each["nodes"]][:3])
        for each in answer["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def not_reached_by_tab(page: Page, scope: str = "body") -> list[str]:
    """Press Tab until all was reached once; return what of an element was not, as HTML."""
    wanted = page.evaluate(f"() => ({TABBED})('body').length")
    page.evaluate("window.reached = new Set()")
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        page.evaluate("window.reached.add(document.activeElement)")
    return page.evaluate(
        f"""(scope) => ({TABBED})(scope)
            .filter(each => !window.reached.has(each)).map(each => each.outerHTML.slice(0, 120))""",
        scope,
    )


def scrolls_sideways(page: Page, scope: str) -> list[str]:
    """Return what of an element is wider than it shows, as HTML; programs may be."""
    return page.evaluate(
        """(scope) => [...document.querySelectorAll(`${scope}, ${scope} *`)]
            .filter(each => each.scrollWidth > each.clientWidth + 1 && !each.closest('.code, pre'))
            .filter(each => ['auto', 'scroll'].includes(getComputedStyle(each).overflowX))
            .map(each => each.outerHTML.slice(0, 120))""",
        scope,
    )
