"""Phoenix in a browser, with slimspan in front of it: `phoenix.py SLIMSPAN [SCREENSHOT]`.

A picture of several MiB in a span is refused by Phoenix over gRPC. The same span through slimspan
arrives, and a real browser shows the picture: it loads it from the artifact_server of the same
slimspan, by the URL that slimspan wrote in its place, and the audit log of that has who read it. Bytes
beside it, for which Phoenix loses a span, arrive as text. It is
sent in two shapes: as OpenInference's instrumentation of the OpenAI client writes it, and as a `blob`
part of the GenAI conventions.

Phoenix listens on all interfaces, so this belongs into a network namespace: tests/tools/peers.sh
makes one, and the ports here are nobody else's.
"""

import base64
import hashlib
import json
import os
import pathlib
import struct
import sys
import tempfile
import urllib.error
import urllib.request
import zlib

import grpc
import numpy
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from playwright.sync_api import sync_playwright

from chat import QUESTION, ask, client_of
from running import check, process, until

SLIMSPAN = pathlib.Path(sys.argv[1]).resolve()
SCREENSHOT = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None

PHOENIX_UI, PHOENIX_GRPC, RECEIVER, FILES, MODEL, PAGES = 6006, 4317, 4327, 8081, 8082, 8083
PROJECT = "pictures"
WIDTH, HEIGHT = 1472, 1104
# What gRPC servers take unless they are told otherwise.
USUAL_LIMIT = 4 << 20


def picture():
    """An evening sky with the grain of a film, which no compression takes away."""
    random = numpy.random.default_rng(1)
    y = numpy.linspace(0, 1, HEIGHT)[:, None, None]
    x = numpy.linspace(-1, 1, WIDTH)[None, :, None]
    night, dusk = numpy.array([24, 20, 70]), numpy.array([250, 150, 80])
    sky = night + (dusk - night) * y**1.5
    sun = 90 * numpy.exp(-((x * 1.33) ** 2 + (y - 0.75) ** 2) / 0.02)
    hills = y > 0.85 - 0.05 * numpy.sin(6 * x) - 0.03 * numpy.cos(11 * x)
    image = numpy.where(hills, night * 0.6, sky + sun)
    grain = random.integers(-20, 21, (HEIGHT, WIDTH, 3))
    image = numpy.clip(image + grain, 0, 255).astype(numpy.uint8)
    rows = numpy.hstack([numpy.zeros((HEIGHT, 1), numpy.uint8), image.reshape(HEIGHT, -1)])

    def chunk(kind, body):
        end = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + end

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    pixels = zlib.compress(rows.tobytes(), 1)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def fetch(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{PHOENIX_UI}{path}", timeout=30) as answer:
        return answer.read()


class Witness(SpanExporter):
    """Sends each span twice: to Phoenix itself, and with the SDK's exporter through slimspan."""

    def __init__(self):
        channel = grpc.insecure_channel(f"127.0.0.1:{PHOENIX_GRPC}")
        self.phoenix = TraceServiceStub(channel)
        self.slimspan = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{RECEIVER}", timeout=30)
        self.seen = []

    def export(self, spans):
        request = encode_spans(spans)
        try:
            self.phoenix.Export(request, timeout=30)
            direct = grpc.StatusCode.OK
        except grpc.RpcError as refused:
            direct = refused.code()
        through = self.slimspan.export(spans)
        for span in spans:
            name = f"{span.context.span_id:016x}"
            self.seen.append((span.name, name, request.ByteSize(), direct, through))
        return through


def send(image):
    """Both shapes; returns what became of each span."""
    witness = Witness()
    resource = Resource.create({"openinference.project.name": PROJECT})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(SimpleSpanProcessor(witness))
    text = base64.b64encode(image).decode()
    ask(client_of(provider, MODEL), text)

    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": text}
    parts = [{"type": "text", "content": QUESTION}, blob]
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        # Phoenix would lose the span for it, and say that all is well.
        "session.key": bytes(range(5)),
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": parts}]),
    }
    with provider.get_tracer("genai").start_as_current_span("chat gpt-4o", attributes=attributes):
        pass
    provider.shutdown()
    return witness.seen


def reads(audit_log):
    """What slimspan has written down of files that were read."""
    lines = audit_log.read_text().splitlines() if audit_log.exists() else []
    told = map(json.loads, lines)
    return [(of["action"], of["tenant"], of["sha256"], of["status"]) for of in told]


