# SPDX-License-Identifier: Apache-2.0
"""What goes through a relay: (t) TLS, (r) plain TCP, (u) datagram servers."""

import os
import time

from . import memory, peers
from .figures import Table, quartiles, ratios, take_turns
from .processes import BenchError, Processes, cores

RELAY = "netbroker's relay"
CHUNK = 65536
WARM_BYTES = 1024 * 1024
TLS_BYTES = 64 * 1024 * 1024
TCP_BYTES = 128 * 1024 * 1024
HANDSHAKES = 100
PING = 64  # bytes
UDP_PEERS = (10, 1000, 10000)
UDP_EXCHANGES = 2000
IDLE = 10000  # connections
IDLE_BOUND = 600  # MiB
IDLE_ROUNDS = 3

POLICY = """\
[Tenant]
Name=bench
User={user}
RequestRate=infinity
{tenant}

[Protocol ip]
Family=ip
DataPath={path}
SocketTypes=stream dgram
Connect=127.0.0.1:*
Listen=127.0.0.1:*
{keys}
"""


def write_policy(bench, name, keys, *, path="relay", tenant=""):
    """Writes a policy of that name, and returns its path."""
    text = POLICY.format(user=os.geteuid(), path=path, keys=keys, tenant=tenant)
    if "TLS=" in keys:
        text = text.replace("SocketTypes=stream dgram\n", "")
    file = os.path.join(bench.folder, f"{name}.conf")
    with open(file, "w", encoding="ascii") as policy:
        policy.write(text)
    return file


def start_broker(processes, cpus, name, keys, **options):
    bench = processes.bench
    return processes.broker(cpus, "--relay-program", bench.relay, policy=write_policy(bench, name, keys, **options))


def can_relay(bench):
    """Whether broker and relay are built."""
    return bench.netbrokerd and bench.relay


