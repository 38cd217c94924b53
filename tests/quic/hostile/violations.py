# SPDX-License-Identifier: Apache-2.0
"""What breaks the protocol, and what has to come of it: the connection is closed with the error that RFC 9000 names, and nobody else notices."""

import time

from aioquic.tls import Epoch

import frames
from peer import DEADLINE, Late, Peer, describe

FLOW_CONTROL_ERROR = 0x03
STREAM_LIMIT_ERROR = 0x04
STREAM_STATE_ERROR = 0x05
FINAL_SIZE_ERROR = 0x06
FRAME_ENCODING_ERROR = 0x07
TRANSPORT_PARAMETER_ERROR = 0x08
CONNECTION_ID_LIMIT_ERROR = 0x09
PROTOCOL_VIOLATION = 0x0A
CRYPTO_BUFFER_EXCEEDED = 0x0D
MISSING_EXTENSION = 0x16D  # an alert of TLS
A_MOMENT = 1.0  # seconds in which what comes at all has come
LIVES = None  # RFC 9000 leaves it open whether the connection is closed
ENOUGH = 1 << 24  # more than any window and any limit of the policy

# name → (packets, the errors of which one has to come; none: the connection lives on)
OPEN = {
    # The ID that a later frame retired comes again, twice: the library before 1.4 aborted.
    "a duplicate NEW_CONNECTION_ID": (
        [frames.new_connection_id(8, 8), frames.new_connection_id(3, 0, b"12345678") * 2], (),
    ),
    "a stream beyond the limit": ([frames.stream(4 * ENOUGH, b"x")], (STREAM_LIMIT_ERROR,)),
    "a unidirectional stream beyond the limit": ([frames.stream(4 * ENOUGH + 2, b"x")], (STREAM_LIMIT_ERROR,)),
    "a reset of a stream beyond the limit": ([frames.reset_stream(4 * ENOUGH)], (STREAM_LIMIT_ERROR,)),
    "more than a stream's window": ([frames.stream(0, b"x", ENOUGH)], (FLOW_CONTROL_ERROR,)),
    "a final size beyond the window": ([frames.reset_stream(0, ENOUGH)], (FLOW_CONTROL_ERROR,)),
    "bytes behind the end": (
        [frames.stream(0, b"0123456789", fin=True) + frames.stream(0, b"x", 20)], (FINAL_SIZE_ERROR,),
    ),
    "an end before the bytes": ([frames.stream(0, b"0123456789", fin=False), frames.stream(0, b"", 3, True)], (FINAL_SIZE_ERROR,)),
    "a reset with another final size": (
        [frames.stream(0, b"0123456789", fin=True) + frames.reset_stream(0, 3)], (FINAL_SIZE_ERROR,),
    ),
    "a stream of the server's that there is not": ([frames.stream(401, b"x")], (STREAM_STATE_ERROR,)),
    "bytes on a stream that is the server's to write": ([frames.stream(3, b"x")], (STREAM_STATE_ERROR, STREAM_LIMIT_ERROR)),
    "STOP_SENDING for what only the client writes": ([frames.stop_sending(2)], (STREAM_STATE_ERROR,)),
    "MAX_STREAM_DATA for what only the client writes": ([frames.max_stream_data(2, 9)], (STREAM_STATE_ERROR,)),
    "a number of streams that cannot be": ([frames.frame(0x12, (1 << 60) + 1)], (FRAME_ENCODING_ERROR,)),
    "HANDSHAKE_DONE of a client": ([frames.HANDSHAKE_DONE], (PROTOCOL_VIOLATION,)),
    "NEW_TOKEN of a client": ([frames.new_token()], (PROTOCOL_VIOLATION,)),
    "a frame of no kind": ([frames.frame(0x3F)], (FRAME_ENCODING_ERROR,)),
    "a frame that is cut off": ([frames.frame(0x0E, 0, 0, 1000) + b"x"], (FRAME_ENCODING_ERROR,)),
    "an acknowledgement of what was never sent": ([frames.ack(1 << 20)], (PROTOCOL_VIOLATION,)),
    "a retired ID that was never given": ([frames.retire_connection_id(1 << 20)], (PROTOCOL_VIOLATION,)),
    "a connection ID of no bytes": ([frames.new_connection_id(1, 0, b"")], (FRAME_ENCODING_ERROR,)),
    "a connection ID that is too long": ([frames.new_connection_id(1, 0, bytes(21))], (FRAME_ENCODING_ERROR,)),
    "an ID that retires those behind it": ([frames.new_connection_id(5, 6)], (FRAME_ENCODING_ERROR,)),
    "one number for two IDs": (
        [frames.new_connection_id(9, 9), frames.new_connection_id(9, 9)], (PROTOCOL_VIOLATION, LIVES),
    ),
    "too many connection IDs": (
        [b"".join(frames.new_connection_id(100 + number) for number in range(20))], (CONNECTION_ID_LIMIT_ERROR,),
    ),
    "a handshake that goes on for ever": (
        [frames.crypto(offset * 1000 + 1, bytes(1000)) for offset in range(1, 200)], (CRYPTO_BUFFER_EXCEEDED,),
    ),
    "a datagram that was not agreed on": ([frames.datagram(b"x")], (PROTOCOL_VIOLATION,)),
    "an answer to no challenge": ([frames.path_response()], ()),
    "padding alone": ([frames.PADDING * 1000], ()),
}

