# SPDX-License-Identifier: Apache-2.0
"""Datagrams: what a guest may expect of them, and traces of them, over UDP, direct and relayed.

Every datagram is another one, and of each it is known whether it is sure to arrive: what was sent from an end that is there to an end that is there. What
depends on when somebody is seen to be gone may arrive. So a read takes the first datagram that is sure to have come, or one before it that may have.
"""
import zlib

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

import model
import world
from machine import BELOW_RIGHTS, CONTROL_RIGHTS, FLAGS, PICK, WHO, Machine, needs
from model import Connection, Control, MAYBE, NO, YES, check, nothing
from world import DENIED, MALFORMED, NONBLOCK, PEEK, READ, UNBOUND, WRITE, RIGHTS_CONTROL, RIGHTS_STREAM, RIGHT_READ, RIGHT_WRITE

LENGTHS = st.sampled_from([0, 1, 5, 100, 1400, 9000])
SIZES = st.sampled_from([0, 1, 5, 64, 9000, 65000])
TOO_LONG = 65528  # than any datagram of UDP can be (RFC 8200)

# What one end has room for, while its holder reads nothing.
UNREAD_MAX, UNREAD_BYTES_MAX = 24, 32768
# What a peer may have sent before it was accepted, and all of it arrives.
EARLY_MAX, EARLY_BYTES_MAX = 8, 32768
# Peers that wait to be accepted.
ARRIVED_MAX = 6


class Datagram:
    """certain: whether it arrives."""

    def __init__(self, data, certain):
        self.data, self.certain = data, certain


