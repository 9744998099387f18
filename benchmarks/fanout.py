"""Fan-out: messages through one large channel, in deliveries a second.

A server process on one core, the load on another: one of the channel's members sends, with so many
messages in flight at any time, that is, sent and not yet acknowledged by the server. The load
counts what each socket receives without decoding it, so that it costs less than what it measures;
the CPU time of both sides is printed beside the rate. A round ends when every member has every
message.

Run it with `make bench-fanout`, or `python -m benchmarks.fanout --help`.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import select
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

MARK: Final = b" channel_msg "
"""Stands once in the frame of each channel message, and in no other frame."""
ACKNOWLEDGED: Final = b'["call2-ret",'
"""As long as the other mark, so that one tail serves both."""
TAIL_BYTES: Final = len(MARK) - 1
CONFIG: Final = """
[server]
host = "127.0.0.1"
port = 0
dev = true

[limits]
user_messages_per_second = 100000000
channel_messages_per_second = 100000000
silence_seconds = 3600
"""
DEADLINE_SECONDS: Final = 120


def frame(text: bytes) -> bytes:
    """A client's text frame. The mask is all zeros: what the load sends is no secret, and this
    costs nothing.
    """
    size = len(text)
    if size < 126:
        head = struct.pack("!BB", 0x81, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x81, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 0x80 | 127, size)
    return head + b"\0\0\0\0" + text


def request(function: str, **args: object) -> bytes:
    """A request's frame."""
    return frame(json.dumps(["call2", [function, 1, args]]).encode())


class Member:
    """A logged-in member of the channel."""

    def __init__(self, port: int, account: str, channel: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._read_until(b"\r\n\r\n")
        login = {
            "vid": "bench",
            "account": account,
            "uid": 0,
            "token": "_no_need_token",
            "device": "websdk",
            "ip": "",
        }
        self.socket.sendall(frame(json.dumps(["login", login]).encode()))
        answer = self._read_until(b"config_inst_msg_with_msgid")
        self.line = answer.split(b'line\\":\\"')[1].split(b"\\")[0].decode()
        self.socket.sendall(request("channel_join", line=self.line, name=channel))
        self._read_until(b'"call2-ret"')
        self.tail = b""

    def _read_until(self, mark: bytes) -> bytes:
        data = b""
        while mark not in data:
            more = self.socket.recv(1 << 20)
            if not more:
                raise SystemExit(f"the server closed the connection after {data[-200:]!r}")
            data += more
        return data


class Load:
    """The members' sockets, read without decoding."""

    def __init__(self, members: list[Member], channel: str, text: str) -> None:
        self._members = members
        self._message = request("channel_sendmsg", line=members[0].line, name=channel, msg=text)
        self._poll = select.epoll()
        self._by_fd = {member.socket.fileno(): member for member in members}
        self._buffer = bytearray(1 << 18)
        self.received = 0
        self.acknowledged = 0
        for member in members:
            member.socket.setblocking(False)
            self._poll.register(member.socket, select.EPOLLIN)

    def read(self, seconds: float) -> None:
        """Read what has come, waiting at most so long for it."""
        sender = self._members[0]
        for fd, _ in self._poll.poll(seconds):
            member = self._by_fd[fd]
            tail = len(member.tail)
            self._buffer[:tail] = member.tail
            size = tail + member.socket.recv_into(memoryview(self._buffer)[tail:])
            self.received += self._buffer.count(MARK, 0, size)
            if member is sender:
                self.acknowledged += self._buffer.count(ACKNOWLEDGED, 0, size)
            # A mark that is cut in two is counted when its rest is there.
            member.tail = bytes(self._buffer[max(0, size - TAIL_BYTES) : size])

    def run_round(self, in_flight: int, seconds: float) -> tuple[int, float, float]:
        """Send for `seconds`: the deliveries, how long they took, and the load's CPU seconds."""
        self.received = self.acknowledged = sent = 0
        sender = self._members[0].socket
        backlog = b""
        began, cpu_began = time.perf_counter(), time.process_time()
        while (now := time.perf_counter() - began) < seconds or self.received < sent * len(
            self._members
        ):
            if now < seconds:
                ready = in_flight - (sent - self.acknowledged)
                backlog += self._message * ready
                sent += ready
            elif now > seconds + DEADLINE_SECONDS:
                raise SystemExit(
                    f"{sent * len(self._members) - self.received} deliveries are missing"
                )
            if backlog:
                with contextlib.suppress(BlockingIOError):
                    backlog = backlog[sender.send(backlog) :]
            self.read(0.1)
        return self.received, time.perf_counter() - began, time.process_time() - cpu_began


def server_cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=500)
    parser.add_argument("--bytes", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--python", default=sys.executable, help="the interpreter that runs the server"
    )
    options = parser.parse_args()

    cores = sorted(os.sched_getaffinity(0))
    serve = [options.python, "-c", SERVE, CONFIG]
    server = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
    try:
        os.sched_setaffinity(server.pid, cores[:1])
        os.sched_setaffinity(0, cores[-1:])
        assert server.stdout is not None
        port = int(server.stdout.readline())
        members = [Member(port, f"member{number}", "hall") for number in range(options.members)]
        print(f"{options.members} members, {options.bytes} bytes, {options.in_flight} in flight")
        load = Load(members, "hall", "x" * options.bytes)
        print("round  deliveries/s  server µs/delivery  load µs/delivery")
        rates = []
        for number in range(1, options.rounds + 1):
            cpu = server_cpu_seconds(server.pid)
            count, took, own = load.run_round(options.in_flight, options.seconds)
            cpu = server_cpu_seconds(server.pid) - cpu
            rates.append(count / took)
            costs = f"{cpu / count * 1e6:18.2f}  {own / count * 1e6:16.2f}"
            print(f"{number:5}  {count / took:12,.0f}  {costs}")
        print(
            f"median {statistics.median(rates):,.0f}, from {min(rates):,.0f} to {max(rates):,.0f}"
        )
    finally:
        server.terminate()
        server.wait()


SERVE: Final = """
import sys, trio
from signal_sdk.server import config
from signal_sdk.server.node import Node

async def main():
    node = Node(config.loads(sys.argv[1], "benchmark"))
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(lambda task_status: node.run(task_status=task_status))
        print(addresses[0][1], flush=True)

trio.run(main)
"""

if __name__ == "__main__":
    main()
