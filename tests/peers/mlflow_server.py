"""MLflow with slimspan in front of it: `mlflow_server.py SLIMSPAN MLFLOW`.

MLflow takes OTLP over HTTP, for an experiment that a header names. A picture in a span, as
OpenInference's instrumentation of the OpenAI client writes it, goes there straight, and all of its base64 is in what
MLflow has stored; and it goes through slimspan, and a link stands in each of these places.

MLflow starts more than one process, so this belongs into a network namespace: tests/tools/peers.sh makes one, and
the ports here are nobody else's.
"""

import base64
import hashlib
import json
import pathlib
import sys
import tempfile
import urllib.request

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from chat import QUESTION, ask, client_of
from running import check, process, until

SLIMSPAN, MLFLOW = (pathlib.Path(argument).absolute() for argument in sys.argv[1:3])
PICTURE = pathlib.Path(__file__).parents[2] / "src/cli/demo/picture.png"

SERVER, RECEIVER, MODEL = 5000, 4327, 8082
# The one that is there from the beginning.
EXPERIMENT = {"x-mlflow-experiment-id": "0"}
FILES = "https://files.example.com"


class Way(SpanExporter):
    """Sends spans by one exporter or another, and keeps what became of them."""

    def __init__(self):
        self.exporter = None
        self.sent = []

    def export(self, spans):
        result = self.exporter.export(spans)
        self.sent += [(f"tr-{span.context.trace_id:032x}", result) for span in spans]
        return result


def fetch(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{SERVER}{path}", timeout=30) as answer:
        return answer.read()


def stored(trace):
    """The spans of a trace that MLflow has, as its REST API gives them."""
    path = f"/api/3.0/mlflow/traces/get?trace_id={trace}&allow_partial=true"
    spans = until(
        f"MLflow has {trace}", 60, lambda: json.loads(fetch(path))["trace"].get("spans")
    )
    check("spans of the trace", len(spans), 1)
    return json.dumps(spans)


def configuration(folder):
    return {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{RECEIVER}"}}}},
        "processors": {"artifact": {"store": "artifact_store"}},
        "exporters": {
            "otlp_http": {"endpoint": f"http://127.0.0.1:{SERVER}", "headers": EXPERIMENT}
        },
        "extensions": {
            "artifact_store": {"url": str(folder / "artifacts"), "public_url": FILES}
        },
        "service": {
            "extensions": ["artifact_store"],
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["artifact"],
                    "exporters": ["otlp_http"],
                }
            },
        },
    }


def both_ways(folder):
    image = PICTURE.read_bytes()
    digest = hashlib.sha256(image).hexdigest()
    text = base64.b64encode(image).decode()
    link = f"{FILES}/artifacts/{digest}.png"

    way = Way()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(way))
    client = client_of(provider, MODEL)

    def send(what, exporter):
        way.exporter, way.sent = exporter, []
        ask(client, text)
        check(f"spans {what}", len(way.sent), 1)
        [(trace, result)] = way.sent
        check(f"a span {what}", result, SpanExportResult.SUCCESS)
        return stored(trace)

    endpoint = f"http://127.0.0.1:{SERVER}/v1/traces"
    straight = send("straight to MLflow", Http(endpoint=endpoint, headers=EXPERIMENT, timeout=30))
    check("it is in the trace that was asked for", QUESTION in straight, True)
    # In what was asked, and in the message.
    places = straight.count(text)
    check(f"base64 is stored in {places} places, two at least", places >= 2, True)
    check("a link", link in straight, False)

    slim = send("through slimspan", Grpc(endpoint=f"http://127.0.0.1:{RECEIVER}", timeout=30))
    check("it is in the trace that was asked for", QUESTION in slim, True)
    links = slim.count(link)
    check(f"links stand in {links} places, not in fewer", links >= places, True)
    check("base64", text[:200] in slim, False)
    check(f"{len(slim):,} bytes are less than {len(straight):,}", len(slim) < len(text), True)

    file = folder / "artifacts" / "default" / "sha256" / digest[:2] / digest
    check("the file in the store is the picture", file.read_bytes() == image, True)
    provider.shutdown()


def main():
    # Processes that MLflow has started may end a little later than it does.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        (folder / "collector.yaml").write_text(json.dumps(configuration(folder)))
        arguments = [MLFLOW, "server", "--host", "127.0.0.1", "--port", str(SERVER)]
        arguments += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        arguments += ["--artifacts-destination", str(folder / "mlflow")]
        mlflow = process(
            arguments,
            folder,
            folder / "mlflow.log",
            MLFLOW_DISABLE_TELEMETRY="true",
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        )
        log = folder / "slimspan.log"
        slimspan = process([SLIMSPAN, "--config", "collector.yaml"], folder, log)
        with mlflow, slimspan:
            until("MLflow answers", 300, lambda: fetch("/health"))
            until("slimspan is ready", 30, lambda: "ready" in log.read_text().split())
            both_ways(folder)


main()
