"""The messages of Netflux and Sigver (SPEC.md, chapter WIR), in Python 3 alone.

decode(schema, data) returns a dict of the fields that were there, by the names of
SPEC.md; encode(schema, value) returns the canonical encoding (WIR-14). Text is str,
bytes are bytes, lists are lists, embedded messages are dicts. A field that is missing
from the dict has its default value.
"""

from typing import NamedTuple

MAX_SIZE = 1 << 20  # WIR-12: the limit of the vectors; a program may have a lower one
MAX_GROUPS = 100  # WIR-5


class DecodeError(Exception):
    """A message that must be refused. reason is that of testdata/vectors/README.md."""

    def __init__(self, reason, what):
        super().__init__(f"{reason}: {what}")
        self.reason = reason


class Field(NamedTuple):
    name: str
    kind: str  # uint32, uint64, bool, string, bytes, or the name of a schema
    # When it is written (WIR-14): always; present, oneof, when it is there; set, list, when
    # it is not the default; numbered, when the message has a number.
    rule: str


def _schema(**fields):
    """Makes a schema of name="NUMBER KIND RULE"."""
    split = {name: text.split() for name, text in fields.items()}
    return {int(n): Field(name, kind, rule) for name, (n, kind, rule) in split.items()}


_INFO = "channelBuilder.Info"
SCHEMAS = {
    "Message": _schema(
        senderId="1 uint32 always", recipientId="2 uint32 always", serviceId="3 uint32 always",
        content="4 bytes present"),
    "signaling.Message": _schema(
        heartbeat="1 bool oneof", content="2 signaling.Content oneof",
        connect="3 signaling.GroupData oneof", connected="4 bool oneof"),
    "signaling.Content": _schema(
        senderId="1 uint32 always", recipientId="2 uint32 always", lastData="3 bool set",
        data="4 bytes present"),
    "signaling.GroupData": _schema(id="1 uint32 always", members="2 uint32 list"),
    "channel.Message": _schema(initPing="1 channel.Data oneof", initPong="2 uint32 oneof"),
    "channel.Data": _schema(
        topology="1 uint32 always", wcId="2 uint32 always", senderId="3 uint32 always",
        members="4 uint32 list", key="5 string always"),
    "channelBuilder.Message": _schema(
        negotiation="1 channelBuilder.Negotiation oneof", connectionRequest="2 bytes oneof",
        connectionResponse="3 bool oneof"),
    "channelBuilder.Negotiation": _schema(
        initiator=f"1 {_INFO} always", passive=f"2 {_INFO} present"),
    _INFO: _schema(
        id="1 uint32 set", wss="2 string set", wcId="3 uint32 always",
        wsSupported="4 bool always", wsTried="5 bool always",
        dcSupported="6 bool always", dcTried="7 bool always"),
    "dataChannelBuilder.Message": _schema(
        offer="1 string oneof", answer="2 string oneof",
        candidate="3 dataChannelBuilder.IceCandidate oneof"),
    "dataChannelBuilder.IceCandidate": _schema(
        candidate="1 string always", sdpMid="2 string always", sdpMLineIndex="3 uint32 always"),
    "fullMesh.Message": _schema(
        members="1 fullMesh.Peers oneof", adjacentMembers="3 fullMesh.Peers oneof",
        heartbeat="4 bool oneof"),
    "fullMesh.Peers": _schema(ids="1 uint32 list"),
    "fullMesh.ConnectionRequest": _schema(id="1 uint32 always", adjacentIds="2 uint32 list"),
    "userMessage.Message": _schema(
        length="1 uint32 always", type="2 uint32 always", full="3 bytes oneof",
        chunk="4 userMessage.Chunk oneof",
        number="77 uint64 numbered", session="78 uint32 numbered", all="79 bool numbered"),
    "userMessage.Chunk": _schema(id="1 uint32 always", nb="2 uint32 always", content="4 bytes always"),
    "delivery.Message": _schema(
        hello="1 delivery.Hello oneof", ack="2 delivery.Ack oneof", probe="3 bool oneof",
        bye="4 bool oneof"),
    "delivery.Hello": _schema(
        version="1 uint32 always", session="2 uint32 always", echo="3 uint32 always",
        window="4 uint32 always"),
    "delivery.Ack": _schema(session="1 uint32 always", number="2 uint64 always"),
}

DEFAULTS = {"uint32": 0, "uint64": 0, "bool": False, "string": "", "bytes": b""}


def default(field):
    return [] if field.rule == "list" else DEFAULTS.get(field.kind, {})


