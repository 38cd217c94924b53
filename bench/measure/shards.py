# SPDX-License-Identifier: Apache-2.0
"""(h) one broker's tenants on several cores: netbrokerd in one process, in shards, and two brokers that know nothing of each other."""

import os
import time

from . import relayed
from .figures import Table, take_turns
from .processes import Processes, cores

TENANTS = 4  # each with a host of its own
SHARDS = 2
CONNECTS = 1000  # of each tenant in a round
QUICK_CONNECTS = 100
WARM = 50
TENANT = "tenant-{}"
ONE, SHARDED, SEPARATE = "one process", "two shards", "two brokers"
WAYS = {"connect": "connect and close, on one control", "cycle": "open a control, connect, close both"}


def shards(bench):
    """(h) several processes of the broker."""
    if not bench.netbrokerd:
        return
    with Processes(bench) as processes:
        everywhere = cores()[0] | cores()[1]
        brokers = _brokers(bench, processes, everywhere)
        for mode, what in WAYS.items():
            hosts = {name: _hosts(processes, everywhere, mode, served) for name, served in brokers.items()}
            yield from _measure(bench, what, hosts, brokers)


def _policy(bench, name, tenants):
    """A policy of some of the tenants, dealt to the shards one by one, where there are shards."""
    folder = os.path.join(bench.folder, name)
    os.mkdir(folder)
    for index in tenants:
        keys = f"MaxConnections=infinity\nShard={index % SHARDS + 1}"
        text = relayed.POLICY.format(user=os.geteuid(), path="direct", keys="", tenant=keys)
        with open(os.path.join(folder, f"{index}.conf"), "w", encoding="ascii") as policy:
            policy.write(text.replace("Name=bench", f"Name={TENANT.format(index)}"))
    return folder


def _brokers(bench, processes, cpus):
    """Name → for each tenant the broker that serves it."""
    everyone = _policy(bench, "everyone", range(TENANTS))
    halves = [_policy(bench, f"half-{half}", range(half, TENANTS, SHARDS)) for half in range(SHARDS)]
    one = processes.broker(cpus, policy=everyone)
    sharded = processes.broker(cpus, "--shards", str(SHARDS), policy=everyone)
    separate = [processes.broker(cpus, policy=half) for half in halves]
    return {
        ONE: [one] * TENANTS,
        SHARDED: [sharded] * TENANTS,
        SEPARATE: [separate[index % SHARDS] for index in range(TENANTS)],
    }


def _hosts(processes, cpus, mode, brokers):
    """A host for each tenant, and where it connects to."""
    hosts = []
    for index, broker in enumerate(brokers):
        sink = processes.program(cpus, "sink", "hold", 64)
        environment = {"BENCH_TENANT": TENANT.format(index)}
        hosts.append(processes.program(cpus, "client", mode, broker.path, sink.word, environment=environment))
    return hosts


def _all_at_once(hosts, line):
    """Asks all of them, and returns the seconds until the last has done it."""
    began = time.monotonic()
    for host in hosts:
        host.tell(line)
    for host in hosts:
        host.answer()
    return time.monotonic() - began


def _measure(bench, what, hosts, brokers):
    count = QUICK_CONNECTS if bench.memory_rounds == 1 else CONNECTS
    work = {name: [relayed.Work(broker) for broker in set(served)] for name, served in brokers.items()}
    costs = {name: [] for name in hosts}

    def variant(name):
        def measure():
            for each in work[name]:
                each.seconds()
            took = _all_at_once(hosts[name], f"0 {count}")
            costs[name].append(sum(each.seconds() for each in work[name]) * 1e6 / (count * TENANTS))
            return count * TENANTS / took

        return measure

    for each in hosts.values():
        _all_at_once(each, f"0 {WARM}")
    rates = Table("h", f"{what}: {TENANTS} tenants at once, with hosts and peers on the same two cores", "a second", ONE)
    rates.add(take_turns({name: variant(name) for name in hosts}, relayed.rounds_of(bench)), better_is_more=True)
    cost = Table("h", f"{what}: processor time of netbrokerd for one", "us", ONE)
    cost.add(costs)
    yield rates
    yield cost


PARTS = {"h": shards}
