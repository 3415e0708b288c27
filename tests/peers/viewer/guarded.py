"""Artifacts for those who may: a browser with a name and a password sees pages, and signed links show what is on them.

One server takes tokens of two tenants. The other takes users, has names, and says
`cross_origin_resource_policy: same-site`: a browser keeps what is its own from pages of other sites.
"""

import base64
import json
import struct
import urllib.error
import urllib.request

import media
import served
import stranger
from browsing import PLAY, SEEK, SIZE, SIZE_IF_ANY, Watched, check, until


# Browsers look for such names on this machine, and trust them as they trust https.
DOMAIN = "slimspan.localhost"
TOKENS, USERS = served.Places(4341), served.Places(4351, DOMAIN)
ACME, BETA = "token-of-acme", "token-of-beta"
USER, PASSWORD = "ada", "a password of ada"

# Its bcrypt hash, at the least cost: only what takes no time is asked for here.
HASH = "$2y$04$abcdefghijklmnopqrstuuy9ZCF7bMfdV1f4yG5V04YhxD1odFkZ2"

# Longer than what is checked before its first byte is sent, and than what a browser loads ahead.
MINUTES = 2


def configuration():
    config = served.configuration(TOKENS)
    config["receivers"]["otlp"]["protocols"]["http"]["auth"] = {"authenticator": "bearertokenauth"}
    config["processors"]["artifact"]["tenant"] = {"from_context": "auth.tenant"}
    config["extensions"] |= {
        "bearertokenauth": {"tenants": {"acme": ACME, "beta": BETA}},
        "basicauth": {"htpasswd": {"inline": f"{USER}:{HASH}"}},
    }
    for name, places, authenticator in [
        ("artifact_server", TOKENS, "bearertokenauth"),
        ("artifact_server/users", USERS, "basicauth"),
    ]:
        config["extensions"][name] = served.server(places) | {"auth": {"authenticator": authenticator}}
    config["extensions"]["artifact_server/users"]["cross_origin_resource_policy"] = "same-site"
    config["service"]["extensions"] += ["artifact_server/users", "bearertokenauth", "basicauth"]
    return config


