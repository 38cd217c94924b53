# SPDX-License-Identifier: Apache-2.0
"""The parts of the benchmark. Each takes the bench and yields tables."""

import os
import re
import shutil
import signal
import subprocess
import time

from . import memory
from .figures import Table, quartiles, ratios, take_turns
from .processes import DEADLINE, BenchError, Processes, cores

WARM = 5  # untimed ones at the start of a round
HOLD = 64  # connections that the sink keeps open
LOAD = 64  # connections that are under way to an acceptor
CHUNK = 65536
SMALL_CHUNK = 4096
STREAM_WARM = 1024 * 1024
STREAM_TOTAL = 16 * 1024 * 1024
CONNECT = "broker: connect + close"
CYCLE = "broker: open + connect + close of all"
FRESH = "broker: the same, the control a new one"
LEVELS = (10, 100, 1000)  # sessions
CONNECTIONS = 10  # of each session, in (e)
QUIET = "quiet"
ELSEWHERE = "noise at a broker of its own"
NOISE_CONNECTS = 5000
POLL = "a guest's poll_oneoff"
POLL_SOCKETS = 1000
POLL_READY = (0, 10, POLL_SOCKETS)
POLL_BOUND = 5  # "a few times"; the most is where each ready stream is asked how much there is to read
RULES = (10, 100, 1000, 10000, 100000)
DECISION_BOUND = 2  # us
LOAD_BOUND = 1000  # ms
LOAD_ROUNDS = 20
MEMORY_FROM, MEMORY_TO = 100, 1000


def placements():
    """(text, cores of client and server, cores of what is between) for each way to place the processes.

    On one core nothing but the work counts. Across two the wake-ups count as well, which cost a virtual machine more
    than the work. Users see what the kernel makes of it.
    """
    first, second = cores()
    yield "everything on one core", first, first
    if second != first:
        yield "the broker, the helper or the proxy on a second core", first, second
        yield "placed by the kernel on two cores", first | second, first | second


def timed(program, seconds, scale, warm=WARM):
    """A variant for take_turns(): a round of about `seconds`, as `scale` of the nanoseconds that one takes."""
    program.ask(f"{warm} 200")
    nanoseconds = program.ask(f"{warm} 200") / 200
    count = max(20, int(seconds * 1e9 / nanoseconds))
    return lambda: scale(program.ask(f"{warm} {count}") / count)


def microseconds(nanoseconds):
    return nanoseconds / 1e3


def a_second(nanoseconds):
    return 1e9 / nanoseconds


def connects(bench):
    """(a) connect and close."""
    for text, client, between in placements():
        with Processes(bench) as processes:
            yield _connects(bench, processes, text, client, between)


def _connects(bench, processes, text, client, between):
    table = Table("a", f"connect to a loopback server and close; {text}", "us", "bare")
    address = processes.program(client, "sink", "hold", HOLD).word
    programs = {
        "direct": processes.program(client, "direct", "connect", address),
        "bare": processes.bare(client, between, address),
    }
    if bench.netbrokerd:
        path = processes.broker(between).path
        programs[CONNECT] = processes.program(client, "client", "connect", path, address)
        programs[CYCLE] = processes.program(client, "client", "cycle", path, address)
        programs[FRESH] = processes.program(client, "client", "fresh", path, address)
    for proxy, kind in (("microsocks", "socks"), ("tinyproxy", "http")):
        if not shutil.which(proxy):
            table.remark(f"{proxy} is not installed: left out")
            continue
        peer = getattr(processes, proxy)(between)
        programs[proxy] = processes.program(client, "proxy", kind, peer.address, address)

    results = take_turns(
        {name: timed(program, bench.seconds, microseconds) for name, program in programs.items()}, bench.rounds
    )
    table.add(results)
    _connect_goals(table, results)
    return table


