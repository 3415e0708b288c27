"""A slimspan with artifacts for a browser: how it is configured, started, and sent spans with files.

The ports here are nobody else's in a network namespace: tests/tools/viewer.sh makes one.
"""

import base64
import contextlib
import hashlib
import json
import subprocess
import sys
import time
import urllib.request

from browsing import check, until


class Places:
    """Where one slimspan is: it has three ports from `first` on, and names below `domain` if it has one."""

    def __init__(self, first, domain=None):
        self.receiver, self.artifacts, self.pages = first, first + 1, first + 2
        self.here = [f"http://127.0.0.1:{port}" for port in (self.artifacts, self.pages)]
        self.bytes, self.site = self.own = self.here
        if domain:
            self.own = [f"http://files.{domain}:{self.artifacts}", f"http://pages.{domain}:{self.pages}"]
            self.bytes, self.site = self.own

    def page_of(self, file, tenant=""):
        return f"{self.site}{tenant}/artifacts/{hashlib.sha256(file).hexdigest()}"

    def reference_to(self, called, file):
        extension = called.rsplit(".", 1)[1]
        return f"{self.bytes}/artifacts/{hashlib.sha256(file).hexdigest()}.{extension}"

    def for_programs(self, url):
        """The same place without a name, which browsers alone resolve here."""
        return url.replace(self.bytes, self.here[0]).replace(self.site, self.here[1])


def configuration(places):
    """All of it for anybody on this machine."""
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{places.receiver}"}}}},
        "processors": {"artifact": {"store": "artifact_store", "threshold": "16B"}},
        "exporters": {"debug": {}},
        "extensions": {
            "artifact_store": {
                "url": "./artifacts",
                "catalog": {"directory": "./catalog", "interval": "200ms"},
            },
            "artifact_server": server(places),
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


def server(places):
    return {
        "endpoint": f"127.0.0.1:{places.artifacts}",
        "public_url": places.bytes,
        "pages": {"endpoint": f"127.0.0.1:{places.pages}", "public_url": places.site},
    }


@contextlib.contextmanager
def slimspan(program, folder, config):
    folder.mkdir()
    (folder / "collector.yaml").write_text(json.dumps(config))
    log = folder / "slimspan.log"
    with open(log, "wb") as output:
        running = subprocess.Popen(
            [program, "--config", "collector.yaml"], cwd=folder, stdout=output, stderr=subprocess.STDOUT
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


def send(places, trace, number, name, service, parts, ago, raw=(), token=None):
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
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    asked = urllib.request.Request(
        f"http://127.0.0.1:{places.receiver}/v1/traces", json.dumps(request).encode(), headers
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        check(f"span {name!r}, {len(parts)} files", (answer.status, answer.read()), (200, b"{}"))
