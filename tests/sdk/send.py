"""Sends a picture in four ways, and a span without one: `send.py <picture>`.

Prints what the exporter returned for each span, as a JSON list. Where to send, by which protocol and
how compressed, is said by the SDK's own environment variables.
"""

import base64
import json
import os
import pathlib
import sys

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
if protocol == "http/protobuf":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Exporter

    exporter = Exporter()
elif protocol == "http/json":
    from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as Exporter

    exporter = Exporter()
else:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Exporter

    exporter = Exporter(insecure=True)

picture = pathlib.Path(sys.argv[1]).read_bytes()
text = base64.b64encode(picture).decode()
results = []


class Witness(SpanExporter):
    """Writes down what the real exporter says."""

    def __init__(self):
        self.exporter = exporter

    def export(self, spans):
        result = self.exporter.export(spans)
        results.append(result.name)
        return result

    def shutdown(self):
        self.exporter.shutdown()


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Witness()))
tracer = provider.get_tracer("send.py")

messages = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": text}},
        ],
    }
]
for attributes in [
    {"picture": f"data:image/png;base64,{text}"},
    {"gen_ai.input.messages": json.dumps(messages)},
    {"picture": text},
    {"picture": picture},
    {"http.request.method": "GET"},
]:
    with tracer.start_as_current_span("chat", attributes=attributes):
        pass

provider.shutdown()
json.dump(results, sys.stdout)
