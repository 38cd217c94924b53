# SPDX-License-Identifier: Apache-2.0
"""(q) QUIC: guest to guest through two relays, to and from implementations nobody here wrote, those to themselves, and TLS over TCP of ours.

Two sides, and each has what belongs to it on its cores: for us the guest's stand-in, the broker and the relay, for the others one process.
"""

import json
import os
import subprocess

from . import memory, peers, relayed
from .figures import Table, ratios, take_turns
from .processes import BenchError, Processes, cores

OURS = "netbroker"
TLS = "netbroker, TLS over TCP"
ALPN = "nb-bench"
OTHERS = ("quic-go", "quinn", "aioquic")
STREAMS = (1, 100)
BYTES = 64 * 1024 * 1024
SLOW_BYTES = 4 * 1024 * 1024  # where one end is in Python
WARM_BYTES = 1024 * 1024
HANDSHAKES = 50
OPENED = 500  # streams, one after the other
IDLE = 1000  # connections
IDLE_BOUND = 110  # KB each
IDLE_ROUNDS = 3

POLICY = """\
[Tenant]
Name=bench
User={user}
RequestRate=infinity
MaxConnections=infinity

[Protocol quic]
Family=quic
TLSALPN={alpn}
TLSTrust={files.trust}
TLSCertificate={files.chain} {files.key}
Connect=127.0.0.1:*
Listen=127.0.0.1:*
"""


def quic(bench):
    """(q) QUIC."""
    try:
        bench.certificates = peers.Certificates(bench.folder)
        others = dict(_others())
    except BenchError as error:
        table = Table("q", "QUIC", "")
        table.remark(str(error))
        yield table
        return
    for streams in STREAMS:
        for text, near, far in _placements():
            with Processes(bench) as processes:
                yield from _throughput(_Sides(processes, others, near, far), streams, text)
    near, far = cores()
    with Processes(bench) as processes:
        yield _opened(_Sides(processes, others, near, far))
    with Processes(bench) as processes:
        yield _handshakes(_Sides(processes, others, near, far))
    yield from _idle(bench, others, near, far)


def start_broker(processes, cpus):
    """Starts a broker with QUIC, for bench/quic; `bench.certificates` are there."""
    bench = processes.bench
    path = os.path.join(bench.folder, "quic.conf")
    with open(path, "w", encoding="ascii") as policy:
        policy.write(POLICY.format(user=os.geteuid(), alpn=ALPN, files=bench.certificates))
    return processes.broker(cpus, "--relay-program", bench.relay, policy=path)


def start_server(processes, cpus, command, *options):
    """Starts a server that nobody here wrote, by its command. Returns it with its `address`."""
    files = processes.bench.certificates
    arguments = ["serve", "--listen", "127.0.0.1:0", "--cert", files.chain, "--key", files.key, "--alpn", ALPN, *options]
    process = processes.other(cpus, [*command, *arguments])
    process.address = f"127.0.0.1:{process.port}"
    return process


def _others():
    """Name → command, of those that are built (tools/get-quic-peers)."""
    for name in OTHERS:
        yield name, command_of(name)


def command_of(name):
    """The command of one of OTHERS, which is built where it was not yet. Raises BenchError where that fails."""
    tool = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "get-quic-peers")
    try:
        done = subprocess.run([tool, name], capture_output=True, text=True, check=False)
    except OSError as error:
        raise BenchError(f"{name}: {error}") from error
    if done.returncode != 0:
        raise BenchError(f"{name}: {done.stderr.strip() or 'cannot be built'}")
    return done.stdout.split()


def _placements():
    """(text, cores of the client's side, cores of the server's side)"""
    near, far = cores()
    if near != far:
        yield "a core a side", near, far
    everything = os.sched_getaffinity(0)
    yield "placed by the kernel", everything, everything


