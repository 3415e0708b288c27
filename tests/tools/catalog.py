"""Runs the SQL that it is given, which docs/catalog.md publishes, and prints as JSON what its views show."""

import json
import sys

import duckdb

statements = duckdb.extract_statements(sys.argv[1])
answers = [duckdb.execute(statement).fetchall() for statement in statements]


def rows(view):
    # Times as numbers: as what Python has for them they need a package more.
    columns = "* EXCLUDE (recorded, settled, time), epoch_us(time) AS microseconds"
    found = duckdb.execute(f"SELECT {columns} FROM {view} ORDER BY id")
    names = [column[0] for column in found.description]
    return [dict(zip(names, row)) for row in found.fetchall()]


types = duckdb.execute("SELECT column_name, column_type FROM (DESCRIBE entries)").fetchall()
json.dump(
    {
        "summary": next(answer for answer in answers if answer),
        "types": dict(types),
        "entries": rows("entries"),
        "listed": rows("listed"),
    },
    sys.stdout,
)
