# SPDX-License-Identifier: Apache-2.0
"""(x) how long the broker is away when it is killed and started again, by the number of sessions that the keeper has of it.

Each round is a world of its own, for a session takes only so many restarts without being asked anything.
"""

import os
import select
import socket
import subprocess
import time

from . import relayed
from .figures import Table
from .processes import DEADLINE, Process, Processes, cores

LEVELS = (10, 100, 300, 1000)  # sessions
SHARE = 8  # of a broker's descriptors that sessions may be (broker/account.c)
SPARE = 500  # descriptors for everything else
ROUNDS = 5
COUNTED = tuple(f"{process}, with a control that {does}" for process in ("netbrokerd", "keeper") for does in ("connects", "listens"))
NO_LIMITS = "MaxSessions=infinity\nMaxControls=infinity"


def restarts(bench):
    """(x) a broker that is killed and started again."""
    if not bench.netbrokerd or not os.path.exists(_keeper_path(bench)):
        return
    levels = [level for level in LEVELS if SHARE * level + SPARE <= bench.descriptors]
    away = Table("x", "from kill -9 until the next broker has restored everything, with a keeper that holds N sessions", "ms", _name(levels[0]))
    held = Table("x", "descriptors for one more session with a protocol", "")
    times, counts = {_name(level): [] for level in levels}, {name: [] for name in COUNTED}
    for index in range(1 if bench.memory_rounds == 1 else ROUNDS):
        for level in levels[index % len(levels) :] + levels[: index % len(levels)]:
            took, each = _restart(bench, level)
            times[_name(level)].append(took)
            for name, count in each.items():
                counts[name].append(count)
    away.add(times)
    held.add(counts)
    if len(levels) < len(LEVELS):
        away.remark(f"more sessions need more descriptors than {bench.descriptors}: left out")
    yield away
    yield held


def _name(level):
    return f"{level} sessions"


def _keeper_path(bench):
    return os.path.join(bench.build, "netbroker-keeper")


def _descriptors(broker, keeper):
    return tuple(len(os.listdir(f"/proc/{process.pid}/fd")) for process in (broker, keeper))


def _restart(bench, level):
    """(ms that the broker was away, descriptors for one session by COUNTED)"""
    client, between = cores()
    with Processes(bench) as processes:
        path = os.path.join(bench.folder, "keeper.sock")
        keeper = processes.add(Process([_keeper_path(bench), "--socket", path], between, os.path.join(bench.folder, "keeper.log")))
        keeper.wait_until(lambda: os.path.exists(path), "serving")
        policy = relayed.write_policy(bench, "restarts", "", path="direct", tenant=NO_LIMITS)
        arguments = [bench.netbrokerd, "--policy", policy, "--socket", os.path.join(bench.folder, "restarts.sock"), "--keeper", path]
        broker = _start(processes, arguments, between)
        looks = [_descriptors(broker, keeper)]
        holder = processes.program(client, "client", "hold", arguments[4], "127.0.0.1:1")
        holder.ask(f"{level} 1 0")
        looks.append(_descriptors(broker, keeper))
        processes.program(client, "client", "echo", arguments[4])
        looks.append(_descriptors(broker, keeper))

        began = time.monotonic()
        broker.popen.kill()
        broker.popen.wait(DEADLINE)
        again = _start(processes, arguments, between)
        took = (time.monotonic() - began) * 1e3
        _check_restored(again, keeper, looks[0][0] + 2 * level)
        os.unlink(path)
    empty, held, listening = looks
    each = [count for who in range(2) for count in ((held[who] - empty[who]) / level, listening[who] - held[who])]
    return took, dict(zip(COUNTED, each))


def _check_restored(broker, keeper, least):
    found, _ = _descriptors(broker, keeper)
    if found < least:
        raise broker.failure(f"did not restore everything: it has {found} descriptors, and should have {least} at least")


def _start(processes, arguments, cpus):
    """Starts a broker and waits for its READY=1."""
    path = os.path.join(processes.bench.folder, "ready.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(path)
        try:
            broker = processes.add(
                Process(arguments, cpus, os.path.join(processes.bench.folder, "netbrokerd.log"), stdin=subprocess.DEVNULL,
                        env={**os.environ, "NOTIFY_SOCKET": path})
            )
            _await_ready(ready, broker)
        finally:
            os.unlink(path)
    return broker


def _await_ready(ready, broker):
    deadline = time.monotonic() + DEADLINE
    while broker.alive() and time.monotonic() < deadline:
        if select.select([ready], [], [], 0.1)[0] and b"READY=1" in ready.recv(4096):
            return
    raise broker.failure("not ready")


PARTS = {"x": restarts}