class _Sides:
    """Starts ends on either side."""

    def __init__(self, processes, others, near, far):
        self.processes = processes
        self.bench = processes.bench
        self.others = others
        self.near = near
        self.far = far
        self.can_relay = bool(self.bench.netbrokerd and self.bench.relay)

    # ---- ours ----

    def broker(self, cpus):
        return start_broker(self.processes, cpus)

    def our_server(self, service):
        """(address, processes) of a guest that serves."""
        broker = self.broker(self.far)
        guest = self.processes.program(self.far, "quic", service, broker.path)
        return guest.word, [broker, guest]

    def our_client(self, *arguments):
        """(program, processes) of a guest that connects: the mode, then an address and what follows it."""
        mode, *rest = arguments
        broker = self.broker(self.near)
        guest = self.processes.program(self.near, "quic", mode, broker.path, *rest)
        return guest, [broker, guest]

    # ---- others ----

    def other_server(self, name, *options):
        """(address, processes)"""
        process = start_server(self.processes, self.far, self.others[name], *options)
        return process.address, [process]

    def other_client(self, name, address, *scenario):
        """A function that runs the scenario; it returns the result, and the processor time of the client."""
        arguments = [*self.others[name], "dial", "--to", address, "--name", peers.NAME, "--ca", self.bench.certificates.trust,
                     "--alpn", ALPN, *map(str, scenario)]
        return lambda: _run(arguments, self.near)


def _run(arguments, cpus):
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cpus)
    ) as process:
        output = process.stdout.read()
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchError(f"{' '.join(arguments)}: {output.strip()} {said.strip()}")
    return json.loads(output.strip().splitlines()[-1]), usage.ru_utime + usage.ru_stime


def _variant(figure, processes, spent, per):
    """A round of a variant: its figure, and the processor time that both ends took for `per` of it, which goes to `spent`.

    `figure()` returns the figure and the processor time that `processes` do not have.
    """
    work = [relayed.Work(process) for process in processes]

    def once():
        for each in work:
            each.seconds()
        value, seconds = figure()
        spent.append((seconds + sum(each.seconds() for each in work)) / per)
        return value

    return once


def _ours(program, amount, warm=0):
    return lambda: (amount / program.ask(f"{warm} {amount}") * 1e9, 0.0)


def _theirs(run, amount):
    def figure():
        result, seconds = run()
        return amount / result["seconds"], seconds

    return figure


def _in_megabytes(figure):
    def scaled():
        value, seconds = figure()
        return value / 1e6, seconds

    return scaled


# ---- throughput ----


def _throughput(sides, streams, text):
    table = Table("q", f"bytes from client to server on {streams} stream{'s' * (streams > 1)}; {text}", "MB/s")
    costs = Table("q", f"the same on {streams}: processor time of both ends, for a gigabyte; {text}", "s")
    variants, spent = {}, {}

    def add(name, figure, processes, amount, warm=0):
        spent[name] = []
        variants[name] = _variant(_in_megabytes(figure), processes, spent[name], (amount + warm) / 1e9)

    if sides.can_relay:
        our_address, our_server = sides.our_server("supply")
        program, our_client = sides.our_client("up", our_address, streams)
        add(f"{OURS} to {OURS}", _ours(program, BYTES, WARM_BYTES), our_server + our_client, BYTES, WARM_BYTES)
    for name in sides.others:
        amount = SLOW_BYTES if name == "aioquic" else BYTES
        address, server = sides.other_server(name, "--bench")
        run = sides.other_client(name, address, "throughput", "up", streams, amount)
        add(f"{name} to itself", _theirs(run, amount), server, amount)
        if not sides.can_relay:
            continue
        program, our_client = sides.our_client("up", address, streams)
        add(f"{OURS} to {name}", _ours(program, amount, WARM_BYTES), server + our_client, amount, WARM_BYTES)
        run = sides.other_client(name, our_address, "throughput", "up", streams, amount)
        add(f"{name} to {OURS}", _theirs(run, amount), our_server, amount)
    if sides.can_relay and streams == 1:
        program, processes = _tls(sides)
        add(TLS, _ours(program, BYTES, WARM_BYTES), processes, BYTES, WARM_BYTES)

    results = take_turns(variants, relayed.rounds_of(sides.bench))
    table.base = f"{OURS} to {OURS}" if sides.can_relay else None
    table.add(results, better_is_more=True)
    costs.add(spent)
    _goal(table, results, f"{streams} stream{'s' * (streams > 1)}: times the fastest of the others", 0.9 if streams == 1 else 1.0)
    yield table
    yield costs