class _Reader:
    """Reads a message, or an embedded one: nothing is read beyond its end (WIR-9)."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def more(self):
        return self.at < len(self.data)

    def varint(self):
        value = 0
        for i in range(10):
            if not self.more():
                raise DecodeError("truncated", "ends inside a varint")
            byte = self.data[self.at]
            self.at += 1
            if i == 9 and byte > 1:  # WIR-8: 64 bits
                break
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                return value
        raise DecodeError("overlong", "a varint of more than 10 bytes or 64 bits")

    def tag(self):
        tag = self.varint()
        number, wire_type = tag >> 3, tag & 7
        if not 1 <= number < 1 << 29 or wire_type > 5:  # WIR-10
            raise DecodeError("malformed", f"field {number} of wire type {wire_type}")
        return number, wire_type

    def take(self, n):
        if n > len(self.data) - self.at:
            raise DecodeError("truncated", f"{n} bytes are not there")
        self.at += n
        return self.data[self.at - n : self.at]

    def skip(self, number, wire_type):
        """Skips a field that is not known (WIR-5), or has another wire type (WIR-6)."""
        begun = []  # the groups that have not ended
        while True:
            if wire_type == 0:
                self.varint()
            elif wire_type == 1:
                self.take(8)
            elif wire_type == 2:
                self.take(self.varint())
            elif wire_type == 5:
                self.take(4)
            elif wire_type == 3:
                begun.append(number)
                if len(begun) > MAX_GROUPS:
                    raise DecodeError("malformed", "groups nested too deep")
            elif not begun or begun.pop() != number:
                raise DecodeError("malformed", "the end of a group that was not begun")
            if not begun:
                return
            if not self.more():
                raise DecodeError("truncated", "ends inside a group")
            number, wire_type = self.tag()


def decode(schema, data):
    """Returns the fields of a message; raises DecodeError when it must be refused."""
    if len(data) > MAX_SIZE:
        raise DecodeError("oversized", f"{len(data)} bytes")
    return _decode(SCHEMAS[schema], _Reader(data))


def _decode(fields, r):
    value = {}
    while r.more():
        number, wire_type = r.tag()
        field = fields.get(number)
        if field is None:
            r.skip(number, wire_type)
        elif field.rule == "list" and wire_type == 2:  # WIR-4: packed
            packed = _Reader(r.take(r.varint()))
            while packed.more():
                value.setdefault(field.name, []).append(packed.varint() & 0xFFFFFFFF)
        elif wire_type != (0 if field.kind in ("uint32", "uint64", "bool") else 2):
            r.skip(number, wire_type)
        elif field.rule == "list":
            value.setdefault(field.name, []).append(r.varint() & 0xFFFFFFFF)
        else:
            if field.rule == "oneof":  # WIR-3: the last on the wire counts
                for other in fields.values():
                    if other.rule == "oneof":
                        value.pop(other.name, None)
            value[field.name] = _decode_one(field, r)
    return value


def _decode_one(field, r):
    if field.kind == "uint32":
        return r.varint() & 0xFFFFFFFF  # WIR-8: the low 32 bits
    if field.kind == "uint64":
        return r.varint()
    if field.kind == "bool":
        return r.varint() != 0
    content = r.take(r.varint())
    if field.kind == "bytes":
        return bytes(content)
    if field.kind == "string":
        try:
            return str(content, "utf-8")
        except UnicodeDecodeError as err:  # WIR-11
            raise DecodeError("utf8", str(err)) from err
    return _decode(SCHEMAS[field.kind], _Reader(content))


def meaning(schema, value):
    """Returns a value with exactly the fields that encode writes: two values mean the
    same when their meanings are equal."""
    out = {}
    for field in SCHEMAS[schema].values():
        v = value.get(field.name)
        if _is_written(field, value):
            v = default(field) if v is None else v
            out[field.name] = meaning(field.kind, v) if field.kind in SCHEMAS else v
    return out


def _is_written(field, value):
    v = value.get(field.name)
    if field.rule == "numbered":  # WIR-14, EXT-4
        return value.get("number", 0) != 0
    if field.rule == "list":
        return bool(v)
    return field.rule == "always" or v is not None and (field.rule != "set" or v != default(field))


def encode(schema, value):
    """Returns the canonical encoding of a value (WIR-14)."""
    unknown = set(value) - {field.name for field in SCHEMAS[schema].values()}
    if unknown:
        raise ValueError(f"{schema} has no field {unknown}")
    out = bytearray()
    for number, field in sorted(SCHEMAS[schema].items()):
        v = value.get(field.name)
        if not _is_written(field, value):
            continue
        if field.rule == "list":
            out += _delimited(number, b"".join(map(_varint, v)))
        else:
            out += _encode_one(number, field, default(field) if v is None else v)
    return bytes(out)


def _encode_one(number, field, v):
    if field.kind in ("uint32", "uint64", "bool"):
        return _varint(number << 3) + _varint(int(v))
    if field.kind == "string":
        return _delimited(number, v.encode())
    if field.kind == "bytes":
        return _delimited(number, v)
    return _delimited(number, encode(field.kind, v))


def _delimited(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(v):
    out = bytearray()
    while v > 0x7F:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)
