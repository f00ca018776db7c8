#!/usr/bin/env python3
"""A signaling server (SPEC.md, chapter SIG) in Python 3 alone, written from the text.

It shows that the text suffices, and how little a Sigver is; it has no TLS and no limit
on connections. sigver.py [-host H] [-port P] prints "listening on URL"; SIGTERM ends it.
"""

import argparse
import asyncio
import random
import signal

import websocket
import wire

MAX_GROUPS = 10_000  # SIG-43
MAX_GROUP_PEERS = 1_000
MAX_TRIES = 1_024  # SIG-23
HEARTBEAT = 5  # seconds, SIG-10
ABSENT, EMPTY = None, b""  # of a content's data


class Binding:
    """Leads content from a joiner to a member and back (SIG-26 to SIG-35)."""

    def __init__(self, number, joiner, member):
        self.number = number  # bindings are numbered as they begin, over all
        self.joiner, self.member = joiner, member
        self.to_member, self.to_joiner = True, True  # not ended by lastData
        self.id = 0
        while self.id == 0 or self.id in member.joiners:  # SIG-26
            self.id = random.randrange(1, 1 << 31)

    def pass_on(self, to_member, data, last=False):
        if to_member and self.to_member:
            self.member.send_content(self.id, 0, data)  # SIG-27
            self.to_member = not last  # SIG-30
        elif not to_member and self.to_joiner:
            self.joiner.send_content(0, self.id, data)  # SIG-28
            self.to_joiner = not last


class Group:
    """The peers with one key (SIG-15 to SIG-24)."""

    def __init__(self):
        self.peers = set()
        self.members = []  # in the order in which they became members
        self.bindings = 0

    def connect(self, peer, id, ids):
        """Answers a connect by the first rule that fits."""
        members = self.members
        only = members[0] if len(members) == 1 else None
        evicted = None
        if not members or only is peer or any(m.id in ids for m in members):
            pass  # SIG-16, SIG-17, SIG-18, SIG-20
        elif only and only.id in peer.tried:
            evicted = only  # SIG-19
        else:
            self.bind(peer)  # SIG-21
            return
        if only is not peer:  # SIG-17
            peer.id = id
        if peer not in members:
            members.append(peer)
            peer.tried.clear()
        peer.send({"connected": True})
        if evicted:
            evicted.close(4744)

    def bind(self, peer):
        if peer in self.members:
            self.members.remove(peer)
        if all(m.id in peer.tried for m in self.members) or len(peer.tried) >= MAX_TRIES:  # SIG-23
            peer.tried.clear()
        untried = [m for m in self.members if m.id not in peer.tried]
        member = next((m for m in untried if m.favored), untried[0])  # SIG-22
        peer.tried.add(member.id)
        if peer.binding:  # SIG-34
            del peer.binding.member.joiners[peer.binding.id]
        self.bindings += 1
        peer.binding = Binding(self.bindings, peer, member)
        member.joiners[peer.binding.id] = peer.binding
        peer.send({"connected": False})

    def content(self, peer, content):
        data, last = content.get("data", EMPTY), content.get("lastData", False)  # SIG-29
        own = peer.joiners.get(content.get("recipientId", 0))
        if own:  # SIG-35
            own.pass_on(False, data, last)
        elif peer.binding:
            peer.binding.pass_on(True, data, last)
        # SIG-36: else it has nowhere to go.

    def remove(self, peer):
        """Ends all that a peer was, at once (SIG-14, SIG-24)."""
        self.peers.discard(peer)
        if peer in self.members:
            self.members.remove(peer)
        ending = [*peer.joiners.values()] + ([peer.binding] if peer.binding else [])
        for b in sorted(ending, key=lambda b: b.number):  # SIG-31
            if b.member.joiners.pop(b.id, None):  # else a notice ended the peer that got it
                b.joiner.binding = None
                b.pass_on(b.joiner is peer, ABSENT)


class Peer:
    """A connected peer: what the server knows of it, and its WebSocket."""

    def __init__(self, ws, group, favored):
        self.ws, self.group, self.favored = ws, group, favored
        self.id = None
        self.tried = set()  # ids of members
        self.binding = None  # as a joiner
        self.joiners = {}  # bindings as a member, by signaling id
        self.missing = 0  # heartbeats
        group.peers.add(self)

    def send(self, message):
        if not self.ws.send(wire.encode("signaling.Message", message)):
            self.gone()

    def send_content(self, sender, recipient, data):
        content = {"senderId": sender, "recipientId": recipient}
        if data is not ABSENT:
            content["data"] = data
        self.send({"content": content})

    def close(self, code):
        self.ws.close(code)
        self.gone()

    def gone(self):
        if self in self.group.peers:
            self.group.remove(self)

    def handle(self, data):
        try:
            message = wire.decode("signaling.Message", data)
        except wire.DecodeError:
            self.close(4743)  # SIG-7
            return
        if "heartbeat" in message:
            self.missing = 0  # SIG-12
        elif "content" in message:
            self.group.content(self, message["content"])
        elif "connect" in message:
            data = message["connect"]
            self.group.connect(self, data.get("id", 0), data.get("members", []))
        elif "connected" not in message:  # SIG-9
            self.close(4743)  # SIG-8

    async def heartbeats(self):
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            due += HEARTBEAT
            await asyncio.sleep(due - clock())
            self.missing += 1
            if self.missing == 3:  # SIG-11
                self.close(4742)
                return
            self.send({"heartbeat": True})


class Server:
    def __init__(self):
        self.groups = {}  # by key
        self.sockets = {}  # each with the task that serves it

    async def serve(self, reader, writer):
        ws = await websocket.accept(reader, writer)
        if ws is None:
            return
        self.sockets[ws] = asyncio.current_task()
        try:
            await self.serve_peer(ws)
            await ws.end()
        finally:
            del self.sockets[ws]

    async def serve_peer(self, ws):
        key, favored = parse_target(ws.target)
        group = self.groups.get(key)
        if not 1 <= len(key) <= 512:  # SIG-2
            ws.close(4741)
            return
        if group is None and len(self.groups) == MAX_GROUPS or group and len(group.peers) == MAX_GROUP_PEERS:
            ws.close(1013)
            return
        peer = Peer(ws, self.groups.setdefault(key, group or Group()), favored)
        ticks = asyncio.create_task(peer.heartbeats())
        try:
            while (message := await ws.receive()) is not None:
                if isinstance(message, str):
                    peer.close(4743)  # SIG-7
                else:
                    peer.handle(message)
        finally:
            ticks.cancel()
            peer.gone()
            if not peer.group.peers and self.groups.get(key) is peer.group:
                del self.groups[key]

    async def shut_down(self):
        for ws in self.sockets:
            ws.close(1001)  # SIG-40
        if self.sockets:
            await asyncio.wait(self.sockets.values())


def parse_target(target):
    """Returns the key and whether there is a parameter favored (SIG-1, SIG-3)."""
    path, _, query = target.partition(b"#")[0].partition(b"?")
    names = [parameter.partition(b"=")[0] for parameter in query.split(b"&")]
    return path[1:], b"favored" in names


async def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("-host", default="127.0.0.1")
    flags.add_argument("-port", type=int, default=8000, help="0: a free one")
    flags = flags.parse_args()
    server = Server()
    listener = await asyncio.start_server(server.serve, flags.host, flags.port, limit=websocket.MAX_HEADER)
    print(f"listening on ws://{flags.host}:{listener.sockets[0].getsockname()[1]}", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    listener.close()
    await server.shut_down()


if __name__ == "__main__":
    asyncio.run(main())
