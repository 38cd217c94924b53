# SPDX-License-Identifier: Apache-2.0
"""Clients of QUIC that mean harm.

    hostile.py --to ADDRESS:PORT --ca FILE --name NAME --alpn PROTOCOL WHAT [--count N] [--seconds S] [--expect-retry]

The server is one whose guest echoes each stream. Says what came of each attempt, and ends with status 1 if something should not have come. Needs aioquic:
the tests run it with the interpreter that tests/quic/aioquic has.
"""

import argparse
import sys

import floods
import strangers
import violations
from peer import Late, Peer


def benign(options):
    """One client as there should be more."""
    peer = Peer(options).handshake()
    peer.echo()
    peer.close()
    print("served")
    return True


WHAT = {
    "benign": benign,
    "violations": violations.violations,
    "floods": floods.floods,
    "first-packets": strangers.first_packets,
    "unknown-ids": strangers.unknown_ids,
    "versions": strangers.versions,
    "garbage": strangers.garbage,
    "tokens": strangers.tokens,
    "early-data": strangers.early_data,
    "half-open": strangers.half_open,
    "replay": strangers.replayed_packets,
}


def _address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--to", type=_address, required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--ca", required=True, metavar="FILE")
    parser.add_argument("--name", required=True)
    parser.add_argument("--alpn", required=True)
    parser.add_argument("--count", type=int, default=100, metavar="N", help="packets, or clients")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to listen for answers")
    parser.add_argument("--expect-retry", action="store_true", help="some must be asked to prove their address")
    options = parser.parse_args()
    try:
        return 0 if WHAT[options.what](options) else 1
    except Late as error:
        print(f"WRONG: waited in vain for {error}", flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
