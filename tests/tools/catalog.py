"""What docs/catalog.md asks DuckDB for: reads the catalog of a folder and prints JSON."""

import json
import sys

import duckdb

objects = f"{sys.argv[1]}/catalog/*/*/*.jsonl"
duckdb.sql(
    f"""
    CREATE VIEW entries AS
    SELECT * FROM read_json('{objects}')
    WHERE shape <> ''
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY recorded DESC, settled DESC NULLS LAST) = 1
    """
)


def rows(query, *values):
    return duckdb.execute(query, values).fetchall()


by_signal = rows(
    "SELECT signal, count(*), sum(size_bytes)::BIGINT FROM entries GROUP BY 1 ORDER BY 1"
)
trace, time = rows(
    "SELECT replace(trace_id::VARCHAR, '-', ''), time::TIMESTAMP::VARCHAR FROM entries"
    " WHERE trace_id IS NOT NULL LIMIT 1"
)[0]
newest = rows(
    "SELECT sha256, content_type, state FROM entries WHERE signal = 'traces' AND sha256 IN"
    " (SELECT sha256 FROM entries ORDER BY recorded LIMIT 1)"
)
paths = rows("SELECT path, count(*) FROM entries GROUP BY 1 ORDER BY 1 NULLS FIRST")
json.dump(
    {"by_signal": by_signal, "trace": trace, "time": time, "of_digest": newest, "paths": paths},
    sys.stdout,
)
