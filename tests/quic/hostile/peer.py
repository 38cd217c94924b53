# SPDX-License-Identifier: Apache-2.0
"""A client of QUIC by aioquic, which can also send what no client would.

aioquic keeps the protocol's state; this class owns the socket and the clock, so that each packet is this program's to send, to hold back, or to
write itself. What is written past the library counts as sent for it, so that it understands what is acknowledged.
"""

import select
import socket
import ssl
import time

from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.tls import Epoch

DEADLINE = 15.0  # seconds for anything that should take a moment
DATAGRAM = 1200
PACKET_TYPES = {
    Epoch.INITIAL: QuicPacketType.INITIAL,
    Epoch.HANDSHAKE: QuicPacketType.HANDSHAKE,
    Epoch.ONE_RTT: QuicPacketType.ONE_RTT,
}


class Late(Exception):
    """What was waited for did not come."""


class Connection(QuicConnection):
    """The library's, with transport parameters that can be spoilt."""

    spoil = None  # takes the encoded parameters, and returns others

    def _serialize_transport_parameters(self):
        encoded = super()._serialize_transport_parameters()
        return self.spoil(self, encoded) if self.spoil else encoded


class Peer:
    """One connection, and the socket that it is on."""

    def __init__(self, options, *, spoil=None, source="", token=b"", **settings):
        configuration = QuicConfiguration(
            is_client=True,
            alpn_protocols=[options.alpn],
            server_name=options.name,
            verify_mode=ssl.CERT_REQUIRED,
            idle_timeout=30.0,
            token=token,
            **settings,
        )
        configuration.load_verify_locations(cafile=options.ca)
        self.connection = Connection(configuration=configuration)
        self.connection.spoil = spoil
        self.address = options.to
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.connect(self.address)
        self.socket.setblocking(False)
        self.complete = False
        self.closed = None  # the ConnectionTerminated event
        self.streams = {}  # by ID: the bytes that came
        self.ended = set()  # IDs of streams with a FIN
        self.bytes_sent = self.bytes_received = 0
        self.n_received = 0

    def close(self):
        """Ends it as one does."""
        if not self.closed:
            self.connection.close()
            self.flush()
        self.socket.close()

    # ---- packets ----

    def transmit(self, datagram):
        """Sends one datagram as it is."""
        try:
            self.bytes_sent += self.socket.send(datagram)
        except (BlockingIOError, ConnectionRefusedError):
            pass

    def flush(self):
        for datagram, _ in self.connection.datagrams_to_send(time.monotonic()):
            self.transmit(datagram)

    def receive(self):
        """Takes what is there; returns whether there was anything."""
        any_came = False
        while True:
            try:
                datagram = self.socket.recv(65536)
            except BlockingIOError:
                return any_came
            except ConnectionRefusedError:
                continue
            any_came = True
            self.n_received += 1
            self.bytes_received += len(datagram)
            self.connection.receive_datagram(datagram, self.address, time.monotonic())
            self.take_events()

    def take_events(self):
        while event := self.connection.next_event():
            if isinstance(event, events.ConnectionTerminated):
                self.closed = event
            elif isinstance(event, events.HandshakeCompleted):
                self.complete = True
            elif isinstance(event, events.StreamDataReceived):
                self.streams[event.stream_id] = self.streams.get(event.stream_id, b"") + event.data
                if event.end_stream:
                    self.ended.add(event.stream_id)

    def step(self, seconds):
        """Waits for a packet or a timer, `seconds` at most, and does what is due."""
        self.flush()
        timer = self.connection.get_timer()
        if timer is not None:
            seconds = min(seconds, max(0.0, timer - time.monotonic()))
        select.select([self.socket], [], [], seconds)
        self.receive()
        timer = self.connection.get_timer()
        if timer is not None and timer <= time.monotonic():
            self.connection.handle_timer(time.monotonic())
            self.take_events()
        self.flush()

    def run(self, until, what, seconds=DEADLINE):
        """Goes on until `until()` holds."""
        deadline = time.monotonic() + seconds
        while not until():
            left = deadline - time.monotonic()
            if left <= 0:
                raise Late(f"{what}: not within {seconds:g} s")
            self.step(left)

    # ---- what a client does ----

    def begin(self):
        """Makes the first flight, and sends it not yet."""
        self.connection.connect(self.address, time.monotonic())

    def handshake(self):
        self.begin()
        self.run(lambda: self.complete or self.closed, "the handshake")
        if not self.complete:
            raise Late(f"the handshake: closed, {describe(self.closed)}")
        return self

    def echo(self, data=b"are you there?"):
        """Has bytes echoed on a stream of its own."""
        stream = self.connection.get_next_available_stream_id()
        self.connection.send_stream_data(stream, data, end_stream=True)
        self.run(lambda: stream in self.ended or self.closed, "the echo")
        if self.streams.get(stream) != data:
            raise Late(f"the echo: {describe(self.closed)}")

    def wait_closed(self, seconds=DEADLINE):
        """Waits until the other side has closed. Returns the event."""
        self.run(lambda: self.closed, "the close", seconds)
        return self.closed

    # ---- what none does ----

    def packet(self, payload, epoch=Epoch.ONE_RTT):
        """A packet of frames that are written by hand."""
        connection = self.connection
        builder = QuicPacketBuilder(
            host_cid=connection.host_cid,
            is_client=True,
            max_datagram_size=1452,
            packet_number=connection._packet_number,
            peer_cid=connection._peer_cid.cid,
            peer_token=connection._peer_token,
            version=connection._version,
        )
        builder.start_packet(PACKET_TYPES[epoch], connection._cryptos[epoch])
        builder._packet.is_ack_eliciting = True
        # A packet without a frame has to have something that is no frame of it: the caller sees to padding.
        builder._buffer.push_bytes(payload)
        datagrams, _ = builder.flush()
        connection._packet_number = builder.packet_number
        return datagrams

    def inject(self, payload, epoch=Epoch.ONE_RTT):
        for datagram in self.packet(payload, epoch):
            self.transmit(datagram)


def describe(closed):
    """A ConnectionTerminated event as a text."""
    if closed is None:
        return "still open"
    frame = "" if closed.frame_type is None else f", frame type {closed.frame_type:#x}"
    return f"error {closed.error_code:#x}{frame}{', ' if closed.reason_phrase else ''}{closed.reason_phrase}"
