# SPDX-License-Identifier: Apache-2.0
"""(g) 1 to 10,000 guests, each in a process of its own: what one more costs, and what the others cost it."""

import os
import time

from . import memory, relayed
from .figures import Table, ratios, take_turns
from .parts import microseconds, timed
from .processes import Processes, cores, sessions_at_most

LEVELS = (1, 10, 100, 1000, 10000)
QUICK_LEVELS = (1, 10, 100)
AT_ONCE = 50  # guests that start at the same time
GROWTH_BOUND = 1.15  # as sessions of one process have it, in (e)
NO_LIMITS = "MaxSessions=infinity\nMaxControls=infinity\nMaxConnections=infinity\n"
IDLE_ROUNDS = 3


def guests(bench):
    """(g) many guests in many processes."""
    if not bench.netbrokerd:
        return
    with Processes(bench) as processes:
        yield from _guests(bench, processes)


def _name(level):
    return f"{level} guests"


def _guests(bench, processes):
    most = sessions_at_most(bench.descriptors)
    wanted = QUICK_LEVELS if bench.memory_rounds == 1 else LEVELS
    levels = [level for level in wanted if level <= most]
    core = cores()[0]  # one for all, so that it is the work that is compared and not the wake-ups
    sink = processes.program(core, "sink", "hold", 2 * sum(levels) + 64)
    crowd = Table("g", f"{levels[-1]} guests, each a process with a session, a control and a connection", "")
    brokers = {}
    if len(levels) < len(wanted):
        crowd.remark(f"with {bench.descriptors} descriptors a tenant has {most} sessions at most: more guests are left out")
    for level in levels:
        # Each level has a broker of its own, so that the levels can take turns.
        broker = relayed.start_broker(processes, core, f"guests-{level}", "", path="direct", tenant=NO_LIMITS)
        _grow(processes, core, broker, sink.word, level, crowd)
        brokers[level] = broker
    yield crowd
    yield _next(bench, processes, core, brokers, "open a session and close it", ("session",), ())
    yield _next(bench, processes, core, brokers, "connect and close on an open control", ("connect",), (sink.word,))
    yield _idle(brokers)


def _grow(processes, core, broker, address, level, table):
    """Starts the guests of a broker, and says what that took."""
    program = processes.program(core, "crowd", broker.path, address)
    program.ask("0 1")
    before = memory.settled(lambda: memory.resident(broker.pid))
    took = sum(program.ask(f"0 {min(AT_ONCE, level - started)}") for started in range(1, level, AT_ONCE))
    if level == 1:
        return
    after = memory.settled(lambda: memory.resident(broker.pid))
    descriptors = len(os.listdir(f"/proc/{broker.pid}/fd"))
    table.remark(
        f"{level} guests: {took / 1e6 / (level - 1):.2f} ms for each from fork() to its connection; netbrokerd has {descriptors} "
        f"descriptors, {after} KiB resident, {(after - before) / (level - 1):.1f} KiB for one more"
    )


def _next(bench, processes, core, brokers, what, mode, address):
    table = Table("g", f"{what}, while others are there and idle", "us", _name(min(brokers)))
    programs = {_name(level): processes.program(core, "client", *mode, broker.path, *address) for level, broker in brokers.items()}
    results = take_turns(
        {name: timed(program, bench.seconds, microseconds) for name, program in programs.items()}, bench.rounds
    )
    table.add(results)
    growth = ratios(results[_name(max(brokers))], results[_name(min(brokers))])
    table.goal(f"{_name(max(brokers))}: times {_name(min(brokers))}", growth, GROWTH_BOUND)
    return table


def _idle(brokers):
    """What a broker does for guests that do nothing: its timers."""
    table = Table("g", "processor time of netbrokerd for idle guests, of a second", "ms")
    work = {level: relayed.Work(broker) for level, broker in brokers.items()}

    def second():
        for each in work.values():
            each.seconds()
        time.sleep(1)
        return {level: each.seconds() * 1e3 for level, each in work.items()}

    rounds = [second() for _ in range(IDLE_ROUNDS)]
    table.add({_name(level): [each[level] for each in rounds] for level in work})
    return table


PARTS = {"g": guests}
