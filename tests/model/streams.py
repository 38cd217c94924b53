# SPDX-License-Identifier: Apache-2.0
"""Traces of streams: TCP and Unix sockets, direct and relayed."""
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

import model
import world
from machine import BELOW_RIGHTS, CONTROL_RIGHTS, FLAGS, PICK, WHO, Machine, needs
from model import Connecting, Connection, Control, YES, check, nothing
from world import DENIED, MALFORMED, NONBLOCK, PEEK, READ, UNBOUND, WRITE, RIGHTS_CONTROL, RIGHTS_STREAM, Request

LENGTHS = st.sampled_from([1, 5, 100, 4096, 16384])
QUEUE_MAX = 6

# The options that are set here: the least and the most value, and whether they are TCP's.
OPTIONS = {
    world.OPTION_NODELAY: (0, 1, True),
    world.OPTION_KEEPALIVE: (0, 1, False),
    world.OPTION_KEEPIDLE: (1, 32767, True),
    world.OPTION_KEEPINTVL: (1, 32767, True),
    world.OPTION_KEEPCNT: (1, 127, True),
    world.OPTION_USER_TIMEOUT: (0, (1 << 31) - 1, True),
}


class StreamMachine(Machine):
    """A server and a client with streams between them."""

    somebody = "listener"
    protocols = ("direct", "relayed", "unix", "unix-relayed")
    has_preopens = "server"

    def __init__(self):
        super().__init__()
        self.links = []

    # ---- how it begins ----

    @initialize(n_steps=st.sampled_from([0, 2, 5, 7, 7, 7]), protocol=PICK, flags=FLAGS)
    def begin(self, n_steps, protocol, flags):
        """Most traces begin with a connection and its streams, or with a part of that."""
        steps = [
            lambda: self.open("server", protocol, True, flags, RIGHTS_CONTROL, RIGHTS_STREAM),
            lambda: self.listen("server", -1),
            lambda: self.open("client", protocol & 2 | protocol >> 2 & 1, False, 0, RIGHTS_CONTROL, RIGHTS_STREAM),  # of the same family
            lambda: self.connect("client", 0, "listener", -1),
            lambda: self.accept("server", -1),
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

        if source.is_unix:
            address = self.place.new_unix_name(flags) if bound else ""
        else:
            address = "127.0.0.1:0" if bound else UNBOUND

        def opened(new):
            local = self.ask(who, world.text_of("local_address", new))
            check(local == address or bound and not source.is_unix and model.is_loopback(local), f"a control is bound to {local}")
            self.tables[who].add(new, Control(source, local, base, inheriting, flags))

        outcomes = {"success": opened} if not bound or self.may(source, "listen", address) else {"access": nothing}
        if not source.may_open(base, inheriting):
            outcomes = {"notcapable": nothing}
        self.perform(who, world.request_open(fd, address, world.TYPE_STREAM, base, inheriting, flags), outcomes)

    def choose_target(self, subject, kind, n):
        """An address to connect to, and who has it."""
        states = {"listener": [Control.LISTENING], "bound": [Control.IDLE]}.get(kind, [])
        there = [other for other in self.controls() if other is not subject and other.is_bound and other.state in states and
                 other.protocol.is_unix == subject.protocol.is_unix and len(other.arrived) + other.n_uncertain < QUEUE_MAX]
        if there:
            target = there[n % len(there)]
            return target.address, target
        if kind == "other family":
            return (DENIED if subject.protocol.is_unix else self.place.new_unix_name(False)), None
        if subject.protocol.is_unix and kind in ("nobody", "malformed"):
            return (self.place.new_unix_name(False) if kind == "nobody" else "relative.sock"), None
        if subject.protocol.is_unix:
            return self.place.path("denied.sock"), None
        return (MALFORMED if kind == "malformed" else DENIED), None

    def verdict(self, subject, kind, address, target):
        """The errno of a connect that is sure, or None."""
        if kind == "malformed":
            return "inval"
        if kind == "other family":
            return "afnosupport"
        if not target and kind != "nobody" or not self.may(subject.protocol, "connect", address):
            return "access"
        return None if target else "noent" if subject.protocol.is_unix else "access"

    def connected(self, who, fd, subject, connecting):
        """The effect of a connect that succeeds."""
        local = self.ask(who, world.text_of("local_address", fd))
        expected = model.is_loopback(local) if not subject.protocol.is_unix else local == ""
        check(local == subject.address if subject.is_bound else expected, f"a connection's local address is {local}")
        link = connecting.arrive(local, self.step)
        self.links.append(link)
        self.tables[who].add(fd, Connection(link.client, subject.inheriting))
        subject.has_connected = True

    def accepted(self, end):
        if end.link not in self.links:
            self.links.append(end.link)

    @needs("control")
    @rule(who=WHO, control=PICK, kind=st.sampled_from(["listener"] * 7 + ["bound", "denied", "malformed", "nobody", "other family"]), whom=PICK)
    def connect(self, who, control, kind, whom):
        who, fd, subject = self.pick(who, control, "control")
        if subject.state == Control.CONNECTING:
            return
        address, target = self.choose_target(subject, kind, whom)
        refusal = subject.refuses_connect()
        if refusal:
            self.perform(who, world.request_connect(fd, address), refusal)
            return
        connecting = Connecting(subject, address, target, self.verdict(subject, kind, address, target), self.step)
        self.begin_connect(who, fd, subject, connecting)
        if subject.protocol.is_unix and subject.is_connecting:
            # Peers without a name are told apart by their order, so none is on its way while something else happens.
            self.await_ready(who, fd, WRITE)
            self.finish_connect(who, fd, subject, connecting, {})

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

    # ---- options ----

    @needs("stream")
    @rule(who=WHO, stream=PICK, option=st.sampled_from(sorted(OPTIONS)), value=st.sampled_from([0, 1, 2, 60, 128, 1 << 31]))
    def set_option(self, who, stream, option, value):
        who, fd, subject = self.pick(who, stream, "stream")
        end = subject.end
        least, most, is_tcp = OPTIONS[option]
        outcomes = {"success": lambda _: end.options.update({option: value})}
        if not subject.base & world.RIGHT_SET_FLAGS:
            outcomes = {"notcapable": nothing}
        elif not least <= value <= most:
            outcomes = {"inval": nothing}
        elif is_tcp and (end.relayed or end.is_unix):
            outcomes = {"noprotoopt": nothing}
        self.perform(who, Request("set_option", fd, option, value), outcomes)
        self.get_option(who, self.index(who, subject, "stream"), option)

    @needs("stream")
    @rule(who=WHO, stream=PICK, option=st.sampled_from([0, world.OPTION_ERROR, 10] + sorted(OPTIONS)))
    def get_option(self, who, stream, option):
        who, fd, subject = self.pick(who, stream, "stream")
        end = subject.end
        if option == world.OPTION_ERROR:
            outcomes = end.take_error()
        elif option not in OPTIONS:
            outcomes = {"inval": nothing}
        elif OPTIONS[option][2] and (end.relayed or end.is_unix):
            outcomes = {"noprotoopt": nothing}
        else:
            outcomes = {"success": lambda value: check(value == end.options.get(option, value), f"option {option} is {value}, not {end.options.get(option)}")}
        self.perform(who, world.request_get_option(fd, option), outcomes)

    # ---- what befalls them ----

    def reloaded(self):
        for link in self.links:
            link.revoke(self.granted)
