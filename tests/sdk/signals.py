"""Sends a log record with a picture, and a metric: `signals.py PICTURE PROTOCOL`, with grpc, http/protobuf or
http/json.

Prints what the exporters returned for each, as a JSON list. Where to send, whom to trust and what to say of
itself is said by the SDK's own environment variables.
"""

import importlib
import json
import pathlib
import sys

from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

picture = pathlib.Path(sys.argv[1]).read_bytes()
of = {"grpc": "proto.grpc", "http/protobuf": "proto.http", "http/json": "json.http"}[sys.argv[2]]
results = []


def witness(module, name):
    """The real exporter, of which is written down what it says."""
    exporter = getattr(importlib.import_module(f"opentelemetry.exporter.otlp.{of}.{module}"), name)()
    send = exporter.export

    def export(items, *args, **kwargs):
        result = send(items, *args, **kwargs)
        results.append(result.name)
        return result

    exporter.export = export
    return exporter


logs = LoggerProvider()
logs.add_log_record_processor(SimpleLogRecordProcessor(witness("_log_exporter", "OTLPLogExporter")))
logs.get_logger("signals").emit(LogRecord(body={"picture": picture}))
logs.shutdown()

reader = PeriodicExportingMetricReader(
    witness("metric_exporter", "OTLPMetricExporter"), export_interval_millis=3_600_000
)
metrics = MeterProvider(metric_readers=[reader])
metrics.get_meter("signals").create_counter("pictures.sent").add(3)
# At the end it is sent, and not before.
metrics.shutdown()

json.dump(results, sys.stdout)
