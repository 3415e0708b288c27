"""The pages of artifact_server in a real browser: `look.py SLIMSPAN [FOLDER]`.

Spans with files of every kind are sent through slimspan. A browser opens the gallery, the trace and the page
of each artifact: pictures have their size, sounds and films play, nothing is asked for but slimspan itself,
and nothing is said in the console. It does so by keys alone, with names and passwords, and from a page of
another site. Then it opens sixty files that would do something if they could, as six types each, in pages and by
themselves, and none of them does anything. With FOLDER, pictures of the pages are kept there.

The ports here are nobody else's in a network namespace: tests/tools/viewer.sh makes one.
"""

import contextlib
import hashlib
import os
import pathlib
import sys
import tempfile
import time
import urllib.request

import elsewhere
import guarded
import hands
import hostile
import media
import stranger
from browsing import PLAY, SIZE, Watched, check, until
from playwright.sync_api import Error, sync_playwright
from served import Places, configuration, send, slimspan

SLIMSPAN = pathlib.Path(sys.argv[1]).resolve()
FOLDER = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None

PLACES = Places(4328)
SITE, BYTES = PLACES.site, PLACES.bytes
TRACE = "5d" * 16

# Without the hostile files, which are of yesterday.
TODAY = time.strftime("/?since=%Y-%m-%dT%H:%M", time.gmtime(time.time() - 43_200))


def look_at_kinds(browser, kinds):
    """The page of each kind of artifact."""
    watched = Watched(browser, PLACES.own, viewport={"width": 1280, "height": 860})
    for called, _, file, shown, expected in kinds:
        page = watched.open(PLACES.page_of(file))
        check(f"the page of {called}", page.locator(".heading h1").inner_text(), called)
        found = page.locator(f".preview .{shown}" if shown == "note" else f".preview {shown}").first
        if shown == "img":
            check(f"{called} has its size", found.evaluate(SIZE), expected)
        elif shown in ("audio", "video"):
            duration, error, width, height = found.evaluate(PLAY)
            check(f"{called} plays: {duration:.2f} s", (error, abs(duration - media.SECONDS) < 0.2), (None, True))
            if expected:
                check(f"{called} has its size", [width, height], expected)
        else:
            text = " ".join(found.inner_text().split())
            check(f"{called} is shown", expected in text, True)
        with page.expect_download() as downloading:
            page.get_by_role("link", name="Download").click()
        check(f"{called} as a file", pathlib.Path(downloading.value.path()).read_bytes() == file, True)
        page.close()
    watched.quiet("artifacts")


def look_at_gallery(browser, kinds):
    watched = Watched(browser, PLACES.own, viewport={"width": 1280, "height": 860}, permissions=["clipboard-read"])
    page = watched.open(f"{SITE}{TODAY}")
    check("the gallery has a card for each", page.locator(".card").count() >= len(kinds), True)
    for image in page.locator(".card img").all():
        size = image.evaluate(SIZE)
        check(f"{image.get_attribute('alt')} has a size", min(size) > 0, True)
    page.locator("select[name=type]").select_option("audio/*")
    page.get_by_role("button", name="Show").click()
    sounds = [called for called, declared, *_ in kinds if declared.startswith("audio/")]
    # One more is in the trace.
    check("only sounds are left", page.locator(".card").count(), len(sounds) + 1)
    page.goto(f"{SITE}/?trace={TRACE}")
    page.locator(".card a[title^='the trace']").first.click()
    check("a card leads to its trace", page.locator("h1").inner_text(), f"Trace {TRACE}")
    names = page.locator(".spans h2").all_inner_texts()
    check("spans in their order", names, ["plan the report", "draw charts", "read out loud"])
    charts = page.locator(".spans > li").nth(1).locator(".card .name").all_inner_texts()
    check("artifacts in theirs", charts, ["chart-1.jpg", "chart-2.jpg", "chart-4.jpg"])
    page.locator("a.tile").first.click()
    check("a tile leads to its artifact", page.locator(".uses tbody tr").count(), 1)
    page.get_by_role("button", name="Copy").first.click()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    check("what is copied is a reference", copied.startswith(f"{BYTES}/artifacts/"), True)
    # A person who opens a reference comes to the page of it.
    page.goto(copied)
    check("a reference leads to the page", page.url.startswith(f"{SITE}/artifacts/"), True)
    watched.quiet("the way through pages")


def look_without_scripts(browser, kinds):
    watched = Watched(browser, PLACES.own, java_script_enabled=False)
    page = watched.open(f"{SITE}/")
    check("without scripts there is a gallery", page.locator(".card").count() >= len(kinds), True)
    page = watched.open(PLACES.page_of(kinds[0][2]))
    check("and an artifact", page.locator(".uses tbody tr").count(), 1)
    check("without a button that does nothing", page.get_by_role("button", name="Copy").count(), 0)
    watched.quiet("without scripts")


def look_from_a_phone(browser, kinds):
    watched = Watched(browser, PLACES.own, viewport={"width": 360, "height": 740}, color_scheme="dark")
    for url in [f"{SITE}/", f"{SITE}/traces/{TRACE}", PLACES.page_of(kinds[0][2]), PLACES.page_of(media.JSON), f"{SITE}/traces/x"]:
        page = watched.context.new_page()
        page.goto(url)
        width = page.evaluate("() => document.documentElement.scrollWidth")
        check(f"{url} fits a phone", width <= 360, True)
        check("and is dark", hands.colours(page), hands.COLOURS["dark"])
        page.close()
    check("nothing else is asked for", watched.strange, [])