class End:
    """A connected end of UDP: a socket that has connected, or what a server has of one peer.

    refused: how many datagrams found nobody, of which the socket has not told yet. Only a socket tells.
    over: NO; YES: it was taken back, and its pair ended. MAYBE: that may be.
    """

    filetype = world.TYPE_DATAGRAM

    def __init__(self, grants, local, remote, relayed):
        self.grants, self.local, self.remote, self.relayed = grants, local, remote, relayed
        self.name = f"{local} to {remote}"
        self.inbox = []
        self.n_sent = 0
        self.refused = NO
        self.over = NO
        self.n_refused = 0
        self.gone = self.read_shut = self.write_shut = False
        self.is_accepted = True  # of a server's

    @property
    def is_server(self):
        return "connect" not in self.grants

    @property
    def is_there(self):
        """Whether what is sent to it arrives. A relay cannot tell that both directions were shut down from a close."""
        return not self.gone and not (self.relayed and self.read_shut and self.write_shut)

    def make(self, length):
        """The next datagram of that length."""
        first = zlib.crc32(f"{self.name} {self.n_sent}".encode())
        return bytes((first >> (i % 4 * 8)) + i // 4 & 0xFF for i in range(length))

    def end(self):
        """Its stream is closed, or its connection, of which nobody has taken the stream."""
        self.gone = True

    # ---- what comes ----

    def arrive(self, data, certain):
        self.inbox.append(Datagram(data, certain and self.over == NO and not self.read_shut))

    def doubt(self):
        """What has come and was not read may be lost."""
        for datagram in self.inbox:
            datagram.certain = False

    def candidates(self):
        """The datagrams of which a read takes one."""
        for datagram in self.inbox:
            yield datagram
            if datagram.certain:
                return

    def readable(self):
        if self.refused == YES or self.over == YES or self.read_shut or any(datagram.certain for datagram in self.inbox):
            return YES
        return MAYBE if self.inbox or self.refused == MAYBE or self.over == MAYBE else NO

    def ready(self, kind):
        """As Descriptor.ready(), of its stream."""
        if kind == WRITE:
            return YES, 1, 1 << 31, self.hangs_up()
        lengths = [len(datagram.data) for datagram in self.candidates()]
        sure = self.readable() == YES and self.refused == NO and self.over == NO and not self.read_shut
        return self.readable(), min(lengths) if sure else 0, max(lengths, default=0), self.hangs_up()

    def hangs_up(self):
        return MAYBE if self.read_shut or self.write_shut or self.over != NO or self.refused != NO else NO

    def take(self, length, peek, value):
        data, truncated = value
        for datagram in self.candidates():
            if data == datagram.data[:length] and truncated == (len(datagram.data) > length):
                break
        else:
            check(not data and (self.read_shut or self.over != NO),
                  f"{self.name} reads {len(data)} bytes{' of more' if truncated else ''}, which is not what comes next")
            return
        del self.inbox[:self.inbox.index(datagram) + (not peek)]

    def tell_refused(self, _value):
        # Another datagram may have found nobody meanwhile.
        self.refused = NO if self.n_refused == 1 and self.refused == YES else MAYBE
        self.n_refused = max(0, self.n_refused - 1)

    def refuse(self, certain):
        self.n_refused += 1
        if self.refused != YES:
            self.refused = YES if certain else MAYBE

    def tell_end(self, _value):
        pass

    def receive(self, length, peek, nonblock):
        outcomes = {}
        if self.inbox or self.read_shut or self.over != NO:
            outcomes["success"] = lambda value: self.take(length, peek, value)
        if self.refused != NO:
            outcomes["connrefused"] = self.tell_refused
        if self.over != NO:
            outcomes["connreset"] = self.tell_end
        if nonblock and (self.readable() != YES or self.over != NO):
            outcomes["again"] = nothing
        return outcomes

    # ---- what is sent ----

    def send(self, length, deliver):
        """deliver(n): the effect of one that is sent."""
        if self.write_shut and self.refused == NO and self.over == NO:
            return {"pipe": nothing}
        outcomes = {"pipe": nothing} if self.write_shut else {"success": deliver}
        if self.refused != NO:
            outcomes["connrefused"] = self.tell_refused
        if self.over != NO:
            outcomes.update({"pipe": nothing, "connreset": nothing})
        return outcomes

    def shutdown(self, how):
        def shut(_value):
            self.read_shut |= bool(how & READ)
            self.write_shut |= bool(how & WRITE)
            if self.relayed and self.read_shut:
                self.doubt()
        outcomes = {"success": shut}
        if self.over != NO:
            outcomes["notconn"] = nothing
        return outcomes


class Server(Control):
    """A control of datagrams: IDLE, LISTENING, CONNECTING as for streams; but a peer arrives by what it sends."""

    def __init__(self, *arguments):
        super().__init__(*arguments, filetype=world.TYPE_DATAGRAM)
        self.doubtful = []  # End: peers that may have arrived

    def ready(self, kind):
        if self.state != self.LISTENING:
            return super().ready(kind)
        if self.arrived:
            return YES, 1, 1, NO
        return (MAYBE, 1, 1, NO) if self.doubtful else (NO, 0, 0, NO)

    def take(self, remote):
        for ends in (self.arrived, self.doubtful):
            for end in ends:
                if end.remote == remote:
                    ends.remove(end)
                    end.is_accepted = True
                    return end
        check(False, f"a peer is accepted from {remote}, which has sent nothing")

    def listen(self, granted):
        outcomes = super().listen(granted)
        if self.state == self.ENDED and self.has_listened and self.doubtful:
            outcomes["success"] = nothing
        return outcomes

    def accept(self, accepted):
        outcomes = super().accept(accepted)
        if self.doubtful and "notcapable" not in outcomes:
            outcomes["success"] = accepted
        return outcomes

    def cut_queue(self):
        for end in self.arrived + self.doubtful:
            end.gone = True
        self.arrived.clear()
        self.doubtful.clear()

    def doubt_queue(self):
        for end in self.arrived:
            end.doubt()
        self.doubtful += self.arrived
        self.arrived = []


class Connecting:
    """A connect without a result. verdict: the errno that it is sure to have; None: it succeeds, unless its port is taken."""

    def __init__(self, source, address, verdict):
        self.source, self.address, self.verdict = source, address, verdict
        self.uncertain = False

    def disturb(self, control):
        pass

    def settle(self):
        pass

    def outcomes(self, connected, refused):
        if self.uncertain:
            return {"success": connected, **{errno: refused(errno) for errno in ("pipe", "access", "addrinuse", "addrnotavail", "inval", "connrefused")}}
        if self.verdict:
            return {self.verdict: refused(self.verdict)}
        outcomes = {"success": connected}
        if self.source.is_bound and self.source.has_connected:
            outcomes["addrinuse"] = refused("addrinuse")  # the connection before has the port, or a relay that has not seen its end
        return outcomes


class DatagramMachine(Machine):
    """Two guests, and datagrams between them."""

    somebody = "server"
    protocols = ("direct", "relayed")

    def __init__(self):
        super().__init__()
        self.ends = []

    # ---- how it begins ----

    @initialize(n_steps=st.sampled_from([0, 2, 4, 6, 8, 8, 8]), protocol=PICK, flags=FLAGS)
    def begin(self, n_steps, protocol, flags):
        """Most traces begin with a server that has a peer, or with a part of that."""
        steps = [
            lambda: self.open("server", protocol, True, flags, RIGHTS_CONTROL, RIGHTS_STREAM),
            lambda: self.listen("server", -1),
            lambda: self.open("client", protocol >> 1, False, 0, RIGHTS_CONTROL, RIGHTS_STREAM),
            lambda: self.connect("client", 0, "server", -1),
            lambda: self.stream_create("client", 0, flags, RIGHTS_STREAM),
            lambda: self.send("client", 0, 5),
            lambda: self.accept("server", -1),
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
            self.tables[who].add(new, Server(source, address, base, inheriting, flags))

        address = "127.0.0.1:0" if bound else UNBOUND
        outcomes = {"success": opened} if not bound or self.may(source, "listen", address) else {"access": nothing}
        if not source.may_open(base, inheriting):
            outcomes = {"notcapable": nothing}
        self.perform(who, world.request_open(fd, address, world.TYPE_DATAGRAM, base, inheriting, flags), outcomes)

    def choose_target(self, subject, kind, n):
        """An address to connect to: of a server; of a control that does nothing; of a socket that has another peer; of nobody."""
        if kind in ("denied", "malformed"):
            return DENIED if kind == "denied" else MALFORMED
        if kind == "socket":
            there = [end.local for end in self.ends if not end.is_server and not end.gone]
        else:
            states = [Control.LISTENING] if kind == "server" else [Control.IDLE]
            there = [other.address for other in self.controls() if other is not subject and other.is_bound and other.state in states and
                     not other.is_preopened]
        return there[n % len(there)] if there else self.place.nobody

    def connected(self, who, fd, subject, connecting):
        local = self.ask(who, world.text_of("local_address", fd))
        check(model.is_loopback(local) and (not subject.is_bound or local == subject.address), f"a connection's local address is {local}")
        end = End(subject.grants, local, connecting.address, subject.is_relayed)
        self.ends.append(end)
        self.tables[who].add(fd, Connection(end, subject.inheriting))
        subject.has_connected = True

    @needs("control")
    @rule(who=WHO, control=PICK, kind=st.sampled_from(["server"] * 4 + ["bound", "bound", "socket", "nobody", "denied", "malformed"]), whom=PICK)
    def connect(self, who, control, kind, whom):
        who, fd, subject = self.pick(who, control, "control")
        if subject.is_connecting:
            return
        address = self.choose_target(subject, kind, whom)
        refusal = subject.refuses_connect()
        if refusal:
            self.perform(who, world.request_connect(fd, address), refusal)
            return
        granted = self.may(subject.protocol, "connect", address) and address != DENIED
        self.begin_connect(who, fd, subject, Connecting(subject, address, "inval" if address == MALFORMED else None if granted else "access"))

    # ---- where a datagram goes ----

    def server_at(self, address):
        """The control that is bound there and has not connected, or None."""
        return next((control for control in self.controls() if control.is_bound and control.address == address and not control.has_connected), None)

    def deliver(self, source, data):
        """A datagram of a source's end is on its way."""
        for end in self.ends:
            if (end.local, end.remote) == (source.remote, source.local) and end.is_there:
                end.arrive(data, source.over == NO and self.has_room(end, data))
                if end.over != NO and not source.relayed:
                    source.refuse(False)
                return
        control = self.server_at(source.remote)
        if control and control.state == Control.LISTENING and not source.is_server:
            self.come_to(control, source, data)
        elif not source.is_server and not source.relayed and not (control and control.state == Control.IDLE):
            source.refuse(self.is_nobody(source.remote))

    def is_nobody(self, address):
        """Whether it is sure that nobody has this address, or a socket that is connected to another."""
        if address == self.place.nobody:
            return True
        there = [end for end in self.ends if end.local == address]
        return bool(there) and all(end.is_there and not end.is_server and end.over == NO for end in there)

    @staticmethod
    def has_room(end, data):
        early = not end.is_accepted
        return not early or len(end.inbox) < EARLY_MAX and sum(len(d.data) for d in end.inbox) + len(data) <= EARLY_BYTES_MAX

    def come_to(self, control, source, data):
        """A peer that the server does not know, or one whose stream was closed, which a relay may not have seen."""
        known = [end for end in self.ends if (end.local, end.remote) == (control.address, source.local)]
        waiting = [end for end in control.doubtful if end.remote == source.local]
        if waiting:
            waiting[0].arrive(data, False)
            return
        end = End(["listen"], control.address, source.local, True)
        end.is_accepted = False
        certain = not known and source.over == NO
        (control.arrived if certain else control.doubtful).append(end)
        end.arrive(data, certain)
        if certain:
            self.ends.append(end)

    def accepted(self, end):
        if end not in self.ends:
            self.ends = [other for other in self.ends if (other.local, other.remote) != (end.local, end.remote)] + [end]

    # ---- streams ----

    def may_send(self, source, data):
        """Whether nobody is flooded by it."""
        theirs = [end for end in self.ends if (end.local, end.remote) == (source.remote, source.local)]
        control = self.server_at(source.remote)
        waiting = theirs + ([end for end in control.doubtful if end.remote == source.local] if control else [])
        if any(len(end.inbox) >= UNREAD_MAX or sum(len(d.data) for d in end.inbox) + len(data) > UNREAD_BYTES_MAX for end in waiting):
            return False
        return bool(theirs) or not control or len(control.arrived) + len(control.doubtful) < ARRIVED_MAX

    @needs("stream")
    @rule(who=WHO, stream=PICK, length=LENGTHS)
    def send(self, who, stream, length):
        who, fd, subject = self.pick(who, stream, "stream")
        end = subject.end
        data = end.make(length)
        if not self.may_send(end, data):
            return

        def sent(n):
            check(n == length, f"{n} bytes are sent of a datagram of {length}")
            end.n_sent += 1
            self.deliver(end, data)

        outcomes = end.send(length, sent) if subject.base & RIGHT_WRITE else {"notcapable": nothing}
        self.perform(who, world.request_send(fd, data), outcomes)

    @needs("stream")
    @rule(who=WHO, stream=PICK, lengths=st.lists(LENGTHS, min_size=2, max_size=4))
    def send_several(self, who, stream, lengths):
        for length in lengths:
            self.send(who, stream, length)

    @needs("stream")
    @rule(peek=st.booleans())
    def receive_all(self, peek):
        """All that is sure to have come is read, by whoever does not wait."""
        for who, table in self.tables.items():
            streams = [] if who in self.blocked else table.of_kind("stream")
            for i, fd in enumerate(streams):
                end = table.objects[fd].end
                for _ in range(len(end.inbox)):
                    if end.over == NO and any(datagram.certain for datagram in end.inbox) and table.objects[fd].base & RIGHT_READ:
                        self.receive(who, i, 65000, peek)

    @needs("stream")
    @rule(who=WHO, stream=PICK)
    def send_too_long(self, who, stream):
        who, fd, subject = self.pick(who, stream, "stream")
        outcomes = {"msgsize": nothing} if subject.base & RIGHT_WRITE else {"notcapable": nothing}
        self.perform(who, world.request_send(fd, bytes(TOO_LONG)), outcomes)

    @needs("stream")
    @rule(who=WHO, stream=PICK, size=SIZES, peek=st.booleans())
    def receive(self, who, stream, size, peek):
        who, fd, subject = self.pick(who, stream, "stream")
        request = world.request_receive_datagram(fd, size, PEEK if peek else 0)

        def outcomes():
            return subject.end.receive(size, peek, subject.nonblock)

        if not subject.base & RIGHT_READ:
            self.perform(who, request, {"notcapable": nothing})
        elif subject.nonblock:
            self.await_ready(who, fd, READ)
            self.perform(who, request, outcomes())
        else:
            self.perform_waiting(who, request, outcomes, subject.end.readable)

    # ---- what befalls them ----

    def reloaded(self):
        for end in self.ends:
            if end.relayed and not all(map(self.granted, end.grants)):
                end.over = YES
                end.doubt()

    def restarted(self):
        """Who has not been accepted may have waited for too long."""
        for control in self.controls():
            control.doubt_queue()
