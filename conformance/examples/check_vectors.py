#!/usr/bin/env python3
"""Holds wire.py against testdata/vectors/wire.json. Exits with 1 when a vector fails,
with 2 when there is none."""

import json
import sys
from pathlib import Path

import wire

VECTORS = Path(__file__).resolve().parents[2] / "testdata" / "vectors" / "wire.json"


def input_of(vector):
    if "hex" in vector:
        return bytes.fromhex(vector["hex"])
    return bytes.fromhex(vector["repeat"]["hex"]) * vector["repeat"]["times"]


def from_json(schema, value):
    """Turns the value of a vector into one of wire.py."""
    fields = {field.name: field for field in wire.SCHEMAS[schema].values()}

    def one(kind, v):
        if kind == "bytes":
            return bytes.fromhex(v["hex"])
        if kind == "uint64":
            return int(v)
        return from_json(kind, v) if kind in wire.SCHEMAS else v

    return {name: one(fields[name].kind, v) for name, v in value.items()}


def check_good(vector):
    """Returns what is wrong, or None."""
    schema, data = vector["schema"], input_of(vector)
    canonical = bytes.fromhex(vector["canonical"]) if "canonical" in vector else data
    want = wire.meaning(schema, from_json(schema, vector["value"]))
    for read in (data, canonical):
        got = wire.meaning(schema, wire.decode(schema, read))
        if got != want:
            return f"decoded {got}, want {want}"
    encoded = wire.encode(schema, want)
    if encoded != canonical:
        return f"encoded {encoded.hex()}, want {canonical.hex()}"
    return None


def check_failing(vector):
    try:
        got = wire.decode(vector["schema"], input_of(vector))
    except wire.DecodeError as err:
        return None if err.reason == vector["error"] else f"{err}; want {vector['error']}"
    return f"decoded {got}, want {vector['error']}"


def main():
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    failed = 0
    for list_name, check in (("vectors", check_good), ("failing", check_failing)):
        for vector in vectors[list_name]:
            try:
                wrong = check(vector)
            except (wire.DecodeError, KeyError, ValueError) as err:
                wrong = repr(err)
            if wrong:
                failed += 1
                print(f"{vector['schema']} {vector['name']}: {wrong} ({vector.get('note', '')})")
        if not vectors[list_name]:
            sys.exit(2)
    print(f"{len(vectors['vectors'])} vectors, {len(vectors['failing'])} to be refused, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
