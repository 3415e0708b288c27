"""The pages of artifact_server in a real browser: `look.py SLIMSPAN [FOLDER]`.

Spans with files of every kind are sent through slimspan. A browser opens the gallery, the trace and the page
of each artifact: pictures have their size, sounds and films play, nothing is asked for but slimspan itself,
and nothing is said in the console. Then it opens sixty files that would do something if they could, in pages
and by themselves, and none of them does anything. With FOLDER, pictures of the pages are kept there.

The ports here are nobody else's in a network namespace: tests/tools/viewer.sh makes one.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import hostile
import media
from playwright.sync_api import Error, sync_playwright

SLIMSPAN = pathlib.Path(sys.argv[1]).resolve()
FOLDER = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None

RECEIVER, ARTIFACTS, PAGES, CANARY = 4328, 4329, 4330, 4331
BYTES, SITE = f"http://127.0.0.1:{ARTIFACTS}", f"http://127.0.0.1:{PAGES}"
BAIT = f"http://127.0.0.1:{CANARY}"
TRACE, HOSTILE_TRACE = "5d" * 16, "66" * 16

# Without the hostile files, which are of yesterday.
TODAY = time.strftime(f"{SITE}/?since=%Y-%m-%dT%H:%M", time.gmtime(time.time() - 43_200))

PLAY = """async element => {
    element.muted = true;
    const seen = name => new Promise(done => element.addEventListener(name, done, { once: true }));
    if (element.readyState < 1) { await seen("loadedmetadata"); }
    const played = seen("ended");
    element.currentTime = Math.max(0, element.duration - 0.5);
    await element.play();
    await played;
    return [element.duration, element.error && element.error.message, element.videoWidth, element.videoHeight];
}"""

SIZE = """async image => {
    image.loading = "eager";
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
}"""


def check(what, found, expected):
    if found != expected:
        raise AssertionError(f"{what}: {found!r}, not {expected!r}")
    print(f"ok: {what}")


def until(what, seconds, attempt):
    """Asks until there is an answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if answer := attempt():
                return answer
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {seconds} s")


