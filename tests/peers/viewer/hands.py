"""The pages for somebody who has a keyboard alone, in the colours of a day and of a night."""

import media
from browsing import Watched, check

COLOURS = {
    "light": ["rgb(246, 246, 244)", "rgb(28, 29, 32)"],
    "dark": ["rgb(20, 21, 24)", "rgb(232, 233, 236)"],
}


def colours(page):
    return page.evaluate(
        "() => { const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]; }"
    )


def look_at_colours(browser, places, paths):
    """They follow what the browser wants."""
    for scheme, expected in COLOURS.items():
        watched = Watched(browser, places.own, viewport={"width": 1280, "height": 860}, color_scheme=scheme)
        for path in paths:
            page = watched.open(f"{places.site}{path}")
            check(f"{path} is {scheme}", colours(page), expected)
            page.close()
        watched.quiet(scheme)
        watched.context.close()


def step(page, selector, most=60):
    """Goes on from one thing to the next until it is such a one."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            check(f"{selector} is reached, and shows it", outline, "solid")
            return
    raise AssertionError(f"{selector} is not reached with {most} keys")


def look_with_keys(browser, places):
    """From the gallery to an artifact, and into its JSON."""
    watched = Watched(browser, places.own, viewport={"width": 1280, "height": 860})
    page = watched.open(f"{places.site}/?name=call.json")
    check("one card", page.locator(".card").count(), 1)
    page.keyboard.press("Tab")
    focused = page.evaluate("() => document.activeElement.textContent")
    check("the first key leads past the head", focused, "Skip to the content")
    page.keyboard.press("Enter")
    check("to the content", page.evaluate("() => document.activeElement.id"), "main")
    step(page, ".card a.tile")
    page.keyboard.press("Enter")
    page.wait_for_url(places.page_of(media.JSON))
    page.wait_for_load_state("load")
    step(page, ".json summary")
    whole = page.locator(".json details").first
    inside = whole.locator("ul").first
    for key, is_open in [("Enter", False), ("Enter", True), ("Space", False), ("Space", True)]:
        page.keyboard.press(key)
        check(f"{key} {'unfolds' if is_open else 'folds'} it", inside.is_visible(), is_open)
    step(page, ".json ul summary")
    check("what is in it folds by itself", page.evaluate("() => document.activeElement.parentElement.open"), True)
    page.keyboard.press("Enter")
    found = page.evaluate("() => document.activeElement.parentElement.open")
    check("and the rest stays", (found, inside.is_visible()), (False, True))
    watched.quiet("by keys")
    watched.context.close()
