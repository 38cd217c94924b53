# SPDX-License-Identifier: Apache-2.0
"""Connections of QUIC: what a guest may expect of them, and traces of them, between two guests of one broker, whose relay speaks with itself.

A peer hears of a stream by its first byte, or its end. So that it is known which stream an accept yields, the next one is begun when the one before has been
accepted. A stream that is closed without a word may come to the peer or not: such ones are alike, with nothing in them but the end.
"""
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

import model
import world
from machine import BELOW_RIGHTS, CONTROL_RIGHTS, FLAGS, MADE, PICK, WHO, Machine, needs
from model import Connecting, Control, Descriptor, End, Stream, MAYBE, NO, YES, check, nothing, same_text
from world import DENIED, MALFORMED, NONBLOCK, PEEK, READ, UNBOUND, WRITE, RIGHTS_CONNECTION, RIGHTS_CONTROL, RIGHTS_STREAM, RIGHT_READ, RIGHT_WRITE, Request

LENGTHS = st.sampled_from([1, 5, 100, 4096, 16384])
HOW = st.sampled_from([READ, WRITE, WRITE, READ | WRITE])
QUEUE_MAX = 6
STREAMS_MAX = 40  # of one side and kind, that it makes in all: far below what the peer allows at once


class StreamEnd(End):
    """One end of a stream: End's states, with other causes. Each side's are made together, and the peer's is there for it when it accepts.

    is_begun: whether the peer has heard of it. is_seen: whether some of what is unread has come as far as the guest.
    """

    def __init__(self, name, side, may_read, may_write):
        super().__init__(name, side.grants, side.local, side.remote)
        self.side = side
        self.relayed = True
        self.may_read, self.may_write = may_read, may_write
        self.is_begun = self.is_seen = False

    @property
    def may_be_over(self):
        """Whether nothing may be left of it but the guest's descriptor."""
        return self.gone or self.reset != NO or (self.peer_ended or self.read_shut) and (self.write_shut or self.peer.read_shut or self.peer.gone)

    def hangs_up(self, kind):
        hangup = self.hangs_up_as_tcp(kind)
        # It is told that its peer reads no more, and of a direction that there is not, that it has ended.
        one_way = not (self.may_read and self.may_write)
        return MAYBE if hangup == NO and (self.peer.read_shut or self.peer.gone or one_way) else hangup

    def readable(self):
        return super().readable() if self.may_read else YES

    def may_end(self):
        return super().may_end() or not self.may_read

    def end(self):
        """FIN, and STOP_SENDING; a reset where something was unread."""
        if self.gone:
            return
        self.gone = True
        peer_side = self.side.peer
        if not self.is_begun and not peer_side.closed:
            peer_side.incoming.append(self.peer)
        self.is_begun = True
        if self.reset != NO:
            self.peer.may_be_reset()
        elif self.unread:
            # What is on its way to the guest's end is no reason for a reset, and behind a FIN there may be none.
            if self.is_seen and not self.write_shut and not self.read_shut and self.peer.reset == NO:
                self.peer.reset = YES
            else:
                self.peer.may_be_reset()
        self.side.settle()

    def put(self, length, nonblock, n):
        check(1 <= n <= length and (nonblock or n == length), f"{n} of {length} bytes are sent")
        self.sent += n
        if self.peer.gone and self.side.peer.is_done:
            self.may_be_reset()  # they were on their way when the connection ended

    def send(self, length, nonblock):
        outcomes = super().send(length, nonblock)
        if "success" in outcomes and self.reset == NO and not self.peer.unknown and (self.peer.gone or self.peer.read_shut):
            outcomes["pipe"] = nothing  # STOP_SENDING has come; the other direction goes on
            del outcomes["connreset"]
        return outcomes

    def shut(self, how):
        self.read_shut |= bool(how & READ)
        self.write_shut |= bool(how & WRITE)

    def shutdown(self, how):
        how &= (READ if self.may_read else 0) | (WRITE if self.may_write else 0)
        return {"success": lambda value: self.shut(how)} if how else {"notcapable": nothing}


