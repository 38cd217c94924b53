# SPDX-License-Identifier: Apache-2.0
"""Datagrams: what a guest may expect of them, and traces of them, over UDP, direct and relayed, and Unix sockets, which are relayed always.

Every datagram is another one, and of each it is known whether it is sure to arrive: what was sent from an end that is there to an end that is there. What
depends on when somebody is seen to be gone may arrive. So a read takes the first datagram that is sure to have come, or one before it that may have.
"""
import re
import zlib

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

import model
import world
from machine import BELOW_RIGHTS, CONTROL_RIGHTS, FLAGS, PICK, WHO, Machine, needs
from model import Connection, Control, MAYBE, NO, YES, check, nothing
from world import DENIED, MALFORMED, NONBLOCK, PEEK, READ, UNBOUND, WRITE, RIGHTS_CONTROL, RIGHTS_STREAM, RIGHT_READ, RIGHT_WRITE

# An empty datagram is the one that something takes for an end, or for nothing; 65507 is the longest that UDP carries over IPv4.
LENGTHS = st.sampled_from([0, 0, 1, 5, 100, 1400, 9000, 65507])
# Those of several at once: a few of any length, or more small ones than one system call of a relay's takes (relay/datagram/batch.h).
BURSTS = st.one_of(st.lists(LENGTHS, min_size=1, max_size=4), st.lists(st.sampled_from([0, 0, 1, 5, 100]), min_size=17, max_size=24))
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
    """A connected end: a socket that has connected, or what a server has of one peer.

    sender: by which name a server knows the peer. Of a Unix socket that may be one that nobody is told: see sender_name().
    target: of a Unix socket that has connected: the control, or the end, that it reaches, whoever has the address later; and see Server.n_spent.
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
        self.is_unix = False
        self.is_accepted = True  # of a server's
        self.sender = remote
        self.name_as_sender = local
        self.target = (None, 0)

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

    def has_room(self, length, n_max, bytes_max):
        """Whether one more of that length is within so many, of so many bytes."""
        return len(self.inbox) < n_max and sum(len(datagram.data) for datagram in self.inbox) + length <= bytes_max

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
    """A control of datagrams: IDLE, LISTENING, CONNECTING as for streams; but a peer arrives by what it sends.

    n_spent: how many bound sockets of it were used up by connects that failed. The next connect, or listen, binds another.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments, filetype=world.TYPE_DATAGRAM)
        self.doubtful = []  # End: peers that may have arrived
        self.first_end = None  # what the bound socket has become
        self.n_spent = 0
        self.is_spent = False

    def ready(self, kind):
        if self.state != self.LISTENING:
            return super().ready(kind)
        if self.arrived:
            return YES, 1, 1, NO
        return (MAYBE, 1, 1, NO) if self.doubtful else (NO, 0, 0, NO)

    def take(self, remote):
        for ends in (self.arrived, self.doubtful):
            for end in ends:
                if end.remote == remote or end.remote is None and is_hidden_name(remote):
                    ends.remove(end)
                    end.is_accepted = True
                    end.remote = remote
                    return end
        check(False, f"a peer is accepted from '{remote}', which has sent nothing")

    def spend(self):
        """Its bound socket goes with a connect that fails."""
        if self.is_bound and self.protocol.is_unix:
            self.is_spent = True
            self.n_spent += 1

    def has_hidden_peer(self):
        """Whether somebody waits to be accepted whose name is not known before."""
        return any(end.remote is None for end in self.arrived + self.doubtful)

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


def is_hidden_name(name):
    """What is told of a Unix socket whose name is not: that it has none, or the one that the kernel gave it (unix(7), autobind)."""
    return name == "" or re.fullmatch("@[0-9a-f]{5}", name) is not None


class Connecting:
    """A connect without a result. verdict: the errno that it is sure to have; None: it succeeds, unless its port is taken. target: as End's."""

    ERRNOS = ("pipe", "access", "addrinuse", "addrnotavail", "inval", "connrefused", "noent", "perm")

    def __init__(self, source, address, verdict, target):
        self.source, self.address, self.verdict, self.target = source, address, verdict, target
        self.uncertain = False

    def disturb(self, control):
        pass

    def settle(self):
        if self.uncertain or self.verdict in ("noent", "connrefused", "perm"):
            self.source.spend()

    def outcomes(self, connected, refused):
        if self.uncertain:
            return {"success": connected, **{errno: refused(errno) for errno in self.ERRNOS}}
        if self.verdict:
            return {self.verdict: refused(self.verdict)}
        outcomes = {"success": connected}
        if self.source.is_bound and self.source.has_connected:
            outcomes["addrinuse"] = refused("addrinuse")  # the connection before has the port, or a relay that has not seen its end
        return outcomes


