"""A server of somebody else: hostile files ask it for things, and a backend there shows what references lead to."""

import http.server
import threading

import hostile

PORT = 4331
URL = f"http://127.0.0.1:{PORT}"

# Another site for a browser, although it is the same server: sites go by names, not by ports.
ELSEWHERE = f"http://localhost:{PORT}"


class Stranger(http.server.BaseHTTPRequestHandler):
    """What it is asked for is kept, but for pages that a test has put there."""

    asked = []
    # By path: headers, and HTML.
    pages = {}

    def do_GET(self):
        headers, page = self.pages.get(self.path, ({}, ""))
        if self.path == "/open":
            # Without any protection.
            page = hostile.files(URL)["html"].decode()
        if self.path not in self.pages:
            self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_):
        pass


def serve():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Stranger)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def put(path, body, **headers):
    """A page of a backend; `headers` have _ for -."""
    # It asks for nothing by itself, an icon included.
    page = f'<!doctype html><title>A backend</title><link rel="icon" href="data:,">{body}'
    Stranger.pages[path] = ({name.replace("_", "-"): value for name, value in headers.items()}, page)