def _connect_goals(table, results):
    """The goal is for a connect, which is one request, as in the bare program; opening a control is another one.

    The library keeps a control for the next open, which then asks nothing; what it costs when it must ask is shown.
    """
    proxies = [results[name] for name in ("microsocks", "tinyproxy") if name in results]
    faster = [min(each) for each in zip(*proxies)]
    bare = ratios(results["bare"], faster) if proxies else None
    for name, values in results.items():
        if name == CONNECT:
            table.goal("connect: times the bare program", ratios(values, results["bare"]), 1.5)
            if proxies:
                table.goal("connect: times the faster proxy", ratios(values, faster), 0.5, floor=bare)
        elif name in (CYCLE, FRESH) and proxies:
            table.remark(f"{name}: {quartiles(ratios(values, faster))[1]:.2f} times the faster proxy")


def accepts(bench):
    """(b) accepts a second."""
    for text, load, acceptor in placements():
        text = text.replace("the broker, the helper or the proxy", "acceptor and broker")
        with Processes(bench) as processes:
            yield _accepts(bench, processes, text, load, acceptor)


def _accepts(bench, processes, text, load, acceptor):
    table = Table("b", f"accept and close, {LOAD} connections under way; {text}", "accepts/s", "direct")
    programs = {"direct": processes.program(acceptor, "direct", "accept")}
    if bench.netbrokerd:
        path = processes.broker(acceptor).path
        programs["broker"] = processes.program(acceptor, "client", "accept", path)
    for program in programs.values():
        processes.program(load, "load", program.word, LOAD)

    results = take_turns(
        {name: timed(program, 2 * bench.seconds, a_second, warm=4 * LOAD) for name, program in programs.items()},
        bench.rounds,
    )
    table.add(results, better_is_more=True)
    if "broker" in results:
        table.goal("broker: times direct", ratios(results["broker"], results["direct"]), 0.7, at_least=True)
    return table


def streams(bench):
    """(c) bytes a second."""
    first, second = cores()
    settings = [("everything on one core", CHUNK, first), ("everything on one core", SMALL_CHUNK, first)]
    if second != first:
        settings.append(("the sink on a second core", CHUNK, second))
    for text, chunk, server in settings:
        title = f"send on a stream in writes of {chunk} bytes; {text}"
        with Processes(bench) as processes:
            yield _streams(bench, processes, title, chunk, first, server)
        if server == first and bench.netbrokerd and bench.netbroker_run and bench.guest:
            with Processes(bench) as processes:
                yield _streams_in_wasm(bench, processes, title, chunk, first, server)


def _uploads(program, total):
    return lambda: total / program.ask(f"{STREAM_WARM} {total}") * 1e3


def _streams(bench, processes, title, chunk, client, server):
    table = Table("c", title, "MB/s", "direct")
    address = processes.program(server, "sink", "discard").word
    variants = {"direct": _uploads(processes.program(client, "direct", "stream", address, chunk), STREAM_TOTAL)}
    if bench.netbrokerd:
        path = processes.broker(server).path
        program = processes.program(client, "client", "stream", path, address, chunk)
        variants["broker, native"] = _uploads(program, STREAM_TOTAL)

    results = take_turns(variants, 2 * bench.rounds)
    table.add(results, better_is_more=True)
    if "broker, native" in results and client == server and chunk == CHUNK:
        # Across two cores, and with small writes, it is the scheduler that is measured: the same program differs by
        # half from round to round.
        table.goal(
            "broker, native: times direct", ratios(results["broker, native"], results["direct"]), 0.97, at_least=True
        )
    return table


