# SPDX-License-Identifier: Apache-2.0
"""(o) the ways that the bytes of a stream can take, side by side: round trips and throughput.

The guest's stand-in and the peer are on one core; what is between them is on the same one, or on another. The peers of TLS and QUIC
decrypt, which is a part of those figures.
"""

import contextlib

from . import peers, quic, relayed, sealed
from .figures import Table, ratios, take_turns
from .parts import CHUNK, STREAM_TOTAL, STREAM_WARM, microseconds, timed
from .processes import BenchError, Processes, cores

PING = 64  # bytes
CIPHER = "AES-128-GCM"
QUIC_PEER = "quinn"
DIRECT = "the program's own socket"
BROKER = "direct, by the broker"
SEALED = "sealed"
RELAY = "relayed"
TLS = "relayed, TLS 1.3 to the peer"
QUIC = "relayed, QUIC to the peer"
PEERS = f"the peers of TLS ({CIPHER}, by GnuTLS) and of QUIC ({QUIC_PEER}) decrypt on the guest's core, and that is in their figures"
HANDED_OVER_BOUND = 1.05  # times: it is a socket like any other
RELAY_BOUND = 3  # times, of a round trip, as (r) has it
THROUGHPUT_BOUND = 0.97


def _placements():
    first, second = cores()
    yield "everything on one core", first, first
    if second != first:
        yield "the relay on a second core", first, second


def ways(bench):
    """(o) round trips and throughput of each way."""
    remarks = []
    try:
        bench.certificates = peers.Certificates(bench.folder)
    except BenchError as error:
        remarks.append(f"TLS and QUIC are left out: {error}")
        bench.certificates = None
    quinn = _quinn(bench, remarks)
    with _sealed_cgroup(bench, remarks) as cgroup:
        for measure in (_round_trips, _throughput):
            for text, rest, between in _placements():
                with Processes(bench) as processes:
                    table = measure(_Ways(processes, cgroup, quinn, rest, between), text)
                for remark in (PEERS, *remarks):
                    table.remark(remark)
                yield table


def _quinn(bench, remarks):
    """The command of the peer of QUIC, or None."""
    if not bench.certificates or not relayed.can_relay(bench):
        return None
    try:
        return quic.command_of(QUIC_PEER)
    except BenchError as error:
        remarks.append(f"QUIC is left out: {error}")
        return None


@contextlib.contextmanager
def _sealed_cgroup(bench, remarks):
    """Yields the folder of a control group whose sockets are sealed, or None."""
    why = sealed.why_not(bench)
    with contextlib.ExitStack() as stack:
        cgroup = None
        try:
            cgroup = None if why else stack.enter_context(sealed.seal(bench))[sealed.SEALED]
        except (BenchError, OSError) as error:
            why = str(error)
        if why:
            remarks.append(f"sealed is left out: {why}")
        yield cgroup


class _Ways:
    """Starts a program for each way, in one placement."""

    def __init__(self, processes, cgroup, quinn, rest, between):
        self.processes = processes
        self.bench = processes.bench
        self.cgroup = cgroup
        self.quinn = quinn
        self.rest = rest
        self.between = between

    def start(self, mode, size, peer, tls_peer):
        """Name → program. `mode` and `size` are for bench/direct and bench/client, the peers for bench/sink and bench/tls."""
        sink = self.processes.program(self.rest, "sink", peer).word
        programs = {DIRECT: self.processes.program(self.rest, "direct", mode, sink, size)}
        if self.bench.netbrokerd:
            programs[BROKER] = self._client(self.processes.broker(self.between), mode, sink, size)
        if self.bench.netbrokerd and self.cgroup:
            self.processes.cgroup = self.cgroup
            broker = self.processes.broker(self.between)
            self.processes.cgroup = None
            programs[SEALED] = self._client(broker, mode, sink, size)
        if relayed.can_relay(self.bench):
            programs[RELAY] = self._client(self._relay("ways", ""), mode, sink, size)
        if relayed.can_relay(self.bench) and self.bench.certificates:
            files = self.bench.certificates
            tls_sink = self.processes.program(self.rest, "tls", tls_peer, CIPHER, files.chain, files.key).word
            programs[TLS] = self._client(self._relay("ways-tls", relayed.client_keys(self.bench)), mode, tls_sink, size)
        return programs

    def quic(self, mode, number, *options):
        """The program for QUIC, by name; none where its peer is not there."""
        if not self.quinn:
            return {}
        server = quic.start_server(self.processes, self.rest, self.quinn, *options)
        broker = quic.start_broker(self.processes, self.between)
        return {QUIC: self.processes.program(self.rest, "quic", mode, broker.path, server.address, number)}

    def _relay(self, name, keys):
        return relayed.start_broker(self.processes, self.between, name, keys)

    def _client(self, broker, mode, address, size):
        return self.processes.program(self.rest, "client", mode, broker.path, address, size)


def _round_trips(each, text):
    table = Table("o", f"a round trip of {PING} bytes on a stream, by each way; {text}", "us", DIRECT)
    programs = {**each.start("ping", PING, "echo", "pong"), **each.quic("ping", PING)}
    results = take_turns(
        {name: timed(program, each.bench.seconds, microseconds) for name, program in programs.items()}, each.bench.rounds
    )
    table.add(results)
    if each.rest == each.between:
        _goal(table, results, BROKER, HANDED_OVER_BOUND)
        _goal(table, results, SEALED, HANDED_OVER_BOUND)
        _goal(table, results, RELAY, RELAY_BOUND)
    return table


def _throughput(each, text):
    table = Table("o", f"bytes of a stream, by each way; {text}", "MB/s", DIRECT)
    programs = {**each.start("stream", CHUNK, "discard", "discard"), **each.quic("up", 1, "--bench")}

    def upload(program):
        return lambda: STREAM_TOTAL / program.ask(f"{STREAM_WARM} {STREAM_TOTAL}") * 1e3

    results = take_turns({name: upload(program) for name, program in programs.items()}, each.bench.rounds)
    table.add(results, better_is_more=True)
    if each.rest == each.between:
        _goal(table, results, BROKER, THROUGHPUT_BOUND, at_least=True)
        _goal(table, results, SEALED, THROUGHPUT_BOUND, at_least=True)
    return table


def _goal(table, results, what, bound, **options):
    if what in results:
        table.goal(f"{what}: times {DIRECT}", ratios(results[what], results[DIRECT]), bound, **options)


PARTS = {"o": ways}
