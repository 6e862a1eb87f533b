"""What DuckDB finds in the objects that duckdb.rs wrote. Prints one JSON object."""

import json
import struct
import sys

import duckdb

samples, rollups = sys.argv[1:3]
connection = duckdb.connect()


def ask(query):
    return connection.execute(query).fetchall()


def checksum(rows):
    """Of (milliseconds, double) pairs, bit by bit, in any order."""
    bits = lambda value: struct.unpack("<Q", struct.pack("<d", value))[0]
    return str(sum((bits(value) ^ (at * 0x9E3779B97F4A7C15)) & (2**64 - 1) for at, value in rows) & (2**64 - 1))


value = "coalesce(value, dec / pow(10, scale))"
print(json.dumps({
    "rows": ask(f"select count(*) from '{samples}'")[0][0],
    "series": ask(f"select count(distinct series) from '{samples}'")[0][0],
    "stale": ask(f"select count(*) from '{samples}' where isnan({value})")[0][0],
    # Whole numbers, so that the sum is exact.
    "received": str(ask(
        f"select sum(dec) from '{samples}' where metric = 'node_network_receive_bytes_total' and scale = 0")[0][0]),
    "bits": checksum(ask(f"select epoch_ms(timestamp), {value} from '{samples}'")),
    "up": ask(
        f"select count(*) from '{samples}' where metric = 'node_network_up' and labels->>'instance' = 'web-1'")[0][0],
    "rollups": ask(f"select count(*) from '{rollups}'")[0][0],
    "counted": int(ask(f"select sum(count) from '{rollups}'")[0][0]),
    "last_bits": checksum(ask(
        f"select epoch_ms(timestamp), coalesce(last, last_dec / pow(10, scale)) from '{rollups}' where count > 0")),
    "increase_bits": checksum(ask(
        "select epoch_ms(timestamp), coalesce(increase, increase_dec / pow(10, scale),"
        " coalesce(last, last_dec / pow(10, scale)) - coalesce(first, first_dec / pow(10, scale)))"
        f" from '{rollups}' where count > 0")),
}))
