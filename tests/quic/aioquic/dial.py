# SPDX-License-Identifier: Apache-2.0
"""The client: one scenario, and its result."""

import asyncio
import socket
import time

import report
from aioquic.quic.connection import QuicConnection
from connection import Connection, configuration

PIECE = 65536
AHEAD = 2 * PIECE  # bytes of a stream that are sent before the first of them has come back
DATAGRAM_DEADLINE = 2  # seconds, after which a datagram's echo counts as lost
BEAT = 0.1
BEAT_SIZE = 100  # nobody answers a small packet by a reset

# One block over and over, with a number of the stream's own added, so that neither bytes nor streams can be exchanged unseen.
BLOCK = bytes((i * 31 + (i >> 8) * 17) & 255 for i in range(PIECE)) * 2


def pattern(stream):
    return BLOCK.translate(bytes((i + stream * 7) & 255 for i in range(256)))


class Exchange:
    """Sends bytes on a stream while it compares what comes back, on the same or on another one."""

    def __init__(self, connection, stream, number, end, start=0, is_last=True):
        self.connection, self.stream = connection, stream
        self.block = pattern(number)
        self.sent = self.received = start
        self.end, self.is_last = end, is_last
        self.done = asyncio.get_running_loop().create_future()
        self.fill()

    def fill(self):
        while self.sent < self.end and self.sent < self.received + AHEAD:
            n = min(PIECE, self.end - self.sent)
            from_ = self.sent % PIECE
            self.sent += n
            self.connection.send(self.stream, self.block[from_ : from_ + n], self.is_last and self.sent == self.end)

    def read(self, data, is_last):
        if self.done.done():
            return
        for at in range(0, len(data), PIECE):
            part = data[at : at + PIECE]
            from_ = self.received % PIECE
            if part != self.block[from_ : from_ + len(part)]:
                self.done.set_exception(ValueError(f"other bytes came back, at {self.received} or behind"))
                return
            self.received += len(part)
        if self.received > self.end or (is_last and self.received < self.end):
            self.done.set_exception(ValueError(f"{self.received} bytes came back, not {self.end}"))
        elif self.received == self.end and (is_last or not self.is_last):
            self.done.set_result(None)
        else:
            self.fill()


