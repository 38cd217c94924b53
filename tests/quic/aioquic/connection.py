# SPDX-License-Identifier: Apache-2.0
"""What both sides have in common: settings, and a connection with its streams as objects that are fed."""

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration

DATAGRAM_MAX = 65535
PACKET_MAX = 1452


def configuration(arguments, is_client):
    # As large as the others find out that they may be: here a byte costs what it costs by the packet.
    result = QuicConfiguration(is_client=is_client, alpn_protocols=[arguments.alpn], max_datagram_size=PACKET_MAX)
    if arguments.cert:
        result.load_cert_chain(arguments.cert, arguments.key)
    if arguments.datagrams:
        result.max_datagram_frame_size = DATAGRAM_MAX
    if arguments.idle:
        result.idle_timeout = arguments.idle / 1000
    return result


class Connection(QuicConnectionProtocol):
    """`readers` has who gets a stream's bytes; on_stream() makes one for a stream of the peer's."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.readers = {}
        self.ended = None
        self.resumed = False

    def on_stream(self, stream):
        """Returns who gets its bytes, a function of some bytes and of whether they are the last."""
        raise NotImplementedError

    def on_datagram(self, data):
        """Gets each."""

    def on_end(self):
        """The connection is over: `ended` says why."""

    def send(self, stream, data, is_last=False):
        self._quic.send_stream_data(stream, data, is_last)
        self._transmit_soon()

    def send_datagram(self, data):
        self._quic.send_datagram_frame(data)
        self._transmit_soon()

    def new_stream(self, is_unidirectional=False):
        return self._quic.get_next_available_stream_id(is_unidirectional=is_unidirectional)

    def quic_event_received(self, event):
        if isinstance(event, events.StreamDataReceived):
            reader = self.readers.get(event.stream_id) or self.on_stream(event.stream_id)
            self.readers[event.stream_id] = reader
            reader(event.data, event.end_stream)
            if event.end_stream:
                del self.readers[event.stream_id]
        elif isinstance(event, events.DatagramFrameReceived):
            self.on_datagram(event.data)
        elif isinstance(event, events.HandshakeCompleted):
            self.resumed = event.session_resumed
            self.on_handshake()
        elif isinstance(event, events.ConnectionTerminated):
            self.ended = event
            self.on_end()

    def on_handshake(self):
        """It is complete."""