class Bait(http.server.BaseHTTPRequestHandler):
    """What hostile files ask for, and a page without any protection that shows that it is noticed."""

    asked = []

    def do_GET(self):
        Bait.asked.append(self.path)
        page = hostile.files(BAIT)["html"] if self.path == "/open" else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def slimspan(folder):
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{RECEIVER}"}}}},
        "processors": {"artifact": {"store": "artifact_store", "threshold": "16B"}},
        "exporters": {"debug": {}},
        "extensions": {
            "artifact_store": {
                "url": "./artifacts",
                "catalog": {"directory": "./catalog", "interval": "200ms"},
            },
            "artifact_server": {
                "endpoint": f"127.0.0.1:{ARTIFACTS}",
                "pages": {"endpoint": f"127.0.0.1:{PAGES}"},
            },
        },
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "extensions": ["artifact_store", "artifact_server"],
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["artifact"],
                    "exporters": ["debug"],
                }
            },
        },
    }
    (folder / "collector.yaml").write_text(json.dumps(config))
    log = folder / "slimspan.log"
    with open(log, "wb") as output:
        running = subprocess.Popen(
            [SLIMSPAN, "--config", "collector.yaml"], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        until("slimspan is ready", 60, lambda: "ready" in log.read_text().split())
        yield
    except BaseException:
        print(f"--- slimspan\n{log.read_text()[-4000:]}", file=sys.stderr)
        raise
    finally:
        running.terminate()
        running.wait(30)


def send(trace, number, name, service, parts, ago, raw=()):
    """A span with files: each as what it is called, what it is declared to be, and its bytes; `raw` as bytes."""
    text = lambda value: {"stringValue": value}
    attribute = lambda key, value: {"key": key, "value": value}
    files = [
        {
            "type": "file",
            "filename": called,
            "mime_type": declared,
            "data": base64.b64encode(file).decode(),
        }
        for called, declared, file in parts
    ]
    began = time.time_ns() - int(ago * 1e9)
    span = {
        "traceId": trace,
        "spanId": f"{number:016x}",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(began),
        "endTimeUnixNano": str(began + 400_000_000),
        "attributes": [attribute("gen_ai.input.messages", text(json.dumps([{"role": "user", "parts": files}])))],
    }
    span["attributes"] += [
        attribute(key, {"bytesValue": base64.b64encode(file).decode()}) for key, file in raw
    ]
    resource = {"attributes": [{"key": "service.name", "value": text(service)}]}
    request = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    asked = urllib.request.Request(
        f"http://127.0.0.1:{RECEIVER}/v1/traces",
        json.dumps(request).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        check(f"span {name!r}, {len(parts)} files", (answer.status, answer.read()), (200, b"{}"))


def page_of(file):
    return f"{SITE}/artifacts/{hashlib.sha256(file).hexdigest()}"


class Watched:
    """A browser in which everything that is asked for and said is kept."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(**options)
        self.strange, self.said, self.dialogs = [], [], []
        self.context.on("request", self.request)
        self.context.on("page", self.page)
        self.context.on("console", lambda line: line.type == "error" and self.said.append(line.text))
        self.context.on("weberror", lambda error: self.said.append(str(error.error)))
        self.context.on("dialog", self.dialog)
        self.pages = 0

    def page(self, page):
        self.pages += 1

    def request(self, request):
        if not request.url.startswith((f"{BYTES}/", f"{SITE}/")):
            self.strange.append(request.url)

    def dialog(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def open(self, url):
        page = self.context.new_page()
        page.goto(url, wait_until="load")
        return page

    def quiet(self, what):
        check(f"{what}: nothing else is asked for, and nothing is said", [self.strange, self.said, self.dialogs], [[], [], []])


def look_at_kinds(browser, kinds):
    """The page of each kind of artifact."""
    watched = Watched(browser, viewport={"width": 1280, "height": 860})
    for called, _, file, shown, expected in kinds:
        page = watched.open(page_of(file))
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
    watched = Watched(browser, viewport={"width": 1280, "height": 860}, permissions=["clipboard-read"])
    page = watched.open(TODAY)
    check("the gallery has a card for each", page.locator(".card").count() >= len(kinds), True)
    for image in page.locator(".card img").all():
        size = image.evaluate(SIZE)
        check(f"{image.get_attribute('alt')} has a size", min(size) > 0, True)
    page.keyboard.press("Tab")
    focused = page.evaluate("() => document.activeElement.textContent")
    check("the first key leads past the head", focused, "Skip to the content")
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
    watched = Watched(browser, java_script_enabled=False)
    page = watched.open(f"{SITE}/")
    check("without scripts there is a gallery", page.locator(".card").count() >= len(kinds), True)
    page = watched.open(page_of(kinds[0][2]))
    check("and an artifact", page.locator(".uses tbody tr").count(), 1)
    check("without a button that does nothing", page.get_by_role("button", name="Copy").count(), 0)
    watched.quiet("without scripts")


def look_from_a_phone(browser, kinds):
    watched = Watched(browser, viewport={"width": 360, "height": 740}, color_scheme="dark")
    for url in [f"{SITE}/", f"{SITE}/traces/{TRACE}", page_of(kinds[0][2]), page_of(media.JSON), f"{SITE}/traces/x"]:
        page = watched.context.new_page()
        page.goto(url)
        width = page.evaluate("() => document.documentElement.scrollWidth")
        check(f"{url} fits a phone", width <= 360, True)
        dark = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        check("and is dark", dark, "rgb(20, 21, 24)")
        page.close()
    check("nothing else is asked for", watched.strange, [])


def notice(browser):
    """What is noticed where nothing protects."""
    watched = Watched(browser)
    page = watched.open(f"{BAIT}/open")
    until("the bait is taken", 30, lambda: "/fetch" in Bait.asked and "/image" in Bait.asked)
    check("a file without protection is noticed", watched.dialogs, ["1"])
    check("and what it asks for", any(url.endswith("/fetch") for url in watched.strange), True)
    page.close()
    Bait.asked.clear()


def look_at_hostile(browser, files):
    watched = Watched(browser)
    for name, file in files.items():
        page = watched.open(page_of(file))
        check(f"{name}: one frame, and nothing seized", (len(page.frames), page.evaluate("() => window.seized")), (1, None))
        for image in page.locator(".preview img").all():
            # It need not be one.
            image.evaluate("image => image.decode().catch(() => 0)")
        for element in page.locator(".preview audio, .preview video").all():
            element.evaluate("element => element.play().catch(() => 0)")
        page.close()
        digest = hashlib.sha256(file).hexdigest()
        for ending in ("?raw", ".html?raw", ".svg?raw", "?download"):
            page = watched.context.new_page()
            # Most of them are downloads, which is no page.
            with contextlib.suppress(Error):
                page.goto(f"{BYTES}/artifacts/{digest}{ending}", wait_until="load")
            check(f"{name}{ending}", len(page.frames), 1)
            page.close()
    gallery = watched.open(f"{SITE}/traces/{HOSTILE_TRACE}")
    check("the trace of all of them", gallery.locator(".card").count(), len(files))
    gallery.close()
    check("no dialog", watched.dialogs, [])
    check("no request", [watched.strange, Bait.asked], [[], []])


def keep(browser, kinds):
    """Pictures of the pages."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    for name, url in [
        ("gallery", f"{SITE}/"),
        ("trace", f"{SITE}/traces/{TRACE}"),
        ("artifact", page_of(kinds[0][2])),
    ]:
        page = context.new_page()
        page.goto(url, wait_until="networkidle")
        for image in page.locator("img").all()[:20]:
            image.evaluate(SIZE)
        page.screenshot(path=FOLDER / f"{name}.png")
        page.close()


def main():
    threading.Thread(
        target=http.server.ThreadingHTTPServer(("127.0.0.1", CANARY), Bait).serve_forever, daemon=True
    ).start()
    kinds = media.files()
    bad = hostile.files(BAIT)
    check("hostile files", len(bad), 60)
    with tempfile.TemporaryDirectory() as folder, slimspan(pathlib.Path(folder)):
        declared = ["text/html", "image/svg+xml", "image/png", "application/xhtml+xml", "text/plain", "application/pdf"]
        for number, (name, file) in enumerate(bad.items()):
            # Each is declared to be something else, and called by what it does.
            called = f"<img src=x onerror=alert(1)>{name}.html"
            parts, raw = [(called, declared[number % 6], file)], [("<b onclick=alert(1)>", file)]
            send(HOSTILE_TRACE, number + 1, name, "stranger", parts, 86_400 + number, raw)
        for number, (called, kind, file, *_) in enumerate(kinds):
            send(f"{number + 1:032x}", 1, "chat gpt-4o", "support-agent", [(called, kind, file)], 3_600 + number)
        jpeg = lambda image: media.picture(image, "JPEG", quality=90)
        drawn = lambda make, seed: (f"{make.__name__}-{seed}.jpg", "image/jpeg", jpeg(make(seed)))
        send(TRACE, 1, "plan the report", "research-agent", [("plan.md", "text/markdown", media.MARKDOWN + b"\nEnd.\n"), drawn(media.invoice, 3)], 40)
        send(TRACE, 2, "draw charts", "chart-tool", [drawn(media.chart, seed) for seed in (1, 2, 4)], 38.6)
        send(TRACE, 3, "read out loud", "voice", [("summary.mp3", "audio/mpeg", media.sound("mp3", "libmp3lame") + b"\0"), drawn(media.sunset, 9)], 35.2)
        for seed in range(11, 19):
            make = (media.sunset, media.chart, media.sunset, media.invoice)[seed % 4]
            service = ("image-studio", "research-agent", "image-studio", "support-agent")[seed % 4]
            send(f"{seed:032x}", 1, "generate_content", service, [drawn(make, seed)], seed)
        read = lambda url: urllib.request.urlopen(url, timeout=30).read().decode().count('<li class="card">')
        until("the hostile ones are known", 60, lambda: read(f"{SITE}/traces/{HOSTILE_TRACE}") == len(bad))
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
            look_at_hostile(browser, bad)
            browser.close()


main()