def look(browser, span, source):
    """Opens the span in Phoenix; returns the size of the picture that is seen, and the answers with it."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    answers = []
    page.on("response", lambda one: answers.append(one) if one.url.startswith(source) else None)
    page.goto(f"http://127.0.0.1:{PHOENIX_UI}/redirects/spans/{span}")
    image = page.locator(f'img[src^="{source}"]').first
    image.wait_for(state="visible", timeout=60_000)
    image.scroll_into_view_if_needed()
    handle = image.element_handle()
    page.wait_for_function("image => image.complete", arg=handle, timeout=60_000)
    size = handle.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    return page, size, answers


def asked_as(host, url):
    """The status of the answer to who asks for a URL by this name."""
    try:
        request = urllib.request.Request(url, headers={"Host": host})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def main():
    image = picture()
    digest = hashlib.sha256(image).hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        through_slimspan(image, digest, pathlib.Path(folder))


def through_slimspan(image, digest, folder):
    files, audit_log = f"http://127.0.0.1:{FILES}", folder / "audit.jsonl"
    source = f"{files}/artifacts/{digest}.png"
    config = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{RECEIVER}"}}}},
        "processors": {"artifact": {"store": "artifact_store"}},
        "exporters": {
            "otlp_grpc": {
                "endpoint": f"127.0.0.1:{PHOENIX_GRPC}",
                "tls": {"insecure": True},
                "preset": "phoenix",
            }
        },
        "extensions": {
            "artifact_store": {"url": str(folder / "artifacts")},
            "artifact_server": {
                "endpoint": f"127.0.0.1:{FILES}",
                "public_url": files,
                "pages": {"endpoint": f"127.0.0.1:{PAGES}"},
                "audit_log": str(audit_log),
            },
        },
        "service": {
            "extensions": ["artifact_store", "artifact_server"],
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["artifact"],
                    "exporters": ["otlp_grpc"],
                }
            },
        },
    }
    (folder / "collector.yaml").write_text(json.dumps(config))
    phoenix = process(
        [sys.executable, "-m", "phoenix.server.main", "serve"],
        folder,
        folder / "phoenix.log",
        PHOENIX_WORKING_DIR=str(folder / "phoenix"),
        PHOENIX_HOST="127.0.0.1",
        PHOENIX_PORT=str(PHOENIX_UI),
        PHOENIX_GRPC_PORT=str(PHOENIX_GRPC),
        PHOENIX_TELEMETRY_ENABLED="false",
        PHOENIX_ALLOW_EXTERNAL_RESOURCES="false",
        PHOENIX_DISABLE_AGENT_ASSISTANT="true",
        PHOENIX_AGENTS_DISABLE_BASH="true",
    )
    slimspan = process(
        [SLIMSPAN, "--config", "collector.yaml"], folder, folder / "slimspan.log"
    )
    with phoenix, slimspan:
        until("Phoenix answers", 180, lambda: fetch("/healthz") or b"yes")
        log = folder / "slimspan.log"
        until("slimspan is ready", 30, lambda: "ready" in log.read_text().split())
        seen = send(image)
        for name, _, size, direct, through in seen:
            check(f"{name}, {size:,} bytes, is more than 4 MiB", size > USUAL_LIMIT, True)
            if name == "chat gpt-4o":
                check(f"{name} has 5.3 MB", round(size / 1e6, 1), 5.3)
            refused = grpc.StatusCode.RESOURCE_EXHAUSTED
            check(f"{name} straight to Phoenix", direct, refused)
            check(f"{name} through slimspan", through, SpanExportResult.SUCCESS)

        def arrived():
            listed = json.loads(fetch(f"/v1/projects/{PROJECT}/spans?limit=10"))
            return len(listed["data"]) >= len(seen) and listed["data"]

        listed = until("Phoenix has the spans", 60, arrived)
        check("spans in Phoenix", len(listed), 2)
        held = "artifact://bytes/base64,AAECAwQ="
        check("the bytes of one as text", json.dumps(listed).count(held), 1)
        slim = max(len(json.dumps(span)) for span in listed)
        check(f"the largest of them has {slim:,} bytes, less than 10,000", slim < 10_000, True)

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
                args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            )
            for number, (name, span, *_) in enumerate(seen):
                before = len(reads(audit_log))
                page, size, answers = look(browser, span, source)
                check(f"the picture of {name} in the browser", size, [WIDTH, HEIGHT])
                # Each page has a browser of its own, which has not seen it before.
                read = set(reads(audit_log)[before:])
                check(f"who read it for {name}", read, {("read", "default", digest, 200)})
                for key, value in {
                    "content-type": "image/png",
                    "cross-origin-resource-policy": "cross-origin",
                    "x-content-type-options": "nosniff",
                }.items():
                    check(f"its {key}", {answer.headers[key] for answer in answers}, {value})
                if SCREENSHOT and number == 0:
                    page.wait_for_timeout(1_000)
                    page.screenshot(path=SCREENSHOT)
                page.close()
            browser.close()
        check("the picture by the name of a stranger", asked_as("files.example.com", source), 421)


main()
