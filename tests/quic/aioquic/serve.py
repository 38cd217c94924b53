# SPDX-License-Identifier: Apache-2.0
"""The server: bidirectional streams and datagrams come back as they were, a unidirectional stream by one of its own."""

import asyncio

import report
from aioquic.asyncio import serve as aioquic_serve
from connection import Connection, configuration

PIECE = bytes(65536)


class Server(Connection):
    def __init__(self, *words, arguments, **named):
        super().__init__(*words, **named)
        self.arguments = arguments

    def on_handshake(self):
        host, port = self._quic.get_peer_address()[:2]
        report.event("accepted", peer=f"{host}:{port}", resumed=self.resumed)

    def on_stream(self, stream):
        if self.arguments.bench:
            return self.supply(stream)
        to = self.new_stream(is_unidirectional=True) if stream & 2 else stream

        def back(data, is_last):
            if self.arguments.key_update:
                self.request_key_update()
                self.arguments.key_update = False
            self.send(to, data, is_last)

        return back

    def supply(self, stream):
        """The first eight bytes say how many are wanted back, behind the end of what else comes."""
        wanted = bytearray()

        def read(data, is_last):
            if len(wanted) < 8:
                wanted.extend(data[: 8 - len(wanted)])
            if is_last:
                n = int.from_bytes(wanted, "big")
                for _ in range(n // len(PIECE)):
                    self.send(stream, PIECE)
                self.send(stream, PIECE[: n % len(PIECE)], True)

        return read

    def on_datagram(self, data):
        self.send_datagram(data)

    def on_end(self):
        report.closed(self.ended)


async def run(arguments):
    tickets = {}
    host, port = arguments.address
    server = await aioquic_serve(
        host,
        port,
        configuration=configuration(arguments, is_client=False),
        create_protocol=lambda *words, **named: Server(*words, arguments=arguments, **named),
        session_ticket_fetcher=lambda label: tickets.pop(label, None),
        session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}),
        retry=arguments.retry,
    )
    print("port", server._transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Future()
