#!/usr/bin/env python3
"""Holds wire.py against testdata/vectors/wire.json, and against the frames of
chunks.json; and sigver.py against the request targets of addresses.json. Exits with 1
when a vector fails, with 2 when a list is empty."""

import json
import sys
from pathlib import Path

import sigver
import wire

VECTORS = Path(__file__).resolve().parents[2] / "testdata" / "vectors"
CHUNK = 15_000  # MSG-4


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


def pieces(frame, content):
    """Puts a list of pieces together."""
    return b"".join(bytes.fromhex(p) if isinstance(p, str) else content[p[0] : p[1]] for p in frame)


def check_sent(vector):
    """Makes the frames of a user message (MSG-3, MSG-4, EXT-4)."""
    pattern, length = bytes.fromhex(vector["content"]["hex"]), vector["content"]["length"]
    content = (pattern * (length // len(pattern) + 1))[:length]
    frames = []
    for nb in range(max(1, -(-length // CHUNK))):
        message = {"length": length, "type": vector["type"]}
        if length <= CHUNK:
            message["full"] = content
        else:
            part = content[nb * CHUNK : (nb + 1) * CHUNK]
            message["chunk"] = {"id": vector["id"], "nb": nb, "content": part}
        if "number" in vector:
            message.update(number=vector["number"] + nb, session=vector["session"], all=vector["all"])
        frames.append(wire.encode("userMessage.Message", message))
    want = [pieces(frame, content) for frame in vector["frames"]]
    return None if frames == want else f"{len(frames)} frames, not these {len(want)}"


def check_target(vector):
    key, favored = sigver.parse_target(vector["target"].encode())
    if "close" in vector:  # SIG-2
        return None if not 1 <= len(key) <= 512 else f"a key of {len(key)} bytes"
    if "unlike" in vector and sigver.parse_target(vector["unlike"].encode())[0] == key:
        return f"the same key as {vector['unlike']}"
    if (key, favored) == (vector["key"].encode(), vector["favored"]):
        return None
    return f"the key {key}, favored {favored}"


def check(file, lists):
    """Returns how many vectors there are, and how many fail."""
    vectors = json.loads((VECTORS / file).read_text(encoding="utf-8"))
    count = failed = 0
    for list_name, check_one in lists.items():
        for vector in vectors[list_name]:
            try:
                wrong = check_one(vector)
            except (wire.DecodeError, KeyError, ValueError) as err:
                wrong = repr(err)
            count += 1
            if wrong:
                failed += 1
                print(f"{file} {list_name} {vector.get('schema', '')} {vector['name']}: {wrong} ({vector.get('note', '')})")
        if not vectors[list_name]:
            sys.exit(2)
    return count, failed


def main():
    results = [
        check("wire.json", {"vectors": check_good, "failing": check_failing}),
        check("chunks.json", {"sent": check_sent}),
        check("addresses.json", {"targets": check_target, "targetsRefused": check_target}),
    ]
    count, failed = (sum(numbers) for numbers in zip(*results))
    print(f"{count} vectors, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