class Side:
    """One side of a connection.

    incoming: the ends of the peer's streams that can be accepted. over: NO, MAYBE; YES: with which errno it ends, `errnos` says.
    """

    def __init__(self, name, grants, local, remote):
        self.name, self.grants, self.local, self.remote = name, grants, local, remote
        self.relayed = self.is_unix = self.unknown = False
        self.peer = self.link = None
        self.streams, self.incoming = [], []
        self.n_made = 0
        self.closed = False
        self.over = NO
        self.errnos = ()

    @property
    def is_done(self):
        """Whether nothing holds the connection here any more."""
        return self.closed and all(end.gone for end in self.streams)

    def may_be_reset(self):
        """It may end without its peer's closing it."""
        if self.over == NO:
            self.over = MAYBE
        self.errnos = ("notconn", "connreset")
        for end in self.streams + self.incoming:
            end.may_be_reset()

    def finish(self, errno):
        self.over = YES
        self.errnos = self.errnos or (errno,)
        for end in self.streams + self.incoming:
            # What had ended in both directions before is not touched.
            if not end.gone and not (end.peer_ended and end.write_shut):
                end.may_be_reset()

    def settle(self):
        """The connection is over for the peer with the last that holds it; streams hold it no longer than they have a direction that goes on."""
        if self.is_done and self.peer.over != YES:
            self.peer.finish("notconn")
        elif self.closed and self.peer.over == NO and all(end.may_be_over for end in self.streams):
            self.peer.may_be_reset()

    def end(self):
        """Its descriptor is closed: its streams go on, and the peer's new ones are refused."""
        if self.closed:
            return
        self.closed = True
        for end in self.incoming:
            end.gone = True
            end.peer.may_be_reset()
        self.incoming = []
        self.settle()

    def cut(self):
        """It is closed by a broker that nobody asked for it."""
        self.peer.may_be_reset()
        self.end()
        self.unknown = False

    def revoke(self):
        for end in self.streams + self.incoming:
            if end.reset == NO and not (end.gone or end.peer.gone or end.write_shut or end.peer.write_shut):
                end.reset = YES
        self.finish("connreset")
        self.peer.may_be_reset()

    def make(self, may_read):
        """Another stream. Returns our end."""
        self.n_made += 1
        name = f"stream {self.n_made} of {self.name}"
        ours, theirs = StreamEnd(name, self, may_read, True), StreamEnd(f"the other end of {name}", self.peer, True, may_read)
        ours.peer, theirs.peer = theirs, ours
        theirs.is_begun = True
        return ours


class QuicLink:
    """A connection between two guests."""

    def __init__(self, client, server):
        self.client = Side(f"the client {client}", ["connect"], client, server)
        self.server = Side(f"the server for {client}", ["listen"], server, client)
        self.client.peer, self.server.peer = self.server, self.client
        self.client.link = self.server.link = self
        self.began = self.done = None

    def revoke(self, granted):
        for side in (self.client, self.server):
            if not all(map(granted, side.grants)):
                side.revoke()


class QuicControl(Control):
    """is_asleep: whether another broker has come, of which its guest has not read yet, behind the connections that had been handed over. The broker takes nobody
    before that, and the handshakes of peers wait."""

    link_type = QuicLink
    is_asleep = False

    def ready(self, kind):
        if self.is_connecting and self.connecting.target and self.connecting.target.is_asleep:
            return MAYBE, 0, 1, None
        return super().ready(kind)


class QuicConnection(Descriptor):
    """Any number of streams, of either side."""

    kind = "connection"

    def __init__(self, side, inheriting):
        super().__init__(inheriting & RIGHTS_CONNECTION, inheriting)
        self.side = self.end = side

    def close(self):
        self.side.end()

    def local_address(self):
        return same_text("local", self.side.local)

    def remote_address(self):
        return same_text("remote", self.side.remote)

    def incoming(self):
        """Whether there is a stream to accept. One whose maker has closed it without a word may not come."""
        if any(end.peer.sent or not end.peer.gone or end.peer.write_shut for end in self.side.incoming):
            return YES
        return MAYBE if self.side.incoming else NO

    def acceptable(self):
        return YES if self.side.over == YES else MAYBE if self.side.over == MAYBE and self.incoming() == NO else self.incoming()

    def ready(self, kind):
        side = self.side
        hangup = YES if side.over == YES and not side.incoming else NO if side.over == NO else MAYBE
        if kind == WRITE:
            # A place that is known of is told without a look at the channel, where the end may stand.
            return YES, 0, 1, MAYBE if hangup == YES else hangup
        return self.acceptable(), 1 if self.incoming() == YES and side.over == NO else 0, len(side.incoming), hangup

    def ended(self):
        return {errno: nothing for errno in self.side.errnos}

    def make_stream(self, rights, made):
        if rights & ~self.inheriting:
            return {"notcapable": nothing}
        if not rights & RIGHT_WRITE:
            return {"inval": nothing}
        is_told = self.side.over == YES and not self.side.incoming
        return self.ended() if is_told else {"success": made, **self.ended()}

    def accept_stream(self, made):
        incoming = self.incoming()
        outcomes = {} if incoming == NO else {"success": made}
        if incoming != YES:
            outcomes.update(self.ended())
            if self.nonblock and self.side.over != YES:
                outcomes["again"] = nothing
        return outcomes


