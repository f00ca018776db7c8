"""The server's end of WebSockets (RFC 6455), for sigver.py: asyncio, nothing else."""

import asyncio
import base64
import hashlib
import struct

MAX_HEADER = 16_384
MAX_MESSAGE = 65_536  # SIG-42
MAX_WAITING = 1_048_576  # bytes for a peer that does not read, SIG-46
HANDSHAKE_TIME = CLOSE_TIME = 5  # seconds
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Broken(Exception):
    """The peer broke RFC 6455, or a limit; code is the one to close with."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


async def accept(reader, writer):
    """Answers an upgrade; returns a Socket, or None when there is none."""
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANDSHAKE_TIME)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError, OSError):
        writer.close()
        return None
    line, *lines = head[:-4].split(b"\r\n")
    headers = {}
    for name, _, value in (header.partition(b":") for header in lines):
        name, value = name.strip().lower(), value.strip()
        headers[name] = headers[name] + b"," + value if name in headers else value
    method, target, version = (line.split(b" ") + [b"", b""])[:3]
    key = headers.get(b"sec-websocket-key", b"")
    upgrade = (
        method == b"GET" and version == b"HTTP/1.1" and target.startswith(b"/")
        and b"websocket" in tokens(headers.get(b"upgrade", b""))
        and b"upgrade" in tokens(headers.get(b"connection", b""))
        and headers.get(b"sec-websocket-version") == b"13" and is_key(key))
    if not upgrade:  # SIG-5
        writer.write(
            b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
            b"Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        return None
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    writer.write(  # SIG-4: no subprotocol, no extension
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n")
    return Socket(reader, writer, target)


def tokens(value):
    return [token.strip().lower() for token in value.split(b",")]


def is_key(key):
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False


class Socket:
    """An open WebSocket."""

    def __init__(self, reader, writer, target):
        self.reader, self.writer, self.target = reader, writer, target
        self.closing = False  # a close frame was sent: nothing else is, from then on
        self.over = False  # a close frame came, or what is no frame, or TCP has ended

    def send(self, data):
        """Sends a binary message, without waiting; False when the peer is too slow."""
        return self._write(BINARY, data)

    def _write(self, opcode, payload):
        if self.closing or self.writer.is_closing():
            return True
        if self.writer.transport.get_write_buffer_size() + len(payload) > MAX_WAITING:  # SIG-46
            self.close(1008)
            return False
        self._frame(opcode, payload)
        return True

    def _frame(self, opcode, payload):
        n = len(payload)
        if n < 126:
            head = struct.pack("!BB", 0x80 | opcode, n)
        elif n < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 126, n)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 127, n)
        self.writer.write(head + payload)

    def close(self, code):
        """Sends a close frame, without waiting; code None is for one without."""
        if self.closing:
            return
        self.closing = True
        if not self.writer.is_closing():
            self._frame(CLOSE, b"" if code is None else struct.pack("!H", code))
        asyncio.get_running_loop().call_later(CLOSE_TIME, self.writer.transport.abort)

    async def receive(self):
        """Returns the next message, str or bytes, or None when there will be none.
        What comes after close is dropped (SIG-14)."""
        while not self.over:
            try:
                message = await self._message()
            except Broken as err:  # SIG-48
                self.over = True
                self.close(err.code)
            except (asyncio.IncompleteReadError, OSError):
                self.over = True
            else:
                if message is not None and not self.closing:
                    return message
        return None

    async def _message(self):
        kind, message = None, bytearray()
        while True:
            final, opcode, size = await self._head(kind, len(message))
            payload = await self._payload(size)
            if opcode == PING:
                self._write(PONG, payload)
            elif opcode == CLOSE:
                self.over = True
                self.close(close_code(payload))  # RFC 6455, 5.5.1
                return None
            elif opcode != PONG:
                kind = opcode if kind is None else kind
                message += payload
                if final:
                    return bytes(message) if kind == BINARY else decode_text(message)

    async def _head(self, kind, before):
        """Reads the head of a frame, up to its mask. kind and before are the kind and the
        bytes of the message that has begun."""
        first, second = await self.reader.readexactly(2)
        final, opcode, size = first & 0x80, first & 0x0F, second & 0x7F
        if first & 0x70 or not second & 0x80 or opcode not in (0, 1, 2, 8, 9, 10):
            raise Broken(1002)
        if opcode >= CLOSE and (not final or size > 125):
            raise Broken(1002)
        if opcode < CLOSE and (opcode == CONTINUATION) != (kind is not None):
            raise Broken(1002)
        if size >= 126:
            least = 126 if size == 126 else 1 << 16
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            if not least <= size < 1 << 63:
                raise Broken(1002)
        if opcode < CLOSE and before + size > MAX_MESSAGE:
            raise Broken(1009)  # SIG-42
        return final, opcode, size

    async def _payload(self, size):
        mask = await self.reader.readexactly(4)
        masked = await self.reader.readexactly(size)
        repeated = (mask * (size // 4 + 1))[:size]
        return (int.from_bytes(masked, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")

    async def end(self):
        """Returns when TCP has ended: the peer's end too, or after CLOSE_TIME. (TCP that
        is ended with bytes unread is reset, and the close frame may be lost.)"""
        self.close(None)
        try:
            await self.receive()
            self.writer.write_eof()
            while await self.reader.read(MAX_HEADER):
                pass
        except OSError:
            pass
        self.writer.close()


def close_code(payload):
    """Returns the code to answer a close frame with."""
    if not payload:
        return None
    if len(payload) == 1:
        raise Broken(1002)
    code = int.from_bytes(payload[:2], "big")
    decode_text(payload[2:])
    if 1000 <= code <= 1014 and code not in (1004, 1005, 1006) or 3000 <= code <= 4999:
        return code
    raise Broken(1002)


def decode_text(data):
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise Broken(1007) from None
