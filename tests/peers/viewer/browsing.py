"""A browser that is watched, and what is asked of the pages in it."""

import contextlib
import time

# What a browser does not do within so many seconds it does not do.
PATIENCE = """const seen = name => new Promise((done, fail) => {
    element.addEventListener(name, done, { once: true });
    const why = () => `no ${name} within a minute: ${element.error && element.error.message}`;
    setTimeout(() => fail(new Error(why())), 60_000);
});"""

# The end of a sound or a film, as it is heard and seen.
PLAY = f"""async element => {{
    {PATIENCE}
    element.muted = true;
    if (element.readyState < 1) {{ await seen("loadedmetadata"); }}
    const played = seen("ended");
    element.currentTime = Math.max(0, element.duration - 0.5);
    await element.play();
    await played;
    return [element.duration, element.error && element.error.message, element.videoWidth, element.videoHeight];
}}"""

# What comes from some second on, which a person has chosen.
SEEK = f"""async (element, at) => {{
    {PATIENCE}
    element.muted = true;
    if (element.readyState < 1) {{ await seen("loadedmetadata"); }}
    element.pause();
    const there = seen("seeked");
    element.currentTime = at;
    await there;
    const from = element.currentTime;
    await element.play();
    do {{ await seen("timeupdate"); }} while (element.currentTime < from + 0.1);
    element.pause();
    return [Math.abs(from - at) < 0.2, element.error && element.error.message];
}}"""

SIZE = """async image => {
    image.loading = "eager";
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
}"""

# The same of one that need not come.
SIZE_IF_ANY = """image => new Promise(done => {
    const tell = () => done([image.naturalWidth, image.naturalHeight]);
    if (image.complete) { tell(); } else { image.onload = image.onerror = tell; }
})"""


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


class Watched:
    """A browser in which everything that is asked for and said is kept; `own` is where it may ask."""

    def __init__(self, browser, own, **options):
        self.context = browser.new_context(**options)
        self.own = tuple(f"{origin}/" for origin in own)
        self.strange, self.said, self.dialogs, self.answers = [], [], [], []
        self.context.on("request", self.request)
        self.context.on("response", lambda answer: self.answers.append(answer))
        self.context.on("console", lambda line: line.type == "error" and self.said.append(line.text))
        self.context.on("weberror", lambda error: self.said.append(str(error.error)))
        self.context.on("dialog", self.dialog)

    def request(self, request):
        if not request.url.startswith(self.own):
            self.strange.append(request.url)

    def dialog(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def open(self, url):
        page = self.context.new_page()
        page.goto(url, wait_until="load")
        return page

    def parts(self):
        """Where the parts begin that were asked for by themselves."""
        ranges = [answer.headers.get("content-range", "") for answer in self.answers if answer.status == 206]
        return [int(told.removeprefix("bytes ").split("-")[0]) for told in ranges]

    def quiet(self, what):
        check(f"{what}: nothing else is asked for, and nothing is said", [self.strange, self.said, self.dialogs], [[], [], []])