def rounds_of(bench):
    return max(3, bench.rounds // 10)


def _placements():
    """(text, cores of everything else, cores of what is measured)"""
    first, second = cores()
    yield "everything on one core", first, first
    if second != first:
        yield "what is measured on a core of its own", first, second


class Work:
    """The processor time of a process with its children and threads, as a resource of a variant."""

    def __init__(self, process):
        self.pid = process.pid
        self.last = 0

    def seconds(self):
        """Since the last call."""
        now = sum(_cpu_seconds(pid) for pid in _family(self.pid))
        spent, self.last = now - self.last, now
        return spent


def _cpu_seconds(pid):
    """By the clock of a process, which counts threads that have ended too (clock_getcpuclockid(3))."""
    try:
        return time.clock_gettime((~pid) << 3 | 2)
    except OSError:
        return 0.0


def _family(pid):
    """A process and its descendants."""
    found = [pid]
    for parent in found:
        try:
            tasks = os.listdir(f"/proc/{parent}/task")
            for task in tasks:
                with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as children:
                    found += [int(child) for child in children.read().split()]
        except OSError:
            continue
    return found


def _measure(table, work_title, programs, ask, per, rounds):
    """Lets the programs take turns. Adds what `ask(program)` returns to `table`.

    Returns (results, a table of the processor time that what is measured took for `per` of it). `programs` are
    name → (program, process that is measured).
    """
    spent = {name: [] for name in programs}
    work = {name: Work(process) for name, (_, process) in programs.items()}

    def variant(name):
        program = programs[name][0]
        ask(program)

        def once():
            work[name].seconds()
            figure = ask(program)
            spent[name].append(work[name].seconds() / per)
            return figure

        return once

    results = take_turns({name: variant(name) for name in programs}, rounds)
    table.add(results, better_is_more=True)
    costs = Table(table.key, *work_title)
    costs.add(spent)
    return results, costs


def _fastest_of_others(results):
    others = [values for name, values in results.items() if name != RELAY]
    return [max(each) for each in zip(*others)] if others else None


def _goal_of_speed(table, results, what, bound):
    others = _fastest_of_others(results)
    if RELAY in results and others:
        table.goal(f"{what}: times the fastest of the others", ratios(results[RELAY], others), bound, at_least=True)


def _upload(total):
    return lambda program: total / program.ask(f"{WARM_BYTES} {total}")


# ---- (t) ----


def tls(bench):
    """(t) TLS."""
    try:
        bench.certificates = peers.Certificates(bench.folder)
    except BenchError as error:
        table = Table("t", "TLS", "")
        table.remark(str(error))
        yield table
        return
    for cipher in peers.SUITES:
        for text, rest, between in _placements():
            for role in ("client", "server"):
                with Processes(bench) as processes:
                    yield from _tls_stream(processes, role, cipher, text, rest, between)
    for text, rest, between in _placements():
        for role in ("client", "server"):
            for resumes in (False, True):
                with Processes(bench) as processes:
                    yield from _handshakes(processes, role, resumes, text, rest, between)
    yield from _idle(bench)


def client_keys(bench):
    """The keys of a protocol whose relay speaks TLS to peers; `bench.certificates` are there."""
    return f"TLS=client\nTLSTrust={bench.certificates.trust}\nTLSVersions=1.3\n"


def _server_keys(bench):
    return f"TLS=server\nTLSCertificate={bench.certificates.chain} {bench.certificates.key}\nTLSVersions=1.3\n"


def _tls_stream(processes, role, cipher, text, rest, between):
    bench = processes.bench
    table = Table("t", f"a stream as TLS {role}, {cipher}, writes of {CHUNK} bytes; {text}", "GB/s")
    programs = {}
    if role == "client":
        backend = processes.program(rest, "tls", "discard", cipher, bench.certificates.chain, bench.certificates.key).word
    else:
        backend = processes.program(rest, "sink", "discard").word
    for name in peers.programs(role):
        peer = peers.start(processes, between, name, role, backend, cipher=cipher)
        if not peer:
            continue
        if role == "client":
            programs[name] = (processes.program(rest, "direct", "stream", peer.address, CHUNK), peer)
        else:
            programs[name] = (processes.program(rest, "tls", "stream", cipher, peer.address, CHUNK), peer)
    if can_relay(bench):
        if role == "client":
            broker = start_broker(processes, between, "tls-client", client_keys(bench))
            programs[RELAY] = (processes.program(rest, "client", "stream", broker.path, backend, CHUNK), broker)
        else:
            broker = start_broker(processes, between, "tls-server", _server_keys(bench))
            guest = processes.program(rest, "client", "discard", broker.path)
            programs[RELAY] = (processes.program(rest, "tls", "stream", cipher, guest.word, CHUNK), broker)

    title = (f"the same as TLS {role}, {cipher}: processor time of what is measured alone, for a gigabyte; {text}", "s")
    gigabytes = (TLS_BYTES + WARM_BYTES) / 1e9
    results, costs = _measure(table, title, programs, _upload(TLS_BYTES), gigabytes, rounds_of(bench))
    for remark in peers.missing(role):
        table.remark(remark)
    _goal_of_speed(table, results, f"TLS {role}, {cipher}", 1.0)
    yield table
    yield costs


def _handshakes(processes, role, resumes, text, rest, between):
    bench = processes.bench
    cipher = "AES-128-GCM"
    kind = "resumed" if resumes else "full"
    table = Table("t", f"{kind} handshakes as TLS {role}, with a byte echoed, one after the other; {text}", "a second")
    mode = "resume" if resumes else "full"
    programs = {}
    if role == "client":
        backend = processes.program(rest, "tls", "echo", cipher, bench.certificates.chain, bench.certificates.key).word
    else:
        backend = processes.program(rest, "sink", "echo").word
    for name in peers.programs(role):
        peer = peers.start(processes, between, name, role, backend, resumes=resumes)
        if not peer:
            continue
        if role == "client":
            programs[name] = (processes.program(rest, "direct", "touch", peer.address), peer)
        else:
            programs[name] = (processes.program(rest, "tls", mode, cipher, peer.address), peer)
    if can_relay(bench):
        tickets = f"TLSTickets={'yes' if resumes else 'no'}\n"
        if role == "client":
            broker = start_broker(processes, between, "tls-client", client_keys(bench) + tickets)
            programs[RELAY] = (processes.program(rest, "client", "touch", broker.path, backend), broker)
        else:
            broker = start_broker(processes, between, "tls-server", _server_keys(bench) + tickets)
            guest = processes.program(rest, "client", "echo", broker.path)
            programs[RELAY] = (processes.program(rest, "tls", mode, cipher, guest.word), broker)

    title = (f"the same {kind} handshakes as TLS {role}: processor time of what is measured alone, for one; {text}", "us")
    ask = lambda program: HANDSHAKES / program.ask(f"0 {HANDSHAKES}") * 1e9  # noqa: E731
    results, costs = _measure(table, title, programs, ask, HANDSHAKES / 1e6, rounds_of(bench))
    for remark in peers.missing(role):
        table.remark(remark)
    _goal_of_speed(table, results, f"{kind} handshakes as {role}", 1.0)
    yield table
    yield costs


def _idle(bench):
    """The memory of idle connections: each takes two descriptors of a relay, one of the guest's and one of the far client's."""
    if not can_relay(bench):
        return
    count = min(IDLE, bench.descriptors - 500)
    relays = 1 if 2 * count + 500 < bench.descriptors else 2
    rounds = []
    for _ in range(min(bench.memory_rounds, IDLE_ROUNDS)):
        with Processes(bench) as processes:
            rounds.append(_grown(processes, count, relays))
    grown, whole, slab = zip(*rounds)
    table = Table("t", f"memory of {count} idle TLS connections as server, {relays} relays", "MiB")
    table.add({"broker and relays, resident, grown by": grown})
    table.add({"broker and relays, resident, in all": whole})
    table.add({"kernel slab, of all ends together": slab})
    table.goal(f"{IDLE} idle connections: broker and relays", [each * IDLE / count for each in whole], IDLE_BOUND, unit=" MiB")
    yield table


def _grown(processes, count, relays):
    """MiB of `count` connections: by how much broker and relays have grown, what they have in all, by how much the kernel's slab has grown."""
    bench = processes.bench
    rest, between = cores()
    broker = start_broker(processes, between, "tls-idle", _server_keys(bench), tenant=f"Relays={relays}\nMaxInFlight=256")
    guest = processes.program(rest, "client", "echo", broker.path)
    client = processes.program(rest, "tls", "hold", "AES-128-GCM", guest.word)
    client.ask("0 10")
    before = resident(broker.pid), memory.settled(memory.slab)
    client.ask(f"0 {count}")
    after = resident(broker.pid), memory.settled(memory.slab)
    return (after[0] - before[0]) / 1024, after[0] / 1024, (after[1] - before[1]) / 1024


def resident(pid):
    return memory.settled(lambda: sum(memory.resident(each) for each in _family(pid)))


# ---- (r) ----


def tcp(bench):
    """(r) plain TCP through the relay."""
    for text, rest, between in _placements():
        with Processes(bench) as processes:
            yield from _tcp_stream(processes, text, rest, between)
    for text, rest, between in _placements():
        with Processes(bench) as processes:
            yield _round_trip(processes, text, rest, between)


def _tcp_stream(processes, text, rest, between):
    bench = processes.bench
    table = Table("r", f"a stream of plain TCP in writes of {CHUNK} bytes; {text}", "GB/s")
    sink = processes.program(rest, "sink", "discard").word
    programs = {}
    peer = peers.start(processes, between, "haproxy", "tcp", sink)
    if peer:
        programs["haproxy"] = (processes.program(rest, "direct", "stream", peer.address, CHUNK), peer)
    if can_relay(bench):
        broker = start_broker(processes, between, "tcp", "")
        programs[RELAY] = (processes.program(rest, "client", "stream", broker.path, sink, CHUNK), broker)
    title = (f"the same: processor time of what is measured alone, for a gigabyte; {text}", "s")
    gigabytes = (TCP_BYTES + WARM_BYTES) / 1e9
    results, costs = _measure(table, title, programs, _upload(TCP_BYTES), gigabytes, rounds_of(bench))
    for remark in peers.missing("tcp"):
        table.remark(remark)
    _goal_of_speed(table, results, "plain TCP", 0.8)
    yield table
    yield costs


def _round_trip(processes, text, rest, between):
    bench = processes.bench
    table = Table("r", f"a round trip of {PING} bytes; {text}", "us", "direct")
    echo = processes.program(rest, "sink", "echo").word
    programs = {"direct": processes.program(rest, "direct", "ping", echo, PING)}
    peer = peers.start(processes, between, "haproxy", "tcp", echo)
    if peer:
        programs["haproxy"] = processes.program(rest, "direct", "ping", peer.address, PING)
    if can_relay(bench):
        broker = start_broker(processes, between, "tcp", "")
        programs[RELAY] = processes.program(rest, "client", "ping", broker.path, echo, PING)
    results = take_turns(
        {name: lambda program=program: program.ask("100 1000") / 1e6 for name, program in programs.items()}, bench.rounds
    )
    table.add(results)
    if RELAY in results and rest == between:
        table.goal("a round trip: times direct", ratios(results[RELAY], results["direct"]), 3)
    return table


# ---- (u) ----


def datagrams(bench):
    """(u) a datagram server with many peers."""
    for text, rest, between in _placements():
        with Processes(bench) as processes:
            yield _datagrams(processes, text, rest, between)


def _datagrams(processes, text, rest, between):
    bench = processes.bench
    table = Table("u", f"round trips of a UDP server, one after the other, by the number of peers; {text}", "a second")
    programs = {}
    for count in UDP_PEERS:
        if count + 500 > bench.descriptors:
            table.remark(f"{count} peers need more descriptors than {bench.descriptors}: left out")
            continue
        # A server of its own for each, so that they can take turns.
        server = processes.program(rest, "udp", "echo")
        programs[_plain_name(count)] = processes.program(rest, "udp", "peers", server.word, count)
        if not can_relay(bench):
            continue
        broker = start_broker(processes, between, "udp", "")
        guest = processes.program(rest, "client", "datagrams", broker.path)
        programs[_udp_name(count)] = processes.program(rest, "udp", "peers", guest.word, count)
    ask = lambda program: UDP_EXCHANGES / program.ask(f"0 {UDP_EXCHANGES}") * 1e9  # noqa: E731
    results = take_turns({name: lambda program=program: ask(program) for name, program in programs.items()}, rounds_of(bench))
    table.add(results, better_is_more=True)
    few = UDP_PEERS[0]
    for count in UDP_PEERS[1:]:
        if _udp_name(count) not in results:
            continue
        # So many sockets of the load's own are not in the caches either: that part is the plain server's too.
        own, plain = (
            ratios(results[name(count)], results[name(few)]) for name in (_udp_name, _plain_name)
        )
        table.goal(f"{count} peers: times {few}, as a plain server has it", ratios(own, plain), 0.9, at_least=True)
        table.remark(f"{count} peers: {quartiles(own)[1]:.2f} times {few}; plain sockets: {quartiles(plain)[1]:.2f}")
    return table


def _udp_name(count):
    return f"{RELAY}, {count} peers"


def _plain_name(count):
    return f"plain sockets, {count} peers"


PARTS = {"r": tcp, "t": tls, "u": datagrams}
