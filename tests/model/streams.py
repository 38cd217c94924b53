# SPDX-License-Identifier: Apache-2.0
"""Traces of streams: TCP, direct and relayed."""
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

import model
import world
from machine import BELOW_RIGHTS, CONTROL_RIGHTS, FLAGS, PICK, WHO, Machine, needs
from model import Connecting, Connection, Control, YES, check, nothing
from world import DENIED, MALFORMED, NONBLOCK, PEEK, READ, UNBOUND, WRITE, RIGHTS_CONTROL, RIGHTS_STREAM

LENGTHS = st.sampled_from([1, 5, 100, 4096, 16384])
QUEUE_MAX = 6


class StreamMachine(Machine):
    """A server and a client with streams between them."""

    protocols = ("direct", "relayed")

    def __init__(self):
        super().__init__()
        self.links = []

    # ---- how it begins ----

    @initialize(n_steps=st.sampled_from([0, 2, 5, 7, 7, 7]), protocol=PICK, flags=FLAGS)
    def begin(self, n_steps, protocol, flags):
        """Most traces begin with a connection and its streams, or with a part of that."""
        steps = [
            lambda: self.open("server", protocol, True, flags, RIGHTS_CONTROL, RIGHTS_STREAM),
            lambda: self.listen("server", 0),
            lambda: self.open("client", protocol >> 1, False, 0, RIGHTS_CONTROL, RIGHTS_STREAM),
            lambda: self.connect("client", 0, "listener", 0),
            lambda: self.accept("server", 0),
            lambda: self.stream_create("client", 0, flags, RIGHTS_STREAM),
            lambda: self.stream_create("server", 0, NONBLOCK, RIGHTS_STREAM),
        ]
        for step in steps[:n_steps]:
            step()

    # ---- controls ----

    @needs("protocol")
    @rule(who=WHO, protocol=PICK, bound=st.booleans(), flags=FLAGS, base=CONTROL_RIGHTS, inheriting=BELOW_RIGHTS)
    def open(self, who, protocol, bound, flags, base, inheriting):
        who, fd, source = self.pick(who, protocol, "protocol")

        def opened(new):
            address = self.ask(who, world.text_of("local_address", new)) if bound else UNBOUND
            check(not bound or model.is_loopback(address), f"a control is bound to {address}")
            self.tables[who].add(new, Control(source, address, base, inheriting, flags))

        address = "127.0.0.1:0" if bound else UNBOUND
        outcomes = {"success": opened} if not bound or self.granted("listen") else {"access": nothing}
        self.perform(who, world.request_open(fd, address, world.TYPE_STREAM, base, inheriting, flags), outcomes)

    def choose_target(self, subject, kind, n):
        """An address to connect to, and who has it."""
        states = {"listener": [Control.LISTENING], "bound": [Control.IDLE]}.get(kind, [])
        there = [other for other in self.controls() if other is not subject and other.is_bound and other.state in states and
                 len(other.arrived) + other.n_uncertain < QUEUE_MAX]
        if there:
            target = there[n % len(there)]
            return target.address, target
        return (MALFORMED if kind == "malformed" else DENIED), None

    def connected(self, who, fd, subject, connecting):
        """The effect of a connect that succeeds."""
        local = self.ask(who, world.text_of("local_address", fd))
        check(model.is_loopback(local) and (not subject.is_bound or local == subject.address), f"a connection's local address is {local}")
        link = connecting.arrive(local, self.step)
        self.links.append(link)
        self.tables[who].add(fd, Connection(link.client, subject.inheriting))
        subject.has_connected = True

    def accepted(self, end):
        if end.link not in self.links:
            self.links.append(end.link)

    @needs("control")
    @rule(who=WHO, control=PICK, kind=st.sampled_from(["listener"] * 5 + ["bound", "denied", "malformed"]), whom=PICK)
    def connect(self, who, control, kind, whom):
        who, fd, subject = self.pick(who, control, "control")
        if subject.state == Control.CONNECTING:
            return
        address, target = self.choose_target(subject, kind, whom)
        refusal = subject.refuses_connect()
        if refusal:
            self.perform(who, world.request_connect(fd, address), refusal)
            return
        granted = self.granted("connect") and address != DENIED
        verdict = "inval" if address == MALFORMED else None if granted else "access"
        self.begin_connect(who, fd, subject, Connecting(subject, address, target, verdict, self.step))

    # ---- connections and streams ----

    @needs("stream")
    @rule(who=WHO, stream=PICK, length=LENGTHS)
    def send(self, who, stream, length):
        who, fd, subject = self.pick(who, stream, "stream")
        if subject.end.peer.unread > 4 * model.CERTAIN_ROOM:
            return
        end = subject.end
        if not subject.nonblock and end.writable() != YES:
            return  # it could wait for room, and nobody knows
        if end.writable() == YES and subject.base & world.RIGHT_WRITE:
            self.await_ready(who, fd, WRITE)
        self.perform(who, world.request_send(fd, end.text(end.sent, length)), subject.send(length))

    @needs("stream")
    @rule(who=WHO, stream=PICK, length=st.sampled_from([0, 1, 16, 5000, 65000]), peek=st.booleans())
    def receive(self, who, stream, length, peek):
        who, fd, subject = self.pick(who, stream, "stream")
        request = world.request_receive(fd, length, PEEK if peek else 0)
        if not subject.base & world.RIGHT_READ or length == 0:
            self.perform(who, request, subject.receive(length, peek))
        elif subject.nonblock:
            self.await_ready(who, fd, READ)
            self.perform(who, request, subject.receive(length, peek))
        else:
            self.perform_waiting(who, request, lambda: subject.receive(length, peek), subject.end.readable)

    # ---- what befalls them ----

    def reloaded(self):
        for link in self.links:
            link.revoke(self.granted)
