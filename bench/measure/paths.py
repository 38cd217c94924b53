# SPDX-License-Identifier: Apache-2.0
"""(l) connects by each way, until a byte has come back from who was connected to."""

from . import peers, relayed
from .figures import Table, ratios, take_turns
from .parts import microseconds, timed
from .processes import Processes, cores

DIRECT = "direct"
BROKER = "by the broker"
RELAY = "through the relay"
CONNECT_BOUND = 1


def _placements():
    first, second = cores()
    yield "everything on one core", first, first
    if second != first:
        yield "the broker, the relay or the proxy on a second core", first, second


def latencies(bench):
    """(l) connect by each way, until a byte has come back."""
    for text, rest, between in _placements():
        with Processes(bench) as processes:
            yield _latencies(processes, text, rest, between)


def _latencies(processes, text, rest, between):
    """Who is behind a proxy is reached when a byte has come back, not when the proxy has accepted."""
    bench = processes.bench
    table = Table("l", f"connect, have a byte echoed, close; {text}", "us", DIRECT)
    sink = processes.program(rest, "sink", "echo").word
    programs = {DIRECT: processes.program(rest, "direct", "touch", sink)}
    if bench.netbrokerd:
        programs[BROKER] = processes.program(rest, "client", "touch", processes.broker(between).path, sink)
    if bench.netbrokerd and bench.relay:
        broker = relayed.start_broker(processes, between, "latency", "")
        programs[RELAY] = processes.program(rest, "client", "touch", broker.path, sink)
    proxies = _proxies(processes, table, rest, between, sink)
    results = take_turns(
        {name: timed(program, bench.seconds, microseconds) for name, program in {**programs, **proxies}.items()}, bench.rounds
    )
    table.add(results)
    if proxies and rest == between:
        fastest = [min(each) for each in zip(*(results[name] for name in proxies))]
        for name in (BROKER, RELAY):
            if name in results:
                table.goal(f"{name}: times the fastest proxy", ratios(results[name], fastest), CONNECT_BOUND)
    return table


def _proxies(processes, table, rest, between, sink):
    """A program for each proxy that is installed."""
    programs = {}
    starters = {
        "microsocks": ("socks", processes.microsocks),
        "danted": ("socks", lambda cpus: peers.danted(processes, cpus)),
        "tinyproxy": ("http", processes.tinyproxy),
    }
    for name, (kind, start) in starters.items():
        if not peers.path_of(name):
            table.remark(f"{name} is not installed: left out")
            continue
        peer = start(between)
        programs[f"{name}, {kind.upper()}"] = processes.program(rest, "proxy", kind, peer.address, sink, "touch")
    for name in ("haproxy", "nginx"):
        peer = peers.start(processes, between, name, "tcp", sink)
        if not peer:
            table.remark(f"{name} is not installed, or without its module for streams: left out")
            continue
        programs[f"{name}, one server only"] = processes.program(rest, "direct", "touch", peer.address)
    return programs


PARTS = {"l": latencies}
