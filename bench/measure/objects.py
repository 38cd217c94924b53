# SPDX-License-Identifier: Apache-2.0
"""(m) the memory of one more object of each kind, with the kernel's and the relay's part.

The slope between two numbers of them, so that what is there once does not count.
"""

from . import memory, relayed
from .figures import Table
from .processes import Processes, cores, sessions_at_most

KINDS = ("session", "control", "listener", "connection", "stream", "accepted")
RELAYED_KINDS = ("connection", "stream", "accepted")
FROM, TO = 100, 2100
QUICK_TO = 600
ROUNDS = 3
NO_LIMITS = "MaxSessions=infinity\nMaxConnections=infinity\n"
OWNERS = ("netbrokerd", "relays", "the guest's host", "kernel slab")


def objects(bench):
    """(m) memory of each object."""
    if not bench.netbrokerd:
        return
    yield _table(bench, "direct", KINDS)
    if bench.relay:
        yield _table(bench, "relay", RELAYED_KINDS)


def _table(bench, path, kinds):
    to = min(QUICK_TO if bench.memory_rounds == 1 else TO, sessions_at_most(bench.descriptors))
    table = Table("m", f"memory of one more, data path {path}, the slope from {FROM} to {to}", "KiB")
    rounds = min(bench.memory_rounds, ROUNDS)
    for kind in kinds:
        slopes = [_slope(bench, path, kind, to) for _ in range(rounds)]
        for index, owner in enumerate(OWNERS):
            if owner != "relays" or path == "relay":
                table.add({f"{kind}: {owner}": [slope[index] for slope in slopes]})
    table.remark("slab is the whole machine's: all ends of a connection are here, the peer's too, and what others did meanwhile")
    return table


def _slope(bench, path, kind, to):
    """KiB for one more by OWNERS, with processes of their own."""
    client, between = cores()
    with Processes(bench) as processes:
        broker = relayed.start_broker(processes, between, f"objects-{path}", "", path=path, tenant=NO_LIMITS)
        sink = processes.program(client, "sink", "hold", 2 * to)
        program = processes.program(client, "objects", broker.path, sink.word, kind)
        program.ask(f"0 {FROM}")
        before = _look(broker, program)
        program.ask(f"0 {to - FROM}")
        after = _look(broker, program)
    return [(last - first) / (to - FROM) for first, last in zip(before, after)]


def _look(broker, program):
    """KiB by OWNERS."""
    slab = memory.settled(memory.slab)
    own = memory.resident(broker.pid)
    return own, relayed.resident(broker.pid) - own, memory.resident(program.pid), slab


PARTS = {"m": objects}