# In a space in which they may not be, before there are keys for more.
EARLY = {
    "a stream in an Initial": (Epoch.INITIAL, frames.stream(0, b"x"), (PROTOCOL_VIOLATION, FRAME_ENCODING_ERROR)),
    "HANDSHAKE_DONE in an Initial": (Epoch.INITIAL, frames.HANDSHAKE_DONE, (PROTOCOL_VIOLATION, FRAME_ENCODING_ERROR)),
    "NEW_CONNECTION_ID in an Initial": (
        Epoch.INITIAL, frames.new_connection_id(1), (PROTOCOL_VIOLATION, FRAME_ENCODING_ERROR),
    ),
    "PATH_CHALLENGE in an Initial": (Epoch.INITIAL, frames.path_challenge(), (PROTOCOL_VIOLATION, FRAME_ENCODING_ERROR)),
}


def parameter(number, value):
    return frames.frame(number, len(value), value)


# name → what is made of the parameters. Those that are appended are there twice, or must not come from a client.
PARAMETERS = {
    "a parameter twice": lambda connection, encoded: encoded + parameter(0x04, frames.varint(9)),
    "parameters that are cut off": lambda connection, encoded: encoded[:-1] + b"",
    "a parameter that is longer than all": lambda connection, encoded: encoded + frames.frame(0x3127, 1000) + b"x",
    "a payload below 1200": lambda connection, encoded: _with(encoded, 0x03, frames.varint(1199)),
    "an exponent of 21": lambda connection, encoded: _with(encoded, 0x0A, frames.varint(21)),
    "a delay of 2^14": lambda connection, encoded: _with(encoded, 0x0B, frames.varint(1 << 14)),
    "one connection ID": lambda connection, encoded: _with(encoded, 0x0E, frames.varint(1)),
    "more streams than there can be": lambda connection, encoded: _with(encoded, 0x08, frames.varint((1 << 60) + 1)),
    "a server's original ID": lambda connection, encoded: encoded + parameter(0x00, bytes(8)),
    "a server's reset token": lambda connection, encoded: encoded + parameter(0x02, bytes(16)),
    "a server's preferred address": lambda connection, encoded: encoded + parameter(0x0D, bytes(45)),
    "a server's Retry": lambda connection, encoded: encoded + parameter(0x10, bytes(8)),
    "another source ID": lambda connection, encoded: _with(encoded, 0x0F, bytes(8)),
    "no source ID": lambda connection, encoded: _with(encoded, 0x0F, None),
    "no parameters": lambda connection, encoded: b"",
}


# That it SHOULD be noticed is all that RFC 9000, 7.4 says; who says a thing twice harms nobody else.
MAY_PASS = ("a parameter twice",)


def _read_varint(data, at):
    size = 1 << (data[at] >> 6)
    return int.from_bytes(data[at : at + size], "big") & ((1 << (size * 8 - 2)) - 1), at + size


def _with(encoded, number, value):
    """The parameters with that value for one; None: without it."""
    result, at = b"", 0
    while at < len(encoded):
        start = at
        found, at = _read_varint(encoded, at)
        length, at = _read_varint(encoded, at)
        at += length
        if found != number:
            result += encoded[start:at]
    return result if value is None else result + parameter(number, value)


def _judge(name, closed, errors):
    """A line about what came of it, and whether that is right."""
    right = closed.error_code in errors if closed else not errors or LIVES in errors
    return f"{'ok' if right else 'WRONG'}: {name}: {describe(closed)}", right


def _of_open(options):
    for name, (packets, errors) in OPEN.items():
        peer = Peer(options, max_datagram_frame_size=None).handshake()
        peer.connection._get_or_create_stream_for_send(0)  # what the guest sends back on it is known then
        for payload in packets:
            peer.inject(payload)
        try:
            if errors:
                peer.wait_closed(A_MOMENT if LIVES in errors else DEADLINE)
            else:
                peer.echo()
        except Late:
            pass
        yield _judge(name, peer.closed, errors)
        peer.close()


def _of_early(options):
    for name, (epoch, payload, errors) in EARLY.items():
        peer = Peer(options)
        peer.begin()
        peer.connection.datagrams_to_send(time.monotonic())  # kept back: this is the first that the server has of it
        peer.inject(payload, epoch)
        try:
            peer.wait_closed(A_MOMENT)
        except Late:
            pass
        # To be forgotten without a word is as good: nobody is known there yet.
        right = peer.closed is None or peer.closed.error_code in errors
        yield f"{'ok' if right else 'WRONG'}: {name}: {describe(peer.closed)}", right
        peer.close()


def _of_parameters(options):
    for name, spoil in PARAMETERS.items():
        errors = (TRANSPORT_PARAMETER_ERROR, PROTOCOL_VIOLATION, MISSING_EXTENSION)
        if name in MAY_PASS:
            errors += (LIVES,)
        peer = Peer(options, spoil=spoil)
        peer.begin()
        try:
            peer.run(lambda: peer.closed or (LIVES in errors and peer.complete), "the close")
        except Late:
            pass
        yield _judge(name, peer.closed, errors)
        peer.close()


def violations(options):
    """Breaks the protocol in every way that is known here, each time on a connection of its own, and looks whether others are served."""
    all_right = True
    with_witness = Peer(options).handshake()
    for kind in (_of_open, _of_early, _of_parameters):
        for line, right in kind(options):
            print(line, flush=True)
            all_right = all_right and right
            with_witness.echo()
    with_witness.close()
    return all_right