def notice(browser):
    """What is noticed where nothing protects."""
    watched = Watched(browser, PLACES.own)
    asked = stranger.Stranger.asked
    page = watched.open(f"{stranger.URL}/open")
    until("the bait is taken", 30, lambda: "/fetch" in asked and "/image" in asked)
    check("a file without protection is noticed", watched.dialogs, ["1"])
    check("and what it asks for", any(url.endswith("/fetch") for url in watched.strange), True)
    page.close()
    asked.clear()


def look_at_hostile(browser, files):
    watched = Watched(browser, PLACES.own)
    # Windows take longer to open than pages.
    page = watched.context.new_page()
    for trace, name, kind, extension, file in hostile.declared(files):
        page.goto(PLACES.page_of(file), wait_until="load")
        what = f"{name} as {kind}"
        check(f"{what}: one frame, and nothing seized", (len(page.frames), page.evaluate("() => window.seized")), (1, None))
        for image in page.locator(".preview img").all():
            # It need not be one.
            image.evaluate("image => image.decode().catch(() => 0)")
        for element in page.locator(".preview audio, .preview video").all():
            element.evaluate("element => element.play().catch(() => 0)")
        digest = hashlib.sha256(file).hexdigest()
        # Without the name of a type they are the same file each time.
        others = ("?raw", "?download") if kind == "text/html" else ()
        for ending in (f".{extension}?raw", *others):
            # Most of them are downloads, which is no page.
            with contextlib.suppress(Error):
                page.goto(f"{BYTES}/artifacts/{digest}{ending}", wait_until="load")
            check(f"{what}, {ending}: one frame in one window", (len(page.frames), len(watched.context.pages)), (1, 1))
    for trace in {trace for trace, *_ in hostile.declared(files)}:
        gallery = watched.open(f"{SITE}/traces/{trace}")
        check("the trace of all of them", gallery.locator(".card").count(), len(files))
        for image in gallery.locator(".card img").all():
            image.evaluate("image => { image.loading = 'eager'; return image.decode().catch(() => 0); }")
        gallery.close()
    check("no dialog", watched.dialogs, [])
    check("no request", [watched.strange, stranger.Stranger.asked], [[], []])


def keep(browser, kinds):
    """Pictures of the pages."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    for name, url in [
        ("gallery", f"{SITE}/"),
        ("trace", f"{SITE}/traces/{TRACE}"),
        ("artifact", PLACES.page_of(kinds[0][2])),
    ]:
        page = context.new_page()
        page.goto(url, wait_until="networkidle")
        for image in page.locator("img").all()[:20]:
            image.evaluate(SIZE)
        page.screenshot(path=FOLDER / f"{name}.png")
        page.close()


def main():
    stranger.serve()
    kinds = media.files()
    bad = hostile.files(stranger.URL)
    check("hostile files", len(bad), 60)
    with contextlib.ExitStack() as running:
        folder = pathlib.Path(running.enter_context(tempfile.TemporaryDirectory()))
        running.enter_context(slimspan(SLIMSPAN, folder / "open", configuration(PLACES)))
        running.enter_context(slimspan(SLIMSPAN, folder / "guarded", guarded.configuration()))
        for number, (trace, name, kind, extension, file) in enumerate(hostile.declared(bad)):
            # Each is declared to be something else, and called by what it does.
            called = f"<img src=x onerror=alert(1)>{name}.{extension}"
            parts, raw = [(called, kind, file)], [("<b onclick=alert(1)>", file)]
            send(PLACES, trace, number + 1, name, "stranger", parts, 86_400 + number, raw)
        for number, (called, kind, file, *_) in enumerate(kinds):
            send(PLACES, f"{number + 1:032x}", 1, "chat gpt-4o", "support-agent", [(called, kind, file)], 3_600 + number)
        jpeg = lambda image: media.picture(image, "JPEG", quality=90)
        drawn = lambda make, seed: (f"{make.__name__}-{seed}.jpg", "image/jpeg", jpeg(make(seed)))
        send(PLACES, TRACE, 1, "plan the report", "research-agent", [("plan.md", "text/markdown", media.MARKDOWN + b"\nEnd.\n"), drawn(media.invoice, 3)], 40)
        send(PLACES, TRACE, 2, "draw charts", "chart-tool", [drawn(media.chart, seed) for seed in (1, 2, 4)], 38.6)
        send(PLACES, TRACE, 3, "read out loud", "voice", [("summary.mp3", "audio/mpeg", media.sound("mp3", "libmp3lame") + b"\0"), drawn(media.sunset, 9)], 35.2)
        for seed in range(11, 19):
            make = (media.sunset, media.chart, media.sunset, media.invoice)[seed % 4]
            service = ("image-studio", "research-agent", "image-studio", "support-agent")[seed % 4]
            send(PLACES, f"{seed:032x}", 1, "generate_content", service, [drawn(make, seed)], seed)
        read = lambda path: urllib.request.urlopen(f"{SITE}{path}", timeout=30).read().decode().count('<li class="card">')
        for trace in {trace for trace, *_ in hostile.declared(bad)}:
            until("the hostile ones are known", 60, lambda: read(f"/traces/{trace}") == len(bad))
        until("and the others", 60, lambda: read(TODAY) == len(kinds) + 7 + 8)

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
                args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"],
            )
            notice(browser)
            if FOLDER:
                keep(browser, kinds)
            look_at_kinds(browser, kinds)
            look_at_gallery(browser, kinds)
            look_without_scripts(browser, kinds)
            look_from_a_phone(browser, kinds)
            hands.look_at_colours(browser, PLACES, ["/", f"/traces/{TRACE}", PLACES.page_of(kinds[0][2]).removeprefix(SITE)])
            hands.look_with_keys(browser, PLACES)
            elsewhere.look(browser, PLACES, kinds)
            guarded.look(browser, kinds)
            look_at_hostile(browser, bad)
            browser.close()


main()