def recording():
    """Two minutes of a tone, as it is."""
    samples = media.tone().tobytes() * (MINUTES * 60 // media.SECONDS)
    form = struct.pack("<HHIIHH", 1, 1, media.RATE, 2 * media.RATE, 2, 16)
    chunk = lambda name, body: name + struct.pack("<I", len(body)) + body
    return chunk(b"RIFF", b"WAVE" + chunk(b"fmt ", form) + chunk(b"data", samples))


def send(kinds):
    """Everything for one tenant, and a picture for the other."""
    long = ("talk.wav", "audio/wav", recording())
    for number, (called, kind, file, *_) in enumerate([*kinds, long]):
        served.send(TOKENS, f"{number + 1:032x}", 1, "chat", "support-agent", [(called, kind, file)], number, token=ACME)
    other = media.picture(media.chart(21), "PNG")
    served.send(TOKENS, "be" * 16, 1, "draw", "chart-tool", [("of-beta.png", "image/png", other)], 1, token=BETA)
    for token, count in [(ACME, len(kinds) + 1), (BETA, 1)]:
        until("the catalog knows them", 60, lambda: len(listed(token)) == count)
    return long[2], other


def listed(token):
    status, told = answer(f"{TOKENS.site}/v1/artifacts?limit=100", bearer(token))
    return json.loads(told)["references"] if status == 200 else []


def bearer(token):
    return f"Bearer {token}"


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def answer(url, credential=None, method="GET"):
    """As a program has it."""
    headers = {"Authorization": credential} if credential else {}
    asked = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as told:
            return told.status, told.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def look(browser, kinds):
    talk, other = send(kinds)
    picture, tenant = kinds[0][2], "/acme"
    for places, good, bad in [
        (TOKENS, basic("anybody", ACME), basic("anybody", "token-of-nobody")),
        (USERS, basic(USER, PASSWORD), basic(USER, PASSWORD + "x")),
    ]:
        page = places.page_of(picture, tenant)
        file = places.for_programs(page.replace(places.site, places.bytes))
        page = places.for_programs(page)
        found = [answer(page, credential)[0] for credential in (None, bad, good)]
        check("a page is for those who may", found, [401, 401, 200])
        check("and the bytes are", answer(file)[0], 401)
    hidden = answer(TOKENS.page_of(other, "/beta"), basic("anybody", ACME))
    check("what another tenant has is not there", hidden[0], 404)

    for places, name, password, count in [
        (TOKENS, "anybody", ACME, len(kinds) + 1),
        # Users see all of them.
        (USERS, USER, PASSWORD, len(kinds) + 2),
    ]:
        credentials = {"username": name, "password": password, "origin": places.site}
        watched = Watched(browser, places.own, http_credentials=credentials)
        look_at_gallery(watched, places, count)
        look_at_pages(watched, places, tenant, kinds, talk)
        watched.quiet(f"with the password of {name}")
        watched.context.close()
    look_from_elsewhere(browser, picture, tenant)


def look_at_gallery(watched, places, count):
    page = watched.open(f"{places.site}/")
    check("the gallery has a card for each", page.locator(".card").count(), count)
    images = page.locator(".card img").all()
    check("pictures among them", len(images) > 4, True)
    for image in images:
        size = image.evaluate(SIZE)
        check(f"{image.get_attribute('alt')} has a size", min(size) > 0, True)
        check("by a signed link", "sig=" in image.get_attribute("src"), True)
    page.close()


def look_at_pages(watched, places, tenant, kinds, talk):
    for called, _, file, shown, size in kinds:
        if shown not in ("img", "audio", "video"):
            continue
        page = watched.open(places.page_of(file, tenant))
        found = page.locator(f".preview {shown}").first
        if shown == "img":
            check(f"{called} has its size", found.evaluate(SIZE), size)
        else:
            duration, error, width, height = found.evaluate(PLAY)
            check(f"{called} plays", (error, abs(duration - media.SECONDS) < 0.2), (None, True))
            if size:
                check(f"{called} has its size", [width, height], size)
            check(f"{called} goes back", found.evaluate(SEEK, 0.3), [True, None])
        with page.expect_download() as downloading:
            page.get_by_role("link", name="Download").click()
        with open(downloading.value.path(), "rb") as kept:
            check(f"{called} as a file", kept.read() == file, True)
        page.close()
    page = watched.open(places.page_of(talk, tenant))
    found = page.locator(".preview audio")
    for second in (100, 20, 60):
        check(f"a talk goes on from second {second}", found.evaluate(SEEK, second), [True, None])
    # Not all of it was loaded for that.
    check("only a part was asked for", any(part > len(talk) // 2 for part in watched.parts()), True)
    page.close()


def look_from_elsewhere(browser, picture, tenant):
    """A signed link opens a file for whoever has it, and in pages of its own site: that is the policy."""
    page = USERS.for_programs(USERS.page_of(picture)).replace("/artifacts/", "/v1/artifacts/")
    told = answer(f"{page}/link?tenant={tenant.strip('/')}", basic(USER, PASSWORD), "POST")
    link = json.loads(told[1])["url"]
    check("a program has the file by its link", answer(USERS.for_programs(link)), (200, picture))
    stranger.put("/signed", f'<img src="{link.replace("&", "&amp;")}">')
    for site, is_shown in [(f"http://app.{DOMAIN}:{stranger.PORT}", True), (stranger.ELSEWHERE, False)]:
        watched = Watched(browser, (*USERS.own, site))
        page = watched.open(f"{site}/signed")
        size = page.locator("img").evaluate(SIZE_IF_ANY)
        check(f"in {site} it is {'shown' if is_shown else 'kept from the page'}", min(size) > 0, is_shown)
        check("and nothing else is asked for", watched.strange, [])
        watched.context.close()
