# SPDX-License-Identifier: Apache-2.0
"""Packets of those who are nobody yet: what comes back is little, and goes to no one else."""

import os
import select
import socket
import time

import frames
from peer import Late, Peer, describe

VERSION_1 = (1).to_bytes(4, "big")
UNKNOWN_VERSION = b"\x1a\x2a\x3a\x4a"
FULL = 1200


class Stranger:
    """A socket that says one thing, and counts what comes back."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(address)
        self.socket.setblocking(False)
        self.bytes_sent = self.bytes_received = 0
        self.answers = []

    def fileno(self):
        return self.socket.fileno()

    def send(self, datagram):
        try:
            self.bytes_sent += self.socket.send(datagram)
        except (BlockingIOError, ConnectionRefusedError):
            pass

    def receive(self):
        while True:
            try:
                answer = self.socket.recv(65536)
            except (BlockingIOError, ConnectionRefusedError):
                return
            self.bytes_received += len(answer)
            self.answers.append(answer)


def _listen(strangers, seconds):
    """Takes what comes back, for as long as a server may repeat itself."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    by_number = {stranger.fileno(): stranger for stranger in strangers}
    for number in by_number:
        poll.register(number, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        for number, _ in poll.poll(left * 1000):
            by_number[number].receive()


def _long(version, dcid, scid, rest, first=0xC3):
    return bytes([first]) + version + bytes([len(dcid)]) + dcid + bytes([len(scid)]) + scid + rest


def _padded(packet, size=FULL):
    return packet + bytes(size - len(packet))


def _kind(packet):
    """What an answer is, as far as its first bytes tell."""
    if not packet[0] & 0x80:
        return "short"
    if packet[1:5] == bytes(4):
        return "versions"
    return {0: "initial", 1: "0-rtt", 2: "handshake", 3: "retry"}[packet[0] >> 4 & 3]


def _first_flight(options, **settings):
    """A client's first datagram, which is good and sent by nobody."""
    peer = Peer(options, **settings)
    peer.begin()
    [(datagram, _), *_] = peer.connection.datagrams_to_send(time.monotonic())
    peer.socket.close()
    return datagram


def first_packets(options):
    """Good first packets from many sources that never answer: three times the bytes at most, and a Retry where many wait."""
    strangers = [Stranger(options.to) for _ in range(options.count)]
    for stranger in strangers:
        stranger.send(_first_flight(options))
        _listen(strangers[:1], 0)
    _listen(strangers, options.seconds)
    kinds = [_kind(answer) for stranger in strangers for answer in stranger.answers]
    worst = max(stranger.bytes_received / stranger.bytes_sent for stranger in strangers)
    retries = kinds.count("retry")
    print(f"first packets: {len(strangers)}, at most {worst:.2f} times the bytes, {retries} retries, {len(kinds)} answers")
    return worst <= 3.0 and (retries > 0 or not options.expect_retry)


def unknown_ids(options):
    """Packets of connections that there are not: resets are shorter than what they answer, and few."""
    stranger = Stranger(options.to)
    sent_by_size = {}
    for number in range(options.count):
        size = 20 + number % 1400
        stranger.send(bytes([0x40 | os.urandom(1)[0] & 0x3F]) + os.urandom(size - 1))
        sent_by_size[size] = True
        stranger.receive()
    _listen([stranger], 1.0)
    longest = max((len(answer) for answer in stranger.answers), default=0)
    print(f"unknown connection IDs: {options.count}, {len(stranger.answers)} resets, the longest of {longest} bytes")
    # A reset for the shortest packets could be answered with a reset, for ever.
    short = Stranger(options.to)
    for _ in range(50):
        short.send(bytes([0x40]) + os.urandom(20))
    _listen([short], 0.5)
    print(f"short packets: {len(short.answers)} resets")
    return longest < max(sent_by_size) and len(stranger.answers) * 10 <= options.count and not short.answers


def versions(options):
    """Version negotiation for whole first packets only."""
    right = True
    for size, expected in ((FULL, 1), (FULL - 1, 0), (100, 0), (25, 0)):
        stranger = Stranger(options.to)
        packet = _long(UNKNOWN_VERSION, os.urandom(8), os.urandom(8), b"")
        stranger.send(packet[:size] if size < len(packet) else _padded(packet, size))
        _listen([stranger], 0.5)
        kinds = [_kind(answer) for answer in stranger.answers]
        print(f"version negotiation: {size} bytes: {len(kinds)} answers, {stranger.bytes_received} bytes")
        right = right and kinds == ["versions"] * expected and stranger.bytes_received <= 3 * size
    # An answer to an answer would go on for ever.
    stranger = Stranger(options.to)
    stranger.send(_padded(_long(bytes(4), os.urandom(8), os.urandom(8), UNKNOWN_VERSION)))
    _listen([stranger], 0.5)
    print(f"version negotiation: of a version negotiation: {len(stranger.answers)} answers")
    return right and not stranger.answers


def _garbage(number):
    """One of many kinds of what is no packet."""
    dcid, scid = os.urandom(8), os.urandom(8)
    kinds = (
        lambda: b"",
        lambda: os.urandom(1 + number % 1400),
        lambda: _padded(_long(VERSION_1, dcid, scid, b"")),
        lambda: _padded(_long(VERSION_1, dcid, scid, b"\0" + frames.frame(0x4000 | 1100) + os.urandom(1100))),
        lambda: _padded(_long(VERSION_1, os.urandom(20), os.urandom(20), os.urandom(900))),
        lambda: _padded(_long(VERSION_1, os.urandom(21), b"", os.urandom(900))),
        lambda: _padded(bytes([0xC3]) + VERSION_1 + b"\xff" + os.urandom(200)),
        lambda: _padded(_long(VERSION_1, b"", b"", b"")),
        lambda: _padded(_long(VERSION_1, os.urandom(3), scid, os.urandom(500))),
        lambda: _long(VERSION_1, dcid, scid, os.urandom(900)),
        lambda: _padded(_long(VERSION_1, dcid, scid, os.urandom(900), 0xE3)),
        lambda: _padded(_long(VERSION_1, dcid, scid, os.urandom(900), 0xF3)),
        lambda: _padded(_long(VERSION_1, dcid, scid, os.urandom(900), 0xD3)),
        lambda: _padded(_long(VERSION_1, dcid, scid, frames.frame(1000) + os.urandom(100))),
    )
    return kinds[number % len(kinds)]()


def garbage(options):
    """What is no packet leaves nothing behind, and is answered with less than it had."""
    stranger = Stranger(options.to)
    for number in range(options.count):
        stranger.send(_garbage(number))
        if number % 16 == 0:
            stranger.receive()
    _listen([stranger], 0.5)
    print(f"garbage: {options.count} packets, {stranger.bytes_sent} bytes; back {len(stranger.answers)}, {stranger.bytes_received} bytes")
    return stranger.bytes_received <= 3 * stranger.bytes_sent


# ---- Retry ----


def _retry_of(options):
    """A client that was asked to prove its address: aioquic has the token, and has not used it."""
    peer = Peer(options)
    peer.begin()
    peer.flush()
    deadline = time.monotonic() + 10
    while not peer.connection._peer_token:
        if time.monotonic() > deadline:
            raise Late("a Retry")
        select.select([peer.socket], [], [], 1)
        peer.receive()
    return peer


def _is_taken(options, token, dcid=None, retry_source=None):
    """Whether a client gets through with a token."""
    peer = Peer(options, token=token)
    if dcid:
        peer.connection._peer_cid.cid = dcid
    if retry_source:
        peer.connection._retry_count = 1
        peer.connection._retry_source_connection_id = retry_source
    peer.begin()
    try:
        peer.run(lambda: peer.complete or peer.closed or peer.connection._retry_count > bool(retry_source), "an answer", 1.0)
    except Late:
        pass
    taken = peer.complete
    text = "taken" if taken else describe(peer.closed)
    peer.socket.close()
    return taken, text


def tokens(options):
    """Tokens of others, used ones, and such as are none. Needs a server that always asks for one."""
    good = _retry_of(options)
    token, dcid = good.connection._peer_token, good.connection._peer_cid.cid
    right = True
    spoilt = {
        "of another client": (token, dcid, dcid),
        "of another client, for another connection": (token, None, None),
        "that is cut off": (token[:-1], dcid, dcid),
        "with a bit turned": (token[:-5] + bytes([token[-5] ^ 1]) + token[-4:], dcid, dcid),
        "of nothing but zeros": (bytes(len(token)), None, None),
        "of noise": (os.urandom(len(token)), None, None),
        "of one byte": (token[:1], None, None),
        "that is too long": (token + bytes(500), None, None),
    }
    for name, arguments in spoilt.items():
        taken, text = _is_taken(options, *arguments)
        print(f"{'WRONG' if taken else 'ok'}: a token {name}: {text}", flush=True)
        right = right and not taken
    # Whom it was given to can use it.
    good.flush()
    good.run(lambda: good.complete or good.closed, "the handshake with its own token")
    print(f"{'ok' if good.complete else 'WRONG'}: a token of its own: {describe(good.closed)}")
    if good.complete:
        good.echo()
    right = right and good.complete
    good.close()
    # A token that was used already, of the same server, by a new connection from elsewhere.
    taken, text = _is_taken(options, token, dcid, dcid)
    print(f"{'WRONG' if taken else 'ok'}: a token that was used: {text}")
    return right and not taken


# ---- 0-RTT ----


def early_data(options):
    """A ticket that does not allow early data, and a client that sends some all the same."""
    tickets = []
    first = Peer(options)
    first.connection._session_ticket_handler = tickets.append
    first.handshake().echo()
    first.run(lambda: tickets, "a ticket")
    first.close()
    allowed = tickets[0].max_early_data_size
    print(f"early data: the ticket allows {allowed}")
    tickets[0].max_early_data_size = 0xFFFFFFFF
    peer = Peer(options, session_ticket=tickets[0])
    peer.begin()
    peer.connection.send_stream_data(0, b"early", end_stream=True)
    peer.run(lambda: peer.complete or peer.closed, "the handshake")
    accepted = peer.connection.tls.early_data_accepted
    peer.run(lambda: 0 in peer.ended or peer.closed, "the echo of what was sent again")
    print(f"early data: accepted {accepted}, then {peer.streams.get(0)!r}, {describe(peer.closed)}")
    right = not allowed and not accepted and peer.streams.get(0) == b"early"
    peer.close()
    return right


def half_open(options):
    """Clients that begin a handshake and go: others get in."""
    for _ in range(options.count):
        peer = Peer(options)
        peer.begin()
        peer.flush()
        peer.socket.close()
    peer = Peer(options).handshake()
    peer.echo()
    peer.close()
    print(f"half open: {options.count}, and then one that was served")
    return True


def replayed_packets(options):
    """Each packet of a client again, from another source: nothing comes of it, and the connection goes on."""
    peer = Peer(options)
    sent = []
    transmit = peer.transmit
    peer.transmit = lambda datagram: (sent.append(datagram), transmit(datagram))
    peer.handshake().echo()
    stranger = Stranger(options.to)
    for datagram in sent:
        stranger.send(datagram)
    _listen([stranger], 1.0)
    peer.echo()
    print(f"replayed: {stranger.bytes_sent} bytes, back {stranger.bytes_received}: {[_kind(each) for each in stranger.answers]}")
    peer.close()
    return stranger.bytes_received <= 3 * stranger.bytes_sent
