"""The Helm chart, rendered by Helm's own library.

Helm's library installs into a cluster and has no `helm template` to call. So it installs into one
that only says which kinds there are, and that nothing exists yet; what Helm made of the chart is in
the release.
"""

import asyncio
import contextlib
import http.server
import json
import pathlib
import sys
import tempfile
import threading

import helm_sdkpy
import yaml

# What there is to make in this cluster: kinds by the version of their API.
KINDS = {
    "v1": ["ConfigMap", "Secret", "Service", "ServiceAccount"],
    "apps/v1": ["DaemonSet", "Deployment", "StatefulSet"],
    "autoscaling/v2": ["HorizontalPodAutoscaler"],
    "batch/v1": ["CronJob"],
    "networking.k8s.io/v1": ["NetworkPolicy"],
    "policy/v1": ["PodDisruptionBudget"],
    "monitoring.coreos.com/v1": ["PodMonitor"],
}
KUBERNETES = "v1.34.0"


def plural(kind):
    return kind.lower()[:-1] + "ies" if kind.endswith("y") else kind.lower() + "s"


class Cluster(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, answer, kind="application/json"):
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if path.endswith("/secrets"):
            # Where Helm keeps its releases.
            self.reply(200, {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []})
        elif path == "/version":
            _, minor, _ = KUBERNETES.split(".")
            self.reply(200, {"major": "1", "minor": minor, "gitVersion": KUBERNETES})
        elif path == "/api":
            self.reply(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif path == "/apis":
            groups = []
            for known in KINDS:
                if "/" in known:
                    name, short = known.split("/")
                    entry = {"groupVersion": known, "version": short}
                    groups.append({"name": name, "versions": [entry], "preferredVersion": entry})
            self.reply(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        elif version in KINDS:
            resources = [
                {
                    "name": plural(kind),
                    "singularName": kind.lower(),
                    "namespaced": True,
                    "kind": kind,
                    "verbs": ["create", "get"],
                }
                for kind in KINDS[version]
            ]
            answer = {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
            self.reply(200, answer)
        else:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
            self.reply(404, {**status, "reason": "NotFound", "code": 404, "message": path})

    def do_POST(self):
        # Made as it is asked for; releases come as protobuf.
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(201, body, self.headers["Content-Type"])

    do_PUT = do_POST


@contextlib.contextmanager
def helm():
    """Helm with a cluster that is not there."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = pathlib.Path(folder) / "kubeconfig"
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "none",
                    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
                    "clusters": [{"name": "none", "cluster": {"server": address}}],
                    "users": [{"name": "none", "user": {}}],
                }
            )
        )
        yield helm_sdkpy.Configuration(namespace="observability", kubeconfig=str(kubeconfig))
    server.shutdown()


def render(configuration, chart, values):
    """The manifests and the notes; raises what Helm says if the chart does not take the values."""
    action = helm_sdkpy.Install(configuration)
    run = action.run("slimspan", str(chart), values=values, wait=False)
    release = asyncio.run(run)
    return release["manifest"], release["info"].get("notes", "")


def lint(configuration, chart):
    """What Helm finds, but for its wish for an icon."""
    result = asyncio.run(helm_sdkpy.Lint(configuration).run(str(chart)))
    found = result["Messages"] or []
    return [message for message in found if message["Severity"] > 1]


if __name__ == "__main__":
    chart, file = sys.argv[1:]
    with helm() as configuration:
        manifest, _ = render(configuration, chart, yaml.safe_load(open(file)))
    sys.stdout.write(manifest)