def reached_by(source):
    """What a Unix socket reaches: an end, or a control that has not connected; None: nobody any more."""
    target, n_spent = source.target
    if isinstance(target, Server) and target.first_end:
        return target.first_end
    return target if isinstance(target, End) or target and target.n_spent == n_spent else None


class DatagramMachine(Machine):
    """Two guests, and datagrams between them."""

    somebody = "server"
    protocols = ("direct", "relayed", "unix-relayed")

    def __init__(self):
        super().__init__()
        self.ends = []

    # ---- how it begins ----

    @initialize(n_steps=st.sampled_from([0, 2, 4, 6, 8, 8, 8]), protocol=PICK, flags=FLAGS)
    def begin(self, n_steps, protocol, flags):
        """Most traces begin with a server that has a peer, or with a part of that."""
        of_family = 2 if protocol % 3 == 2 else protocol >> 3 & 1
        steps = [
            lambda: self.open("server", protocol, True, flags, RIGHTS_CONTROL, RIGHTS_STREAM),
            lambda: self.listen("server", -1),
            lambda: self.open("client", of_family, False, 0, RIGHTS_CONTROL, RIGHTS_STREAM),
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
        if source.is_unix:
            address = self.place.new_unix_name(flags) if bound else ""
        else:
            address = "127.0.0.1:0" if bound else UNBOUND

        def opened(new):
            local = self.ask(who, world.text_of("local_address", new))
            check(local == address or bound and not source.is_unix and model.is_loopback(local), f"a control is bound to {local}")
            self.tables[who].add(new, Server(source, local, base, inheriting, flags))

        outcomes = {"success": opened} if not bound or self.may(source, "listen", address) else {"access": nothing}
        if not source.may_open(base, inheriting):
            outcomes = {"notcapable": nothing}
        self.perform(who, world.request_open(fd, address, world.TYPE_DATAGRAM, base, inheriting, flags), outcomes)

    def choose_target(self, subject, kind, n):
        """An address to connect to, and who has it: a server; a control that does nothing; a socket that has another peer; nobody (None)."""
        is_unix = subject.protocol.is_unix
        if kind in ("denied", "malformed"):
            addresses = {"denied": self.place.path("denied.sock"), "malformed": "relative.sock"} if is_unix else {"denied": DENIED, "malformed": MALFORMED}
            return addresses[kind], None
        if kind == "socket":
            there = [(end.local, end) for end in self.ends if not end.is_server and end.is_there and end.local and end.is_unix == is_unix]
        else:
            states = [Control.LISTENING] if kind == "server" else [Control.IDLE]
            there = [(other.address, other) for other in self.controls() if other is not subject and other.is_bound and other.state in states and
                     other.protocol.is_unix == is_unix and not (is_unix and (other.has_connected or other.is_spent))]
        if there:
            return there[n % len(there)]
        return (self.place.new_unix_name(n % 2) if is_unix else self.place.nobody), None

    def verdict(self, subject, kind, address, target):
        """The errno of a connect that is sure, or None."""
        if kind == "malformed":
            return "inval"
        if kind == "denied" or not self.may(subject.protocol, "connect", address):
            return "access"
        if not subject.protocol.is_unix:
            return None
        if target is None:
            return "connrefused" if address.startswith("@") else "noent"
        # One that has a peer takes no other (unix(7)).
        return "perm" if isinstance(target, End) and target.target != (subject, subject.n_spent) else None

    def connected(self, who, fd, subject, connecting):
        local = self.ask(who, world.text_of("local_address", fd))
        is_unix = subject.protocol.is_unix
        check(local == subject.address if subject.is_bound else local == "" if is_unix else model.is_loopback(local), f"a connection's local address is {local}")
        end = End(subject.grants, local, connecting.address, subject.is_relayed)
        end.is_unix = is_unix
        if is_unix:
            end.name += f", of step {self.step}"  # others without a name send other bytes
            end.name_as_sender = local if local.startswith("@") else end  # that is equal to nothing else
            end.target = (connecting.target, getattr(connecting.target, "n_spent", 0))
        if is_unix and subject.is_bound and not subject.has_connected:
            subject.first_end = end
        self.ends.append(end)
        self.tables[who].add(fd, Connection(end, subject.inheriting))
        subject.has_connected = True

    @needs("control")
    @rule(who=WHO, control=PICK, kind=st.sampled_from(["server"] * 4 + ["bound", "bound", "socket", "nobody", "denied", "malformed"]), whom=PICK)
    def connect(self, who, control, kind, whom):
        who, fd, subject = self.pick(who, control, "control")
        if subject.is_connecting:
            return
        if subject.protocol.is_unix and (subject.has_connected or subject.is_spent) and subject.is_bound:
            return  # the name that a server sees is the broker's way to the folder, which another socket may share
        address, target = self.choose_target(subject, kind, whom)
        refusal = subject.refuses_connect()
        if refusal:
            self.perform(who, world.request_connect(fd, address), refusal)
            return
        self.begin_connect(who, fd, subject, Connecting(subject, address, self.verdict(subject, kind, address, target), target))
        if subject.protocol.is_unix and subject.is_connecting:
            # Whom it reaches is decided when the broker is asked, so nothing else happens meanwhile.
            self.await_ready(who, fd, WRITE)
            self.finish_connect(who, fd, subject, subject.connecting, {})

    # ---- where a datagram goes ----

    def server_for(self, source):
        """The control that what it sends comes to, which has not connected, or None."""
        if source.is_unix:
            reached = reached_by(source)
            return reached if isinstance(reached, Server) and reached in self.controls() else None
        return next((control for control in self.controls() if control.is_bound and control.address == source.remote and not control.has_connected), None)

    def receivers(self, source):
        """The ends that what this one sends may come to."""
        if not source.is_unix:
            return [end for end in self.ends if (end.local, end.sender) == (source.remote, source.local)]
        if source.is_server:
            return []
        end = reached_by(source)
        if isinstance(end, End):
            return [end] if reached_by(end) is source else []
        return [other for other in self.ends if other.is_server and (other.local, other.sender) == (source.remote, source.name_as_sender)]

    def deliver(self, source, data):
        """A datagram of a source's end is on its way."""
        for end in self.receivers(source):
            if end.is_there:
                end.arrive(data, source.over == NO and (end.is_accepted or end.has_room(len(data), EARLY_MAX, EARLY_BYTES_MAX)))
                if end.over != NO and not source.relayed:
                    source.refuse(False)
                return
        control = self.server_for(source)
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

    def come_to(self, control, source, data):
        """A peer that the server does not know, or one whose stream was closed, which a relay may not have seen."""
        known = [end for end in self.ends if (end.local, end.sender) == (control.address, source.name_as_sender)]
        waiting = [end for end in control.doubtful if end.sender == source.name_as_sender]
        if waiting:
            waiting[0].arrive(data, False)
            return
        end = End(["listen"], control.address, source.local, True)
        end.sender, end.is_unix = source.name_as_sender, source.is_unix
        if source.is_unix:
            end.write_shut = True  # it hears, and cannot answer
            end.remote = source.local if source.local.startswith("@") else None
        end.is_accepted = False
        certain = not known and source.over == NO
        (control.arrived if certain else control.doubtful).append(end)
        end.arrive(data, certain)
        if certain:
            self.ends.append(end)

    def accepted(self, end):
        if end not in self.ends:
            self.ends = [other for other in self.ends if (other.local, other.sender) != (end.local, end.sender)] + [end]

    # ---- streams ----

    def may_send(self, source, data):
        """Whether nobody is flooded by it."""
        theirs = self.receivers(source)
        control = self.server_for(source)
        if source.is_unix and control and (control.is_connecting or not theirs and control.has_hidden_peer()):
            return False  # whom it would come to, or who of two it was, nobody could say
        waiting = theirs + ([end for end in control.doubtful if end.sender == source.name_as_sender] if control else [])
        if any(end.inbox and not end.has_room(len(data), UNREAD_MAX, UNREAD_BYTES_MAX) for end in waiting):
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
    @rule(who=WHO, stream=PICK, lengths=BURSTS)
    def send_several(self, who, stream, lengths):
        for length in lengths:
            self.send(who, stream, length)

    @needs("stream")
    @rule(who=WHO, stream=PICK, lengths=BURSTS, peek=st.booleans())
    def send_and_receive(self, who, stream, lengths, peek):
        """What is sent is looked for at once, before something befalls it that would excuse its loss."""
        self.send_several(who, stream, lengths)
        self.receive_all(peek)

    @needs("connection")
    @rule(lengths=BURSTS)
    def talk(self, lengths):
        """Everybody who is connected gets a stream, and each of them says something that the others read."""
        for who, table in self.tables.items():
            for i, fd in enumerate(table.of_kind("connection")):
                if who not in self.blocked and not table.objects[fd].stream:
                    self.stream_create(who, i, NONBLOCK, table.objects[fd].inheriting & RIGHTS_STREAM)
        for who, table in self.tables.items():
            for i in range(len(table.of_kind("stream"))):
                if who not in self.blocked:
                    self.send_and_receive(who, i, lengths, False)

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
        for control in self.controls():
            for end in control.doubtful:
                if end not in self.ends and not self.granted("listen"):
                    end.over = MAYBE

    def restarted(self):
        """Who has not been accepted may have waited for too long."""
        for control in self.controls():
            control.doubt_queue()
