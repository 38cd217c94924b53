# SPDX-License-Identifier: Apache-2.0
"""(w) requests a second of a small HTTP server, native and as a guest, under wrk.

The server is one file, bench/guests/http.c. Natively, and under a host whose functions are plain system calls (bench/inherited.c, since
Wasmtime's C API can give a guest no listener), it is given a listener that was made here; by netbroker it is given a [Preopen].
"""

import os
import re
import shutil
import socket
import subprocess

from . import relayed
from .figures import Table, ratios, take_turns
from .processes import DEADLINE, BenchError, Processes, cores

CONNECTIONS = 64
SECONDS = 1
ROUNDS = 7
NATIVE = "native C"
PLAIN = "Wasmtime, plain system calls"
BROKER = "a guest by the broker"
RELAY = "a guest through the relay"
ERRORS = re.compile("Non-2xx|Socket errors")
KINDS = {
    "keep-alive": ([], 0.9),
    "a connection for each request": (["-H", "Connection: close"], 0.7),  # as accepts are bound to, in (b)
}

PREOPEN = """
[Preopen http]
Listen=127.0.0.1:{port}
DataPath={path}
"""


def web(bench):
    """(w) requests a second of an HTTP server."""
    missing = _missing(bench)
    if missing:
        table = Table("w", "requests a second of an HTTP server", "requests/s")
        table.remark(f"left out: {missing}")
        yield table
        return
    load, server = cores()
    with Processes(bench) as processes:
        servers = _start_all(processes, server)
        for kind, (arguments, bound) in KINDS.items():
            yield from _requests(bench, servers, load, kind, arguments, bound)


def _missing(bench):
    if not shutil.which("wrk"):
        return "wrk is not installed"
    if not bench.netbrokerd or not bench.netbroker_run:
        return "netbrokerd and netbroker-run are not both built"
    for name in ("http", "inherited", "guests/http.wasm"):
        if not os.path.exists(_built(bench, name)):
            return f"there is no bench/{name}"
    return None


def _built(bench, name):
    return os.path.join(bench.build, "bench", name)


def _start_all(processes, cpus):
    """Starts the server in each way, all on the same core. Returns name → (address, processes that do its work)."""
    bench = processes.bench
    guest = _built(bench, "guests/http.wasm")
    servers = {
        NATIVE: _with_listener(processes, cpus, lambda fd: [_built(bench, "http"), str(fd)]),
        PLAIN: _with_listener(processes, cpus, lambda fd: [_built(bench, "inherited"), guest, str(fd)]),
        BROKER: _by_broker(processes, cpus, guest, "direct"),
    }
    if bench.relay:
        servers[RELAY] = _by_broker(processes, cpus, guest, "relay")
    return servers


def _with_listener(processes, cpus, arguments_for):
    """A server that inherits a listener, when it answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(socket.SOMAXCONN)
        port = listener.getsockname()[1]
        server = processes.inheritor(cpus, arguments_for(listener.fileno()), listener.fileno())
    return _answering(server, port), [server]


def _answering(server, port):
    """Waits for a first answer: a guest's host listens before it has compiled the guest. Returns the address."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        try:
            answered = client.recv(64).startswith(b"HTTP/1.1 200 ")
        except OSError:
            answered = False
    if not answered:
        raise server.failure("gives no answer")
    return f"127.0.0.1:{port}"


def _by_broker(processes, cpus, guest, path):
    brokers = []

    def arguments(port):
        # The broker is one of its own for each try, since the port is in its policy.
        name = f"web-{path}-{port}"
        keys = PREOPEN.format(port=port, path=path)
        brokers.append(relayed.start_broker(processes, cpus, name, keys, tenant="MaxConnections=infinity", path=path))
        return [processes.bench.netbroker_run, "--socket", brokers[-1].path, "--tenant", "bench", guest]

    server = processes.proxy(cpus, f"netbroker-run-{path}", arguments)
    return _answering(server, int(server.address.rpartition(":")[2])), [brokers[-1], server]


def _requests(bench, servers, cpus, kind, arguments, bound):
    table = Table("w", f"requests a second of an HTTP server, {CONNECTIONS} clients, {kind}", "requests/s", NATIVE)
    costs = Table("w", f"the same, {kind}: processor time of server, broker and relay, for a request", "us", NATIVE)
    spent = {name: [] for name in servers}

    def variant(name, address, processes):
        work = [relayed.Work(process) for process in processes]

        def once():
            for each in work:
                each.seconds()
            rate, requests = _wrk(cpus, name, address, arguments)
            spent[name].append(sum(each.seconds() for each in work) * 1e6 / requests)
            return rate

        return once

    results = take_turns({name: variant(name, *server) for name, server in servers.items()}, min(bench.memory_rounds * 2 - 1, ROUNDS))
    table.add(results, better_is_more=True)
    costs.add(spent)
    table.goal(f"{BROKER}: times {PLAIN}", ratios(results[BROKER], results[PLAIN]), bound, at_least=True)
    table.remark("the server, with broker and relay where there are any, is on one core, and wrk on another")
    yield table
    yield costs


def _wrk(cpus, name, address, arguments):
    """Runs wrk once. Returns the requests a second, and their number."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", *arguments, f"http://{address}/"],
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        capture_output=True, text=True, timeout=DEADLINE, check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"wrk, {name}: {(done.stderr or done.stdout).strip()}")
    return read_wrk(name, done.stdout)


def read_wrk(name, text):
    """What wrk says of a server: (requests a second, number of requests). Raises BenchError unless each was answered with 200."""
    rate = re.search(r"^Requests/sec: +([\d.]+)$", text, re.MULTILINE)
    number = re.search(r"^ +(\d+) requests in ", text, re.MULTILINE)
    if not rate or not number or number.group(1) == "0" or ERRORS.search(text):
        raise BenchError(f"wrk, {name}: {text.strip()}")
    return float(rate.group(1)), int(number.group(1))


PARTS = {"w": web}