def _tls(sides):
    """Guest to guest through two relays, by TLS over TCP."""
    files = sides.bench.certificates
    keys = f"TLS=both\nTLSTrust={files.trust}\nTLSCertificate={files.chain} {files.key}\nTLSVersions=1.3\n"
    far = relayed.start_broker(sides.processes, sides.far, "quic-tls", keys)
    server = sides.processes.program(sides.far, "client", "discard", far.path)
    near = relayed.start_broker(sides.processes, sides.near, "quic-tls", keys)
    client = sides.processes.program(sides.near, "client", "stream", near.path, server.word, relayed.CHUNK)
    return client, [far, server, near, client]


def _goal(table, results, what, bound):
    ours = results.get(f"{OURS} to {OURS}")
    others = [values for name, values in results.items() if name.endswith(" to itself")]
    if ours and others:
        table.goal(what, ratios(ours, [max(each) for each in zip(*others)]), bound, at_least=True)


# ---- how often ----


def _one_after_the_other(sides, title, mode, scenario, amount, service):
    table = Table("q", f"{title}; a core a side", "a second")
    variants, spent = {}, {}
    if sides.can_relay:
        address, processes = sides.our_server(service)
        program, more = sides.our_client(mode, address)
        spent[f"{OURS} to {OURS}"] = []
        variants[f"{OURS} to {OURS}"] = _variant(_ours(program, amount), processes + more, spent[f"{OURS} to {OURS}"], amount / 1e6)
    for name in sides.others:
        address, processes = sides.other_server(name)
        run = sides.other_client(name, address, scenario, amount)
        spent[f"{name} to itself"] = []
        variants[f"{name} to itself"] = _variant(_theirs(run, amount), processes, spent[f"{name} to itself"], amount / 1e6)
    results = take_turns(variants, relayed.rounds_of(sides.bench))
    table.add(results, better_is_more=True)
    return table


def _opened(sides):
    return _one_after_the_other(
        sides, "streams opened on one connection, with a byte echoed, one after the other", "streams", "streams", OPENED, "echo"
    )


def _handshakes(sides):
    return _one_after_the_other(
        sides, "full handshakes, one after the other", "touch", "handshakes", HANDSHAKES, "echo"
    )


# ---- memory ----


def _idle(bench, others, near, far):
    """What a relay holds for a server's idle connections."""
    rounds = []
    for _ in range(min(bench.memory_rounds, IDLE_ROUNDS)):
        with Processes(bench) as processes:
            sides = _Sides(processes, others, near, far)
            if not sides.can_relay:
                return
            rounds.append(_grown(sides))
    each, slab = zip(*rounds)
    table = Table("q", f"memory of {IDLE} idle connections of a server", "KB each")
    table.add({"broker and relay of the server": each})
    table.add({"kernel slab, of all ends together": slab})
    table.goal("an idle connection", each, IDLE_BOUND, unit=" KB")
    yield table


def _grown(sides):
    """KB for each of the connections: of broker and relay, of the kernel's slab."""
    broker = sides.broker(sides.far)
    guest = sides.processes.program(sides.far, "quic", "echo", broker.path)
    client, _ = sides.our_client("hold", guest.word)
    client.ask("0 10")
    before = relayed.resident(broker.pid), memory.settled(memory.slab)
    client.ask(f"0 {IDLE}")
    after = relayed.resident(broker.pid), memory.settled(memory.slab)
    return tuple((last - first) * 1.024 / IDLE for first, last in zip(before, after))


PARTS = {"q": quic}
