"""The Grafana dashboard asks only for what slimspan tells: `dashboard.py DASHBOARD TABLE`.

Grafana's own models have to know every key of it. Every query has to be PromQL, and every metric in it has to stand in the table of docs/telemetry.md,
with the labels that the query names. Panels must not lie over each other.
"""

import json
import re
import sys

import promql_parser as promql
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

# What Prometheus adds to every series.
ADDED = {"job", "instance"}


def table(path):
    """The labels of each series, by its name."""
    series = {}
    text = open(path).read()
    _, text = text.split("<!-- metrics -->")
    for line in text.split("<!-- end -->")[0].splitlines()[3:]:
        name, kind, labels, *_ = [cell.strip() for cell in line.strip("|").split("|")]
        labels = set(re.findall(r"`(\w+)`", labels))
        name = name.strip("`")
        if kind == "histogram":
            series[f"{name}_bucket"] = labels | {"le"}
            series[f"{name}_sum"] = series[f"{name}_count"] = labels
        else:
            series[name] = labels
    return series


def selectors(expression):
    """The selectors of an expression, each with the labels that are asked of it further out."""
    match expression:
        case promql.AggregateExpr():
            modifier = expression.modifier
            asked = set(modifier.labels) if modifier else set()
            return [(one, labels | asked) for one, labels in selectors(expression.expr)]
        case promql.Call():
            return [found for one in expression.args for found in selectors(one)]
        case promql.BinaryExpr():
            return selectors(expression.lhs) + selectors(expression.rhs)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return selectors(expression.expr)
        case promql.MatrixSelector():
            return [(expression.vector_selector, set())]
        case promql.VectorSelector():
            return [(expression, set())]
        case promql.NumberLiteral() | promql.StringLiteral():
            return []
    raise TypeError(f"not looked into: {type(expression).__name__}")


def check_query(where, query, known):
    text = re.sub(r"\$__rate_interval", "5m", query)
    try:
        found = selectors(promql.parse(text))
    except ValueError as error:
        return [f"{where}: {error}: {query}"]
    problems = []
    for selector, asked in found:
        matched = {matcher.name for matcher in selector.matchers.matchers}
        if selector.name not in known:
            problems.append(f"{where}: there is no metric {selector.name}")
        elif unknown := (asked | matched) - known[selector.name] - ADDED:
            problems.append(f"{where}: {selector.name} has no label {', '.join(sorted(unknown))}")
        if not ADDED <= matched:
            problems.append(f"{where}: {selector.name} is not limited to $job and $instance")
    return problems


def read_by_grafana(dashboard):
    """What is left of a dashboard that Grafana's models have read: what they do not know, they drop."""
    plugins.register_default_plugins()
    return json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard)))


def differences(where, ours, read):
    if isinstance(ours, dict) and isinstance(read, dict):
        for key in ours:
            if key in read:
                yield from differences(f"{where}.{key}", ours[key], read[key])
            else:
                yield f"{where}: Grafana knows no {key}"
    elif isinstance(ours, list) and isinstance(read, list) and len(ours) == len(read):
        for index, (one, other) in enumerate(zip(ours, read)):
            yield from differences(f"{where}[{index}]", one, other)
    elif ours != read:
        yield f"{where}: to Grafana {ours!r} is {read!r}"


def main():
    dashboard = json.load(open(sys.argv[1]))
    known = table(sys.argv[2])
    problems, taken, ids, queries = [], {}, set(), 0
    problems += differences("the dashboard", dashboard, read_by_grafana(dashboard))
    for panel in dashboard["panels"]:
        title = panel["title"]
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if x >= 24 or taken.setdefault((x, y), title) != title:
                    problems.append(f"{title}: lies over {taken.get((x, y), 'the edge')}")
        if panel["id"] in ids:
            problems.append(f"{title}: its id is another's, too")
        ids.add(panel["id"])
        for target in panel.get("targets", []):
            queries += 1
            problems += check_query(title, target["expr"], known)
    for variable in dashboard["templating"]["list"]:
        for name in re.findall(r"label_values\((\w+)", json.dumps(variable.get("query", ""))):
            if name not in known:
                problems.append(f"${variable['name']}: there is no metric {name}")
    if not queries or not known:
        problems.append("there are no queries, or no metrics")
    for problem in sorted(set(problems)):
        print(problem, file=sys.stderr)
    if not problems:
        print(f"ok: {sys.argv[1]}: {queries} queries of {len(known)} series")
    sys.exit(bool(problems))


main()
