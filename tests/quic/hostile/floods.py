# SPDX-License-Identifier: Apache-2.0
"""Frames that are allowed, and far too many of them: others are served meanwhile, and memory stays bounded (the test looks at the relay)."""

import time

import frames
from peer import Late, Peer, describe

PACKETS = 4000
PAYLOAD = 1100
TURN = 32  # packets between two looks at what came


def _filled(one):
    return one * (PAYLOAD // len(one))


def _pings(_peer, _number):
    return frames.PING


def _many_pings(_peer, _number):
    return _filled(frames.PING)


def _path_challenges(_peer, _number):
    return frames.path_challenge()


def _connection_ids(_peer, number):
    return frames.new_connection_id(number + 10, number + 10)


def _acknowledgements(_peer, _number):
    return _filled(frames.ack(0))


def _empty_pieces(_peer, _number):
    return _filled(frames.stream(0, b""))


def _scattered_bytes(_peer, number):
    """Each byte of a stream but every second: nothing of it can be given on."""
    per_packet = 100
    return b"".join(frames.stream(0, b"x", 2 * (number * per_packet + i) % 200000 + 1) for i in range(per_packet))


def _rapid_resets(peer, number):
    """Streams that are opened and given up at once, as many as the server allows."""
    per_packet = 20
    allowed = peer.connection._remote_max_streams_bidi
    first = getattr(peer, "next_stream", 0)
    peer.next_stream = min(first + per_packet, allowed)
    streams = [4 * each for each in range(first, peer.next_stream)]
    return b"".join(frames.stream(each, b"x") + frames.reset_stream(each, 1) + frames.stop_sending(each) for each in streams) or frames.PING


def _stop_sendings(_peer, _number):
    return _filled(frames.stop_sending(0))


def _crypto_pieces(_peer, number):
    per_packet = 100
    return b"".join(frames.crypto(2 * (number * per_packet + i) % 30000 + 1, b"x") for i in range(per_packet))


def _blocked(_peer, number):
    return _filled(frames.data_blocked(number))


def _limits(_peer, number):
    return _filled(frames.max_stream_data(0, 1000000 + number))


FLOODS = {
    "pings": _pings,
    "packets full of pings": _many_pings,
    "path challenges": _path_challenges,
    "connection IDs": _connection_ids,
    "acknowledgements": _acknowledgements,
    "empty pieces of a stream": _empty_pieces,
    "scattered bytes": _scattered_bytes,
    "rapid resets": _rapid_resets,
    "STOP_SENDING": _stop_sendings,
    "pieces of a handshake": _crypto_pieces,
    "DATA_BLOCKED": _blocked,
    "limits": _limits,
}


def _flood(peer, witness, make):
    """Sends the packets, while the witness has its echoes; returns how long the slowest of those took."""
    slowest = 0.0
    for number in range(PACKETS):
        if peer.closed:
            break
        peer.inject(make(peer, number))
        if number % TURN == 0:
            peer.step(0)
        if number % (PACKETS // 8) == 0:
            start = time.monotonic()
            witness.echo()
            slowest = max(slowest, time.monotonic() - start)
    return slowest


def floods(options):
    """Floods of every kind, each on a connection of its own. Whether to close it is the server's choice."""
    witness = Peer(options).handshake()
    for name, make in FLOODS.items():
        peer = Peer(options).handshake()
        peer.inject(frames.stream(0, b"x"))
        slowest = _flood(peer, witness, make)
        try:
            peer.run(lambda: False, "", 0.05)
        except Late:
            pass
        print(f"ok: {name}: {describe(peer.closed)}, slowest echo {slowest * 1000:.0f} ms", flush=True)
        peer.close()
    witness.echo()
    witness.close()
    return True
