# SPDX-License-Identifier: Apache-2.0
"""(k) what the seal costs: the same work by sockets that are sealed and by sockets that are not.

Both are made in a control group of their own, and used by who made them. A holder's way is shorter, for it can neither connect nor
bind; what it sends and receives passes the same hooks.
"""

import contextlib
import os
import subprocess

from .figures import Table, ratios, take_turns
from .parts import CHUNK, HOLD, LOAD, STREAM_TOTAL, STREAM_WARM, a_second, microseconds, timed
from .processes import BenchError, Processes, cores

PING = 64  # bytes
PLAIN = "not sealed"
SEALED = "sealed"
CONNECT_BOUND = 1.25  # times
THROUGHPUT_BOUND = 0.97
PING_BOUND = 1.05


def _run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise BenchError(f"{os.path.basename(arguments[0])}: {(done.stderr or done.stdout).strip()}")


def _program(bench):
    return os.path.join(bench.build, "netbroker-seal")


def _own_cgroup():
    """The folder of this process's control group of version 2, wherever that hierarchy is mounted."""
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        mounts = [line.split() for line in lines if " - cgroup2 " in line]
    with open("/proc/self/cgroup", encoding="utf-8") as lines:
        own = [line.strip().removeprefix("0::/") for line in lines if line.startswith("0::")]
    if not mounts or not own:
        raise BenchError("there is no hierarchy of control groups of version 2: the seal cannot be measured")
    return os.path.join(mounts[0][4], own[0])


@contextlib.contextmanager
def seal(bench):
    """Yields the folders of two control groups by name; to one of them a seal is attached."""
    program = _program(bench)
    bpf = os.path.join(bench.folder, "bpf")
    pins = os.path.join(bpf, "seal")
    cgroups = {name: os.path.join(_own_cgroup(), f"netbroker-bench-{os.getpid()}-{name.split()[0]}") for name in (PLAIN, SEALED)}
    with contextlib.ExitStack() as stack:
        os.makedirs(bpf, exist_ok=True)
        _run("mount", "-t", "bpf", "bpf", bpf)
        stack.callback(_run, "umount", bpf)
        for cgroup in cgroups.values():
            os.mkdir(cgroup)
            stack.callback(os.rmdir, cgroup)
        _run(program, "load", pins)
        stack.callback(_run, program, "unload", pins)
        _run(program, "--cgroup", cgroups[SEALED], "attach", pins)
        yield cgroups


def why_not(bench):
    """Why no seal can be attached here, or None."""
    if os.geteuid() != 0:
        return "to attach a seal takes root"
    return "netbroker-seal was not built" if not os.path.exists(_program(bench)) else None


def seals(bench):
    """(k) what the seal costs."""
    if why_not(bench):
        table = Table("k", "what the seal costs", "us")
        table.remark(f"left out: {why_not(bench)}")
        yield table
        return
    with seal(bench) as cgroups:
        for part in (_connects, _accepts, _pings, _datagrams, _streams):
            with Processes(bench) as processes:
                yield part(bench, processes, cgroups)


def _programs(processes, cgroups, start):
    """What `start()` starts, once in each control group."""
    programs = {}
    for name, cgroup in cgroups.items():
        processes.cgroup = cgroup
        programs[name] = start()
        processes.cgroup = None
    return programs


def _table(title, unit):
    return Table("k", f"{title}; everything on one core", unit, PLAIN)


def _connects(bench, processes, cgroups):
    table = _table("connect to a loopback server and close, by plain calls and by the broker", "us")
    cpus = cores()[0]
    address = processes.program(cpus, "sink", "hold", HOLD).word
    programs = _programs(processes, cgroups, lambda: processes.program(cpus, "direct", "connect", address))
    if bench.netbrokerd:
        brokers = _programs(processes, cgroups, lambda: processes.broker(cpus))
        for name, broker in brokers.items():
            programs[f"by the broker, {name}"] = processes.program(cpus, "client", "connect", broker.path, address)
    results = take_turns({name: timed(program, bench.seconds, microseconds) for name, program in programs.items()}, bench.rounds)
    table.add(results)
    table.goal("sealed: times not sealed", ratios(results[SEALED], results[PLAIN]), CONNECT_BOUND)
    if bench.netbrokerd:
        by_broker = ratios(results[f"by the broker, {SEALED}"], results[f"by the broker, {PLAIN}"])
        table.goal("by the broker, sealed: times not sealed", by_broker, CONNECT_BOUND)
    return table


def _accepts(bench, processes, cgroups):
    table = _table(f"accept and close, {LOAD} connections under way", "accepts/s")
    cpus = cores()[0]
    programs = _programs(processes, cgroups, lambda: processes.program(cpus, "direct", "accept"))
    for program in programs.values():
        processes.program(cpus, "load", program.word, LOAD)
    table.add(
        take_turns(
            {name: timed(program, 2 * bench.seconds, a_second, warm=4 * LOAD) for name, program in programs.items()}, bench.rounds
        ),
        better_is_more=True,
    )
    return table


def _pings(bench, processes, cgroups):
    table = _table(f"a round trip of {PING} bytes on a stream", "us")
    cpus = cores()[0]
    address = processes.program(cpus, "sink", "echo").word
    programs = _programs(processes, cgroups, lambda: processes.program(cpus, "direct", "ping", address, PING))
    results = take_turns({name: timed(program, bench.seconds, microseconds) for name, program in programs.items()}, bench.rounds)
    table.add(results)
    table.goal("sealed: times not sealed", ratios(results[SEALED], results[PLAIN]), PING_BOUND)
    return table


def _datagrams(bench, processes, cgroups):
    table = _table(f"a round trip of {PING} bytes on a connected UDP socket", "us")
    cpus = cores()[0]
    address = processes.program(cpus, "udp", "echo").word
    programs = _programs(processes, cgroups, lambda: processes.program(cpus, "udp", "peers", address, 1))
    table.add(take_turns({name: timed(program, bench.seconds, microseconds) for name, program in programs.items()}, bench.rounds))
    return table


def _streams(bench, processes, cgroups):
    table = _table(f"send on a stream in writes of {CHUNK} bytes", "MB/s")
    cpus = cores()[0]
    address = processes.program(cpus, "sink", "discard").word
    programs = _programs(processes, cgroups, lambda: processes.program(cpus, "direct", "stream", address, CHUNK))

    def upload(program):
        return lambda: STREAM_TOTAL / program.ask(f"{STREAM_WARM} {STREAM_TOTAL}") * 1e3

    results = take_turns({name: upload(program) for name, program in programs.items()}, 2 * bench.rounds)
    table.add(results, better_is_more=True)
    table.goal("sealed: times not sealed", ratios(results[SEALED], results[PLAIN]), THROUGHPUT_BOUND, at_least=True)
    return table


PARTS = {"k": seals}
