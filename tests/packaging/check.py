"""Everything in deploy/ that a cluster would read: `check.py SLIMSPAN PACKAGES [--write]`.

The chart is rendered with each file of its folder ci/, and what comes out is checked against the
schemas of Kubernetes, with those of the Prometheus Operator from PACKAGES, against what the `restricted` Pod Security Standard asks for, and by slimspan
itself, which reads the configuration. Values that make no sense have to be refused, and
deploy/kubernetes/slimspan.yaml has to be what the chart makes; --write writes it.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml
from chart import helm, lint, render

ROOT = pathlib.Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/slimspan"
PLAIN = ROOT / "deploy/kubernetes"
VERSIONS = ["1.30", "1.34", "1.37"]
# Packages of Node.js.
PACKAGES = pathlib.Path(sys.argv[2]).resolve()

PLAIN_HEADER = """\
# One gateway without Helm: kubectl apply -n observability -f slimspan.yaml
# Set the endpoint of the backend, the url of the store, and where people open files (public_url) first. A
# Secret called slimspan has the credentials of the store as environment variables, and with them
# SLIMSPAN_TOKEN, by which files are opened, and SLIMSPAN_LINKS, which signs links: openssl rand -hex 32.
#
# The chart makes this file, with values.yaml: make packaging WRITE=1
"""

problems = []
checked = set()


def problem(where, what):
    problems.append(f"{where}: {what}")


def check_pod(where, pod, runs_on=True):
    """What the `restricted` standard asks for, and a root file system that cannot be written to."""
    security = pod.get("securityContext", {})
    rules = {
        "runAsNonRoot": security.get("runAsNonRoot") is True,
        "seccompProfile": security.get("seccompProfile") == {"type": "RuntimeDefault"},
        "no token of Kubernetes": pod.get("automountServiceAccountToken") is False,
        "nothing of the host": not any(pod.get(f"host{it}") for it in ["Network", "PID", "IPC"]),
    }
    kinds = {"configMap", "emptyDir", "secret", "projected", "persistentVolumeClaim"}
    for volume in pod.get("volumes", []):
        rules[f"volume {volume['name']}"] = set(volume) - {"name"} <= kinds
    mounted = {volume["name"] for volume in pod.get("volumes", [])}
    for container in pod["containers"]:
        own = container.get("securityContext", {})
        names = {port["name"] for port in container.get("ports", [])}
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] if runs_on else []:
            asked = container.get(probe, {}).get("httpGet", {}).get("port")
            rules[f"{probe} asks a port that there is"] = asked in names
        rules |= {
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
            "a limit of memory": "memory" in container.get("resources", {}).get("limits", {}),
            "a volume for every mount": {it["name"] for it in container["volumeMounts"]}
            <= mounted | {"slimspan-data"},
        }
    for rule, holds in rules.items():
        if not holds:
            problem(where, f"not as the restricted standard wants it: {rule}")


def check_pod_monitor(where, document):
    script = pathlib.Path(__file__).with_name("podmonitor.mjs")
    text = json.dumps(document)
    result = subprocess.run(
        ["node", script, PACKAGES], input=text, capture_output=True, text=True
    )
    if result.returncode != 0:
        problem(where, f"PodMonitor: {result.stderr}")
    checked.add("PodMonitor")


def check_document(where, document):
    kind = document["kind"]
    # The schemas of Kubernetes do not have it.
    if kind == "PodMonitor":
        check_pod_monitor(where, document)
    else:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                problem(where, f"{kind}, Kubernetes {version}: {error.message}")
    if template := document.get("spec", {}).get("template"):
        labels = template["metadata"]["labels"].items()
        if not document["spec"]["selector"]["matchLabels"].items() <= labels:
            problem(where, f"{kind}: its selector does not select its own pods")
        check_pod(f"{where}: {kind}", template["spec"])


def check_jobs(where, slimspan, documents):
    """What is run by a schedule is a command of slimspan, in a pod that belongs to nothing else."""
    specs = [it.get("spec", {}) for it in documents]
    selectors = [spec["selector"] for spec in specs if isinstance(spec.get("selector"), dict)]
    selectors += [spec["podSelector"] for spec in specs if "podSelector" in spec]
    for document in documents:
        if document["kind"] != "CronJob":
            continue
        name = f"{where}: {document['metadata']['name']}"
        template = document["spec"]["jobTemplate"]["spec"]["template"]
        check_pod(name, template["spec"], runs_on=False)
        labels = template["metadata"]["labels"].items()
        for selector in selectors:
            if selector.get("matchLabels", selector).items() <= labels:
                problem(name, f"its pods are selected by {selector}")
        [container] = template["spec"]["containers"]
        command = [slimspan, *container["args"], "--help"]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            problem(name, f"slimspan does not take {container['args']}: {result.stderr}")
        checked.add("CronJob")


def check_ports(where, config, documents):
    """What the configuration listens on is what the containers say, and the other way round."""
    pods = [it["spec"]["template"]["spec"] for it in documents if "template" in it.get("spec", {})]
    if not pods:
        return
    said = {port["name"]: port["containerPort"] for port in pods[0]["containers"][0]["ports"]}
    protocols = config["receivers"]["otlp"]["protocols"].items()
    listening = {f"otlp-{name}": at["endpoint"] for name, at in protocols}
    listening["health"] = config["extensions"]["health_check"]["endpoint"]
    [reader] = config["service"]["telemetry"]["metrics"]["readers"]
    prometheus = reader["pull"]["exporter"]["prometheus"]
    listening["metrics"] = f"{prometheus['host']}:{prometheus['port']}"
    if server := config["extensions"].get("artifact_server"):
        listening["files"] = server["endpoint"]
        listening["pages"] = server["pages"]["endpoint"]
    expected = {name: f"0.0.0.0:{port}" for name, port in said.items()}
    if listening != expected:
        problem(where, f"listens on {listening}, and the container says {expected}")


def check_config(where, slimspan, text):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "collector.yaml"
        file.write_text(text)
        command = [slimspan, "validate", "--config", file]
        # What a Secret would have.
        names = re.findall(r"\$\{env:(\w+)\}", text)
        secrets = {name: f"{name}-{'x' * 64}" for name in names}
        result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **secrets})
    if result.returncode != 0:
        problem(where, f"slimspan does not take the configuration: {result.stderr}")


def check_values(configuration, slimspan, file):
    where = file.relative_to(ROOT)
    manifest, notes = render(configuration, CHART, yaml.safe_load(file.read_text()))
    documents = [document for document in yaml.safe_load_all(manifest) if document]
    kinds = [document["kind"] for document in documents]
    for document in documents:
        check_document(where, document)
        if document["kind"] == "ConfigMap":
            text = document["data"]["collector.yaml"]
            check_config(where, slimspan, text)
            check_ports(where, yaml.safe_load(text), documents)
    check_jobs(where, slimspan, documents)
    if "sidecar" in file.name:
        check_sidecar(where, notes)
    print(f"ok: {where}: {', '.join(sorted(kinds))}")
    return manifest


def check_sidecar(where, notes):
    """The notes show a piece of a pod, which has to be one."""
    start = notes.index("initContainers:")
    piece = yaml.safe_load(notes[start : notes.index("\n\n", start)])
    pod = {"containers": [{"name": "application", "image": "application"}], **piece}
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod}
    check_document(where, document)
    [container] = piece["initContainers"]
    security = container["securityContext"]
    pod = {"automountServiceAccountToken": False, "securityContext": security, **piece}
    check_pod(where, {**pod, "containers": [container]})


# An artifact_server that says this of itself.
SERVED = (
    "{artifactServer: {enabled: true}, config: {exporters: {otlp_grpc: {endpoint: 'a:1'}}, "
    "extensions: {artifact_store: {url: 's3://b'}, artifact_server: {%s}}}}"
)
SERVED_AT = "public_url: 'https://f.example.com', pages: {public_url: 'https://p.example.com'}"

# Values that the chart refuses, each with a word of the reason.
REFUSED = [
    ("{}", "endpoint"),
    ("{config: {exporters: {otlp_grpc: {endpoint: 'a:1'}}}}", "url"),
    ("{mode: cluster}", "mode"),
    ("{replicass: 3}", "replicass"),
    ("{persistence: {enabled: true}, mode: daemonset}", "mode: gateway"),
    ("{persistence: {enabled: true}, autoscaling: {enabled: true}}", "autoscaling"),
    ("{podMonitor: {enabled: true}, mode: sidecar}", "podMonitor"),
    ("{image: {digest: latest}}", "digest"),
    ("{artifactServer: {enabled: true}}", "public_url"),
    ("{artifactServer: {enabled: true}, mode: sidecar}", "mode: gateway"),
    (SERVED % "public_url: 'https://f.example.com'", "pages.public_url"),
    (SERVED % SERVED_AT, "artifact_server.auth"),
    (SERVED % f"{SERVED_AT}, auth: {{authenticator: basicauth}}", "links.keys"),
    ("{upkeep: {gc: {enabled: true}}}", "max_age"),
]


def check_refusals(configuration):
    complete = yaml.safe_load((CHART / "ci/gateway.yaml").read_text())
    for text, reason in REFUSED:
        values = yaml.safe_load(text)
        if values.get("mode") == "sidecar" or values.keys() & {"persistence", "artifactServer", "upkeep"}:
            values = {**complete, **values}
        try:
            render(configuration, CHART, values)
        except Exception as error:
            if reason not in str(error):
                problem(text, f"refused, but without saying {reason!r}: {error}")
        else:
            problem(text, "not refused")
    print(f"ok: {len(REFUSED)} kinds of wrong values are refused")


def main():
    slimspan = pathlib.Path(sys.argv[1]).resolve()
    plain = PLAIN / "slimspan.yaml"
    with helm() as configuration:
        for message in lint(configuration, CHART):
            problem("lint", message)
        for file in sorted((CHART / "ci").glob("*.yaml")):
            check_values(configuration, slimspan, file)
        check_refusals(configuration)
        for kind in {"PodMonitor", "CronJob"} - checked:
            problem("deploy/helm/slimspan/ci", f"no file of it has a {kind} made")
        manifest = check_values(configuration, slimspan, PLAIN / "values.yaml")
    # Nothing of it is Helm's.
    lines = manifest.strip().splitlines()
    foreign = ("# Source:", "helm.sh/chart:", "app.kubernetes.io/managed-by:")
    lines = [line for line in lines if not line.strip().startswith(foreign)]
    manifest = PLAIN_HEADER + "\n".join(lines) + "\n"
    if "--write" in sys.argv:
        plain.write_text(manifest)
    elif not plain.exists() or plain.read_text() != manifest:
        problem(plain.relative_to(ROOT), "not what the chart makes: make packaging WRITE=1")
    for line in problems:
        print(line, file=sys.stderr)
    sys.exit(bool(problems))


main()