def _streams_in_wasm(bench, processes, title, chunk, client, server):
    """The same loop natively and in a guest. A guest is started for each round, so rounds are few and long."""
    table = Table("c", f"{title}, in Wasm", "MB/s", "broker, native")
    total = 16 * STREAM_TOTAL
    address = processes.program(server, "sink", "discard").word
    path = processes.broker(server).path
    program = processes.program(client, "client", "stream", path, address, chunk)
    variants = {
        "broker, native": _uploads(program, total),
        "broker, in Wasm": lambda: total / _guest(bench, client, path, address, total, chunk) * 1e3,
    }
    table.add(take_turns(variants, max(3, bench.rounds // 10)), better_is_more=True)
    return table


def _guest(bench, cpus, path, address, total, chunk):
    """Runs bench/guests/stream.wasm once. Returns the nanoseconds that it measured itself, without its start."""
    done = subprocess.run(
        [bench.netbroker_run, "--socket", path, "--tenant", "bench", bench.guest, address, str(STREAM_WARM),
         str(total), str(chunk)],
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        capture_output=True,
        text=True,
        timeout=DEADLINE * 3,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"netbroker-run ended with {done.returncode}: {done.stderr.strip()}")
    return int(done.stdout)


def memories(bench):
    """(d) memory of sessions and controls."""
    if not bench.netbrokerd:
        return
    table = Table("d", f"memory of one more, the slope from {MEMORY_FROM} to {MEMORY_TO}", "KiB")
    sessions, controls = [], []
    for _ in range(bench.memory_rounds):
        sessions.append(_slope(bench, lambda n: f"{n} 0 0"))
        controls.append(_slope(bench, lambda n: f"{MEMORY_FROM} {n // MEMORY_FROM} 0"))
    for name, slopes in (("session", sessions), ("control", controls)):
        table.add({f"{name}: resident memory of netbrokerd": [own for own, _ in slopes]})
        table.add({f"{name}: kernel slab": [kernel for _, kernel in slopes]})
    table.goal("an idle session: resident memory and slab", [sum(slope) for slope in sessions], 16, unit=" KiB")
    table.goal("an open control: resident memory and slab", [sum(slope) for slope in controls], 16, unit=" KiB")
    table.remark("slab is the whole machine's: it includes the client's ends, and what others did meanwhile")
    yield table


def _slope(bench, line):
    """(resident memory of the broker, slab) in KiB for one more, with a broker and a client of their own."""
    client, between = cores()
    with Processes(bench) as processes:
        broker = processes.broker(between)
        holder = processes.program(client, "client", "hold", broker.path, "127.0.0.1:1")
        looks = []
        for count in (MEMORY_FROM, MEMORY_TO):
            holder.ask(line(count))
            looks.append((memory.settled(lambda: memory.resident(broker.pid)), memory.settled(memory.slab)))
    return tuple((after - before) / (MEMORY_TO - MEMORY_FROM) for before, after in zip(*looks))


def scale(bench):
    """(e) many sessions."""
    if not bench.netbrokerd:
        return
    with Processes(bench) as processes:
        yield from _scale(bench, processes)


def _scale(bench, processes):
    # On one core, so that it is the work that is compared and not the wake-ups.
    client = between = cores()[0]
    held = Table("e", f"{LEVELS[-1]} sessions with {CONNECTIONS} connections each", "")
    few = _level(LEVELS[0])
    connect = Table("e", "connect and close on an open control, by the number of sessions held", "us", few)
    session = Table("e", "open a session and close it, by the number of sessions held", "us", few)
    sink = processes.program(client, "sink", "hold", sum(LEVELS) * CONNECTIONS + HOLD)
    connect_programs, session_programs = {}, {}
    for level in LEVELS:
        # Each level has a broker of its own, so that the levels can take turns.
        broker = processes.broker(between)
        holder = processes.program(client, "client", "hold", broker.path, sink.word)
        took = holder.ask(f"{level} 1 {CONNECTIONS}")
        held.remark(
            f"{level} sessions, {level * CONNECTIONS} connections: opened in {took / 1e9:.2f} s; netbrokerd has "
            f"{len(os.listdir(f'/proc/{broker.pid}/fd'))} descriptors, {memory.resident(broker.pid)} KiB resident"
        )
        connect_programs[_level(level)] = processes.program(client, "client", "connect", broker.path, sink.word)
        session_programs[_level(level)] = processes.program(client, "client", "session", broker.path)

    for table, programs in ((connect, connect_programs), (session, session_programs)):
        results = take_turns(
            {name: timed(program, bench.seconds, microseconds) for name, program in programs.items()}, bench.rounds
        )
        table.add(results)
        growth = ratios(results[_level(LEVELS[-1])], results[few])
        table.goal(f"{LEVELS[-1]} sessions: times {LEVELS[0]} sessions", growth, 1.15)
    yield held
    yield connect
    yield session


def _level(count):
    return f"{count} sessions"


def neighbours(bench):
    """(n) a noisy neighbour."""
    if not bench.netbrokerd:
        return
    client, noise = cores()
    with Processes(bench) as processes:
        yield _neighbours(bench, processes, client, noise)


def _neighbours(bench, processes, client, noise_core):
    """One tenant's connects while another floods the same broker, and while it floods one of its own.

    The one who connects, its peer and the broker have a core of their own; the noise is on the other one, and so is
    its own broker. What that one changes is the machine's doing: caches, memory, and the locks of one kernel.
    """
    table = Table("n", "connect and close while another tenant makes noise", "us", QUIET)
    table.remark("noise: denials with escapes in names, connects into black holes, sessions opened and closed")
    broker = processes.broker(client, "--audit", "/dev/null", policy=bench.policy_of_two)
    other = processes.broker(noise_core, "--audit", "/dev/null", policy=bench.policy_of_two)
    address = processes.program(client, "sink", "hold", HOLD).word
    noises = {
        QUIET: None,
        "noise at this broker": processes.program(noise_core, "noise", broker.path),
        ELSEWHERE: processes.program(noise_core, "noise", other.path),
    }
    programs = {
        "median": processes.program(client, "client", "median", broker.path, address),
        "mean": processes.program(client, "client", "connect", broker.path, address),
    }
    for measure, program in programs.items():
        results = take_turns(
            {name: _beside(noise, program) for name, noise in noises.items()}, max(5, bench.rounds // 10)
        )
        table.add({f"{name}, {measure}": values for name, values in results.items()})
        here = ratios(results["noise at this broker"], results[QUIET])
        elsewhere = ratios(results[ELSEWHERE], results[QUIET])
        between = ratios(results["noise at this broker"], results[ELSEWHERE])
        if measure == "median":
            table.goal("noise: times the quiet median", here, 1.10)
        # The machine's part is shown, and not taken off the goal.
        medians = [quartiles(values)[1] for values in (here, elsewhere, between)]
        table.remark(
            f"{measure}: {medians[0]:.2f} times the quiet one; {ELSEWHERE}: {medians[1]:.2f}; "
            f"the one to the other: {medians[2]:.2f}"
        )
    if noise_core == client:
        table.remark("there is one core only: the noise takes its share of it, whatever the broker does")
    return table


def _beside(noise, program):
    """A round of connects while `noise`, if it is one, is on."""

    def measure():
        if noise:
            noise.ask("1")
        try:
            return microseconds(program.ask(f"200 {NOISE_CONNECTS}") / NOISE_CONNECTS)
        finally:
            if noise:
                noise.ask("0")

    return measure


def polls(bench):
    """(p) poll_oneoff beside poll(2)."""
    if not bench.netbrokerd:
        return
    for ready in POLL_READY:
        with Processes(bench) as processes:
            yield _polls(bench, processes, ready)


def _polls(bench, processes, ready):
    # The descriptors are plain sockets on both sides and the broker is not asked, so one placement says it all.
    core = cores()[0]
    table = Table("p", f"look at {POLL_SOCKETS} streams of which {ready} can be read", "us", "poll(2)")
    path = processes.broker(core).path
    programs = {
        "poll(2)": processes.program(core, "poll", "direct", POLL_SOCKETS, ready),
        POLL: processes.program(core, "poll", "guest", path, POLL_SOCKETS, ready),
    }
    results = take_turns(
        {name: timed(program, bench.seconds, microseconds) for name, program in programs.items()}, bench.rounds
    )
    table.add(results)
    table.goal(f"{POLL}: times poll(2)", ratios(results[POLL], results["poll(2)"]), POLL_BOUND)
    return table


def syscalls(bench):
    """(s) system calls of the broker."""
    if not bench.netbrokerd:
        return
    if not shutil.which("strace"):
        table = Table("s", "system calls of netbrokerd", "calls")
        table.remark("strace is not installed: left out")
        yield table
        return
    client, between = cores()
    with Processes(bench) as processes:
        broker = processes.broker(between)
        address = processes.program(client, "sink", "hold", HOLD).word
        connect = processes.program(client, "client", "connect", broker.path, address)
        cycle = processes.program(client, "client", "cycle", broker.path, address)
        fresh = processes.program(client, "client", "fresh", broker.path, address)
        accept = processes.program(between, "client", "accept", broker.path)
        processes.program(client, "load", accept.word, LOAD)
        programs = {
            "connect": connect,
            "open, connect, close of all": cycle,
            "open, connect, close of all, the control a new one": fresh,
            "accept": accept,
        }
        for name, program in programs.items():
            yield _syscalls(bench, broker, name, program)


def _syscalls(bench, broker, name, program):
    count = 1000
    table = Table("s", f"system calls of netbrokerd by strace over {count}, for one {name}", "calls")
    path = os.path.join(bench.folder, "strace")
    program.ask("0 100")
    with open(path + ".log", "wb") as log:
        strace = subprocess.Popen(["strace", "-f", "-c", "-o", path, "-p", str(broker.pid)], stderr=log)
    try:
        _wait_for_text(path + ".log", "attached")
        program.ask(f"0 {count}")
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(DEADLINE)
    calls = _parse_strace(path)
    for call, n in sorted(calls.items(), key=lambda item: -item[1]):
        if n >= count / 100:
            table.add({call: [n / count]})
    table.add({"all": [sum(calls.values()) / count]})
    return table


def _wait_for_text(path, text):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        with open(path, encoding="utf-8", errors="replace") as log:
            if text in log.read():
                return
        time.sleep(0.01)
    raise BenchError("strace could not attach")


def _parse_strace(path):
    """Calls by name out of strace's summary: "% time, seconds, usecs/call, calls, [errors,] syscall"."""
    calls = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            match = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
            if match and match.group(2) != "total":
                calls[match.group(2)] = int(match.group(1))
    return calls


def policies(bench):
    """(y) decisions of a policy by themselves, and its loading."""
    for kind in ("prefixes", "names"):
        with Processes(bench) as processes:
            yield _decisions(bench, processes, kind)
        with Processes(bench) as processes:
            yield _loads(bench, processes, kind)


def _decisions(bench, processes, kind):
    table = Table("y", f"a decision among rules for {kind}", "us", _rules("allowed", RULES[0]))
    core = cores()[0]
    programs = {
        _rules(answer, count): processes.program(core, "policy", kind, count, answer)
        for answer in ("allowed", "denied")
        for count in RULES
    }
    results = take_turns(
        {name: timed(program, bench.seconds, microseconds) for name, program in programs.items()}, bench.rounds
    )
    table.add(results)
    for answer in ("allowed", "denied"):
        name = _rules(answer, RULES[-1])
        table.goal(f"{name}: at most", results[name], DECISION_BOUND, unit=" us")
    return table


def _loads(bench, processes, kind):
    table = Table("y", f"parse and index rules for {kind}", "ms")
    core = cores()[0]
    programs = {_rules("loaded", count): processes.program(core, "policy", kind, count, "load") for count in RULES}
    results = take_turns(
        {name: lambda program=program: program.ask("0 1") / 1e6 for name, program in programs.items()},
        min(bench.rounds, LOAD_ROUNDS),
    )
    table.add(results)
    table.goal(f"{_rules('loaded', RULES[-1])}: at most", results[_rules("loaded", RULES[-1])], LOAD_BOUND, unit=" ms")
    return table


def _rules(answer, count):
    return f"{answer}, {count} rules"


PARTS = {
    "a": connects,
    "b": accepts,
    "c": streams,
    "d": memories,
    "e": scale,
    "n": neighbours,
    "p": polls,
    "s": syscalls,
    "y": policies,
}