class QuicMachine(Machine):
    """A server and a client with connections between them, and streams on these."""

    somebody = "listener"
    protocols = ("quic",)
    connection_type = QuicConnection
    sock_accept = None  # what it retires is not told apart from what the peer is refused

    def __init__(self):
        super().__init__()
        self.links = []

    def compare(self, who, request, answer, outcomes):
        super().compare(who, request, answer, outcomes)
        for link in self.links:
            link.client.settle()
            link.server.settle()

    # ---- how it begins ----

    @initialize(n_steps=st.sampled_from([0, 3, 5, 7, 7, 7]), flags=FLAGS)
    def begin(self, n_steps, flags):
        """Most traces begin with a connection and a stream, or with a part of that."""
        steps = [
            lambda: self.open("server", 0, True, flags, RIGHTS_CONTROL, RIGHTS_STREAM),
            lambda: self.listen("server", -1),
            lambda: self.open("client", 0, False, 0, RIGHTS_CONTROL, RIGHTS_STREAM),
            lambda: self.connect("client", 0, "listener", -1),
            lambda: self.accept("server", -1),
            lambda: self.stream_create("client", 0, flags, RIGHTS_STREAM),
            lambda: self.send("client", 0, 5),
        ]
        for step in steps[:n_steps]:
            step()

    # ---- controls ----

    @needs("protocol")
    @rule(who=WHO, protocol=PICK, bound=st.booleans(), flags=FLAGS, base=CONTROL_RIGHTS, inheriting=BELOW_RIGHTS)
    def open(self, who, protocol, bound, flags, base, inheriting):
        who, fd, source = self.pick(who, protocol, "protocol")
        address = "127.0.0.1:0" if bound else UNBOUND

        def opened(new):
            local = self.ask(who, world.text_of("local_address", new))
            check(local == address or bound and model.is_loopback(local), f"a control is bound to {local}")
            self.tables[who].add(new, QuicControl(source, local, base, inheriting, flags))

        outcomes = {"success": opened} if not bound or self.may(source, "listen", address) else {"access": nothing}
        if not source.may_open(base, inheriting):
            outcomes = {"notcapable": nothing}
        self.perform(who, world.request_open(fd, address, world.TYPE_STREAM, base, inheriting, flags), outcomes)

    @needs("control")
    @rule(who=WHO, control=PICK, kind=st.sampled_from(["listener"] * 7 + ["denied", "malformed"]), whom=PICK)
    def connect(self, who, control, kind, whom):
        """Who is bound and does not listen connects from there, once: that is UDP's, and left out."""
        who, fd, subject = self.pick(who, control, "control")
        if subject.state == Control.CONNECTING or subject.state == Control.IDLE and subject.is_bound:
            return
        there = [other for other in self.controls() if kind == "listener" and other is not subject and other.state == Control.LISTENING and
                 not other.is_asleep and len(other.arrived) + other.n_uncertain < QUEUE_MAX]
        target = there[whom % len(there)] if there else None
        address = target.address if target else MALFORMED if kind == "malformed" else DENIED
        refusal = subject.refuses_connect()
        if refusal:
            self.perform(who, world.request_connect(fd, address), refusal)
            return
        verdict = "inval" if address == MALFORMED else None if target and self.may(subject.protocol, "connect", address) else "access"
        self.begin_connect(who, fd, subject, Connecting(subject, address, target, verdict, self.step))

    def connected(self, who, fd, subject, connecting):
        local = self.ask(who, world.text_of("local_address", fd))
        check(model.is_loopback(local), f"a connection's local address is {local}")
        link = connecting.arrive(local, self.step)
        self.links.append(link)
        self.tables[who].add(fd, QuicConnection(link.client, subject.inheriting))
        subject.has_connected = True

    def accepted(self, end):
        if end.link not in self.links:
            self.links.append(end.link)

    # ---- connections and streams ----

    def add_stream(self, who, fd, end, rights, flags):
        """The rights say which directions there are."""
        rights &= ~(0 if end.may_read else RIGHT_READ) & ~(0 if end.may_write else RIGHT_WRITE)
        self.tables[who].add(fd, Stream(end, rights, rights, flags))

    @needs("connection")
    @rule(who=WHO, connection=PICK, flags=FLAGS, rights=BELOW_RIGHTS)
    def stream_create(self, who, connection, flags, rights):
        who, fd, subject = self.pick(who, connection, "connection")
        side = subject.side
        if side.n_made >= STREAMS_MAX:
            return

        def made(new):
            end = side.make(bool(rights & RIGHT_READ))
            side.streams.append(end)
            if side.over != NO or side.peer.closed:
                end.peer.gone = side.peer.closed
                end.may_be_reset()
            self.add_stream(who, new, end, rights, flags)

        outcomes = subject.make_stream(rights, made)
        if not outcomes.keys() & {"inval", "notcapable"}:
            self.await_ready(who, fd, WRITE if "success" in outcomes else READ)
        self.perform(who, world.made("stream_create", fd, rights, rights, flags), outcomes)

    @needs("connection")
    @rule(who=WHO, connection=PICK)
    def stream_accept(self, who, connection):
        who, fd, subject = self.pick(who, connection, "connection")

        def made(new):
            end = subject.side.incoming.pop(0)
            subject.side.streams.append(end)
            self.add_stream(who, new, end, subject.inheriting & RIGHTS_STREAM, 0)

        request = world.made("stream_accept", fd)
        if subject.nonblock:
            self.await_ready(who, fd, READ)
            self.perform(who, request, subject.accept_stream(made))
        else:
            self.perform_waiting(who, request, lambda: subject.accept_stream(made), subject.acceptable)

    def may_begin(self, end):
        """Whether the peer, which hears of a stream now, can tell it from others."""
        return end.is_begun or not end.side.peer.incoming

    @staticmethod
    def begun(end):
        """The peer hears of it, unless the connection is over for it."""
        if not end.is_begun and not end.peer.gone and end.side.peer.over != YES:
            end.side.peer.incoming.append(end.peer)
            if end.side.peer.over != NO:
                end.peer.may_be_reset()
        end.is_begun = True

    @needs("stream")
    @rule(who=WHO, stream=PICK, length=LENGTHS)
    def send(self, who, stream, length):
        who, fd, subject = self.pick(who, stream, "stream")
        end = subject.end
        if not self.may_begin(end) or end.peer.unread > 4 * model.CERTAIN_ROOM:
            return
        if not subject.nonblock and end.writable() != YES:
            return  # it could wait for room, and nobody knows
        if end.writable() == YES and subject.base & RIGHT_WRITE:
            self.await_ready(who, fd, WRITE)
        n_sent = end.sent
        self.perform(who, world.request_send(fd, end.text(end.sent, length)), subject.send(length))
        if end.sent > n_sent:
            self.begun(end)

    @needs("stream")
    @rule(who=WHO, stream=PICK, length=st.sampled_from([0, 1, 16, 5000, 65000]), peek=st.booleans())
    def receive(self, who, stream, length, peek):
        who, fd, subject = self.pick(who, stream, "stream")
        request = world.request_receive(fd, length, PEEK if peek else 0)
        if not subject.base & RIGHT_READ or length == 0:
            self.perform(who, request, subject.receive(length, peek))
        elif subject.nonblock:
            self.await_ready(who, fd, READ)
            self.perform(who, request, subject.receive(length, peek))
        else:
            self.perform_waiting(who, request, lambda: subject.receive(length, peek), subject.end.readable)

    @needs("stream")
    @rule(who=WHO, stream=PICK, how=HOW)
    def shutdown(self, who, stream, how):
        who, fd, subject = self.pick(who, stream, "stream")
        end = subject.end
        if not end.is_begun and (how != WRITE or not self.may_begin(end)):
            return  # what a peer that has heard nothing is told of it is nothing, or the end
        self.perform(who, Request("sock_shutdown", fd, how), subject.shutdown(how))
        if end.write_shut:
            self.begun(end)

    @needs(*MADE)
    @rule(who=WHO, descriptor=PICK)
    def close(self, who, descriptor):
        who, fd, subject = self.pick(who, descriptor, *MADE)
        if subject.kind == "stream" and subject.end.unread and subject.end.reset == NO and not subject.end.read_shut:
            self.await_ready(who, fd, READ)
            subject.end.is_seen = True
        super().close(who, descriptor)

    # ---- what befalls them ----

    def poll(self, who, subscriptions):
        super().poll(who, subscriptions)
        for _, fd in subscriptions:
            subject = self.tables[who].objects[fd]
            if subject.kind == "control" and not subject.arrived and not subject.n_uncertain:
                subject.is_asleep = False

    def restarted(self):
        for who, table in self.tables.items():
            for fd in table.of_kind("control"):
                table.objects[fd].is_asleep = table.objects[fd].state == Control.LISTENING
                if who not in self.blocked:
                    self.poll(who, [(READ, fd)])

    def reloaded(self):
        for link in self.links:
            link.revoke(self.granted)
