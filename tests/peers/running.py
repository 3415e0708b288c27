"""Servers of a test: processes with their logs, web servers of its own, and what it waits for."""

import contextlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, status, kind="text/plain", body=b""):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(port, handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


@contextlib.contextmanager
def process(arguments, folder, log, **environment):
    """A process, which ends with all that it has started."""
    with open(log, "wb") as output:
        running = subprocess.Popen(
            arguments,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield running
    except BaseException:
        print(f"--- {log.name}\n{log.read_text()[-4000:]}", file=sys.stderr)
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGTERM)
        running.wait(30)


def until(what, seconds, attempt):
    """Asks until there is an answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, urllib.error.URLError):
            if answer := attempt():
                return answer
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {seconds} s")


def check(what, found, expected):
    if found != expected:
        raise AssertionError(f"{what}: {found!r}, not {expected!r}")
    print(f"ok: {what}: {found}")
