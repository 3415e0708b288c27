"""References in a backend on another site: it shows what they lead to, and who opens one comes to its page."""

import media
import stranger
from browsing import PLAY, SIZE, Watched, check

SHOWN = ("img", "audio", "video")

# What a page may ask of all that it shows: without `Cross-Origin-Resource-Policy` it would show nothing then.
ISOLATED = {"Cross_Origin_Embedder_Policy": "require-corp", "Cross_Origin_Opener_Policy": "same-origin"}


def look(browser, places, kinds):
    shown = [(called, file, shown, size) for called, _, file, shown, size in kinds if shown in SHOWN]
    links = [places.reference_to(called, file) for called, file, *_ in shown]
    elements = [
        f'<img src="{link}">' if element == "img" else f'<{element} controls src="{link}"></{element}>'
        for link, (_, _, element, _) in zip(links, shown)
    ]
    body = "".join(f"<p>{element}</p>" for element in elements) + f'<a href="{links[0]}">Open</a>'
    stranger.put("/backend", body)
    stranger.put("/isolated", body, **ISOLATED)
    for path, is_isolated in [("/backend", False), ("/isolated", True)]:
        watched = Watched(browser, (*places.own, stranger.ELSEWHERE))
        page = watched.open(f"{stranger.ELSEWHERE}{path}")
        where = page.evaluate("() => [location.origin, crossOriginIsolated]")
        check(f"{path} is on another site", where, [stranger.ELSEWHERE, is_isolated])
        found = page.locator("p > *")
        check("it shows each", found.count(), len(shown))
        for at, (called, _, element, size) in enumerate(shown):
            if element == "img":
                check(f"{path}: {called} has its size", found.nth(at).evaluate(SIZE), size)
                continue
            duration, error, width, height = found.nth(at).evaluate(PLAY)
            check(f"{path}: {called} plays", (error, abs(duration - media.SECONDS) < 0.2), (None, True))
            if size:
                check(f"{path}: {called} has its size", [width, height], size)
        page.get_by_role("link", name="Open").click()
        page.wait_for_url(f"{places.site}/artifacts/*")
        check("who opens a reference there comes to its page", page.locator(".heading h1").inner_text(), shown[0][0])
        watched.quiet(f"a backend elsewhere, {path}")
        watched.context.close()
