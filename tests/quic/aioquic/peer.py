# SPDX-License-Identifier: Apache-2.0
"""A QUIC server and client by aioquic, for netbroker's tests: tests/quic/README.md has the command line, which all peers share."""

import argparse
import asyncio
import logging
import sys

import dial
import report
import serve


class Refused(Exception):
    """A wrong command line."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Refused(message)


def parse(words):
    parser = Parser(allow_abbrev=False)
    parser.add_argument("verb", choices=("serve", "dial"))
    parser.add_argument("words", nargs="*", help="the scenario and what belongs to it")
    for name in ("--name", "--alpn", "--ca", "--client-ca", "--cert", "--key", "--reset-key", "--preferred-address"):
        parser.add_argument(name)
    for name in ("--retry", "--datagrams", "--key-update", "--bench"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--listen", "--to", dest="address")
    parser.add_argument("--idle", type=int)
    arguments = parser.parse_intermixed_args(words)
    if arguments.preferred_address:
        raise Refused("aioquic offers no preferred address")
    if arguments.client_ca:
        raise Refused("aioquic asks no client for a certificate")
    host, _, port = arguments.address.rpartition(":")
    arguments.address = (host.strip("[]"), int(port))
    return arguments


def main():
    logging.getLogger("quic").addHandler(logging.NullHandler())
    try:
        arguments = parse(sys.argv[1:])
        asyncio.run(serve.run(arguments) if arguments.verb == "serve" else dial.run(arguments))
    except Exception as error:  # whatever it is, it is the result
        report.failed(error)
        return 1
    return 0


sys.exit(main())
