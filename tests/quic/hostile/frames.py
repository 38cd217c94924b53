# SPDX-License-Identifier: Apache-2.0
"""Frames of RFC 9000, written by hand: nothing here asks whether they are allowed."""

import os


def varint(value):
    """RFC 9000, 16, in as few bytes as it takes."""
    for bits, size in ((6, 1), (14, 2), (30, 4), (62, 8)):
        if value < 1 << bits:
            return ((size.bit_length() - 1) << (size * 8 - 2) | value).to_bytes(size, "big")
    raise ValueError(value)


def frame(*fields):
    """Numbers as variable-length integers, bytes as they are."""
    return b"".join(field if isinstance(field, bytes) else varint(field) for field in fields)


PADDING = b"\0"
PING = frame(0x01)
HANDSHAKE_DONE = frame(0x1E)


def ack(largest):
    return frame(0x02, largest, 0, 0, 0)


def reset_stream(stream, final_size=0, error=0):
    return frame(0x04, stream, error, final_size)


def stop_sending(stream, error=0):
    return frame(0x05, stream, error)


def crypto(offset, data):
    return frame(0x06, offset, len(data), data)


def new_token(token=b"token"):
    return frame(0x07, len(token), token)


def stream(number, data=b"", offset=0, fin=False):
    return frame(0x0E | fin, number, offset, len(data), data)


def max_data(limit):
    return frame(0x10, limit)


def max_stream_data(number, limit):
    return frame(0x11, number, limit)


def max_streams(limit):
    return frame(0x12, limit)


def data_blocked(limit):
    return frame(0x14, limit)


def streams_blocked(limit):
    return frame(0x16, limit)


def new_connection_id(sequence, retire_prior_to=0, cid=None):
    """With a length that fits the ID, whatever that is."""
    cid = os.urandom(8) if cid is None else cid
    return frame(0x18, sequence, retire_prior_to, bytes([len(cid)]), cid, os.urandom(16))


def retire_connection_id(sequence):
    return frame(0x19, sequence)


def path_challenge():
    return frame(0x1A, os.urandom(8))


def path_response():
    return frame(0x1B, os.urandom(8))


def datagram(data):
    return frame(0x31, len(data), data)