class Client(Connection):
    def __init__(self, *words, **named):
        super().__init__(*words, **named)
        self.over = asyncio.get_running_loop().create_future()
        self.incoming = asyncio.Queue()
        self.datagrams = asyncio.Queue()

    def on_stream(self, stream):
        """Of the server's: unidirectional, in answer to the one of ours."""
        return self.incoming.get_nowait()

    def on_datagram(self, data):
        self.datagrams.put_nowait(data)

    def on_end(self):
        self.over.set_result(None)

    async def until(self, future):
        """Waits for a future, or fails when the connection ends before."""
        await asyncio.wait((future, self.over), return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            raise report.Ended(self.ended)
        return future.result()

    async def exchange(self, number, size):
        stream = self.new_stream()
        exchange = Exchange(self, stream, number, size)
        self.readers[stream] = exchange.read
        if size == 0:
            self.send(stream, b"", True)
        await self.until(exchange.done)


class Forwarder(asyncio.DatagramProtocol):
    """Another socket of a connection that has one."""

    def __init__(self, connection):
        self.connection = connection

    def connection_made(self, transport):
        self.connection._transport = transport

    def datagram_received(self, data, address):
        self.connection.datagram_received(data, address)


class Dialler:
    def __init__(self, arguments):
        self.arguments = arguments
        self.ticket = None

    def number(self, index):
        return int(self.arguments.words[1 + index])

    def keep_ticket(self, ticket):
        self.ticket = ticket

    async def connect(self):
        settings = configuration(self.arguments, is_client=True)
        settings.load_verify_locations(self.arguments.ca)
        settings.server_name = self.arguments.name
        settings.session_ticket = self.ticket
        quic = QuicConnection(configuration=settings, session_ticket_handler=self.keep_ticket)
        _, connection = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Client(quic), family=socket.AF_INET, local_addr=("0.0.0.0", 0))
        connection.connect(self.arguments.address)
        try:
            await connection.wait_connected()
        except ConnectionError:
            raise report.Ended(connection.ended) from None
        return connection

    @staticmethod
    async def close(connection):
        connection.close()
        await connection.wait_closed()
        connection._transport.close()

    async def echo(self):
        streams, size = self.number(0), self.number(1)
        connection = await self.connect()
        start = time.monotonic()
        await asyncio.gather(*(connection.exchange(number, size) for number in range(streams)))
        ms = int((time.monotonic() - start) * 1000)
        host, port = connection._quic.get_peer_address()[:2]
        await self.close(connection)
        return {"streams": streams, "bytes": streams * size, "ms": ms, "peer": f"{host}:{port}"}

    async def uni(self):
        size = self.number(0)
        connection = await self.connect()
        exchange = Exchange(connection, connection.new_stream(is_unidirectional=True), 1, size)
        connection.incoming.put_nowait(exchange.read)
        await connection.until(exchange.done)
        await self.close(connection)
        return {"bytes": size}

    async def send_datagrams(self):
        n, size = self.number(0), self.number(1)
        connection = await self.connect()
        received = 0
        for i in range(n):
            datagram = i.to_bytes(8, "big") + bytes(size - 8)
            connection.send_datagram(datagram)
            try:
                back = await asyncio.wait_for(connection.datagrams.get(), DATAGRAM_DEADLINE)
                received += back == datagram
            except asyncio.TimeoutError:
                pass
        await self.close(connection)
        return {"sent": n, "received": received}

    async def key_update(self):
        connection = await self.connect()
        for number in range(3):
            await connection.exchange(number, self.number(0))
            connection.request_key_update()
        await connection.exchange(3, self.number(0))
        await self.close(connection)
        return {"key_updates": 3}

    async def rebind(self):
        """The same stream goes on from another port, and the server is not told."""
        size = self.number(0)
        connection = await self.connect()
        stream = connection.new_stream()
        first = Exchange(connection, stream, 5, size // 2, is_last=False)
        connection.readers[stream] = first.read
        await connection.until(first.done)
        old = connection._transport
        new, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Forwarder(connection), family=socket.AF_INET, local_addr=("0.0.0.0", 0))
        before, after = (transport.get_extra_info("sockname")[1] for transport in (old, new))
        old.close()
        second = Exchange(connection, stream, 5, size, start=size // 2)
        connection.readers[stream] = second.read
        await connection.until(second.done)
        await self.close(connection)
        return {"bytes": size, "before": before, "after": after}

    async def resume(self):
        for number in range(2):
            connection = await self.connect()
            await connection.exchange(number, 1000)
            resumed = connection.resumed
            await self.close(connection)
        return {"resumed": resumed}

    @staticmethod
    async def ending(connection, last):
        """How the connection ended, and how long after the last answer."""
        await connection.over
        ended = connection.ended
        return {"cause": report.cause(ended), "error": report.describe(ended), "ms": int((time.monotonic() - last[0]) * 1000)}

    async def idle(self):
        connection = await self.connect()
        await connection.exchange(0, 1000)
        last = [time.monotonic()]
        report.event("ready")
        return await self.ending(connection, last)

    async def until_closed(self):
        """Says something again and again until the connection is over."""
        connection = await self.connect()
        stream = connection.new_stream()
        last = []

        def read(*_):
            if not last:
                report.event("ready")
            last[:] = [time.monotonic()]

        connection.readers[stream] = read
        while not connection.over.done():
            connection.send(stream, bytes(BEAT_SIZE))
            await asyncio.wait((connection.over,), timeout=BEAT)
        return await self.ending(connection, last)

    async def transfer(self, connection, up, down):
        """One stream of a benchmark (Server.supply)."""
        stream = connection.new_stream()
        done = asyncio.get_running_loop().create_future()
        n = 0

        def read(data, is_last):
            nonlocal n
            n += len(data)
            if is_last:
                done.set_result(n)

        connection.readers[stream] = read
        connection.send(stream, down.to_bytes(8, "big"))
        for at in range(0, up, PIECE):
            connection.send(stream, BLOCK[: min(PIECE, up - at)])
            # What is not sent yet is copied with every packet: little of it is fast.
            while len(connection._quic._streams[stream].sender._buffer) > 8 * AHEAD:
                await asyncio.sleep(0)
        connection.send(stream, b"", True)
        if await connection.until(done) != down:
            raise ValueError(f"{n} bytes came instead of {down}")

    async def throughput(self):
        streams, total = self.number(1), self.number(2)
        share = total // max(streams, 1)
        up, down = (share, 0) if self.arguments.words[1] == "up" else (0, share)
        connection = await self.connect()
        start = time.monotonic()
        await asyncio.gather(*(self.transfer(connection, up, down) for _ in range(streams)))
        seconds = time.monotonic() - start
        await self.close(connection)
        return {"streams": streams, "bytes": share * streams, "seconds": seconds}

    async def handshakes(self):
        start = time.monotonic()
        for _ in range(self.number(0)):
            self.ticket = None
            connection = await self.connect()
            connection.close()
            connection._transport.close()
        return {"handshakes": self.number(0), "seconds": time.monotonic() - start}

    async def streams(self):
        connection = await self.connect()
        start = time.monotonic()
        for number in range(self.number(0)):
            await connection.exchange(number, 1)
        seconds = time.monotonic() - start
        await self.close(connection)
        return {"streams": self.number(0), "seconds": seconds}

    async def hold(self):
        """Connections that do nothing, until somebody ends this program."""
        connections = []
        for number in range(self.number(0)):
            self.ticket = None
            connections.append(await self.connect())
            await connections[-1].exchange(number, 1)
        report.event("ready", connections=len(connections))
        await connections[0].over
        raise report.Ended(connections[0].ended)


async def run(arguments):
    dialler = Dialler(arguments)
    scenarios = {
        "echo": dialler.echo,
        "uni": dialler.uni,
        "datagrams": dialler.send_datagrams,
        "key-update": dialler.key_update,
        "rebind": dialler.rebind,
        "resume": dialler.resume,
        "idle": dialler.idle,
        "until-closed": dialler.until_closed,
        "throughput": dialler.throughput,
        "handshakes": dialler.handshakes,
        "streams": dialler.streams,
        "hold": dialler.hold,
    }
    scenario = arguments.words[0] if arguments.words else ""
    if scenario not in scenarios:
        raise ValueError(f"there is no scenario {scenario}")
    report.done(scenario, await scenarios[scenario]())
