# SPDX-License-Identifier: Apache-2.0
"""What a guest may expect: the state machines of control, connection and stream, as docs/guest-interface.md and netbroker-guest(7) have them.

Nothing in here calls anything. An object says, for each call, which errnos there may be, and what becomes true with each: a dictionary of errnos and
functions of the call's value. Mostly that is one errno. Where the kernel, or what is under way, decides, there are several.

Whether something is there that a call waits for has three answers: YES, which may take a moment to be seen, NO, which holds at once, and MAYBE.
"""
import re
import zlib

import world
from world import UNBOUND, READ, WRITE, RIGHT_ACCEPT, RIGHT_CONNECT, RIGHT_LISTEN, RIGHT_READ, RIGHT_WRITE, RIGHTS_CONNECTION, RIGHTS_STREAM

YES, NO, MAYBE = "yes", "no", "maybe"

# What one side may send while the other reads nothing, and every call succeeds: all socket buffers are larger.
CERTAIN_ROOM = 16384


class Difference(AssertionError):
    """The model and the world do not agree."""


def check(condition, text):
    if not condition:
        raise Difference(text)


def nothing(value):
    """The effect of a call that changes nothing."""


# ---- a connection's two ends ----

class End:
    """One end of a TCP connection, and what its holder can have noticed.

    reset: NO; MAYBE; YES: the next call tells it; TOLD: one has.
    unknown: whether nobody can say if this end is there: it lies in a listener's queue that may have been thrown away, or belongs to a connect without an
    answer. All that its peer sees is uncertain then.
    """

    TOLD = "told"

    filetype = world.TYPE_STREAM

    def __init__(self, name, grants, local, remote):
        self.name = name
        self.grants = grants  # what it needs of the policy
        self.local, self.remote = local, remote  # addresses
        self.relayed = self.is_unix = False
        self.options = {}  # number -> value, of those that were set
        self.peer = self.link = None
        self.sent = 0  # bytes, of a text that everybody knows: see text()
        self.read = 0  # of the peer's bytes
        self.write_shut = self.read_shut = self.gone = self.unknown = False
        self.reset = NO

    def text(self, start, length):
        """The bytes that this end sends, which are others at each place, and others than its peer's."""
        first = zlib.crc32(self.name.encode())
        return bytes((first + (i >> 8) * 31 + i * 7) & 0xFF for i in range(start, start + length))

    @property
    def unread(self):
        return self.peer.sent - self.read

    @property
    def peer_ended(self):
        return self.peer.write_shut or self.peer.gone

    def may_be_reset(self):
        if self.reset == NO:
            self.reset = MAYBE

    def readable(self):
        if self.reset in (YES, self.TOLD) or self.read_shut:
            return YES
        if self.peer.unknown:
            return MAYBE
        if self.unread or self.peer_ended:
            return YES
        return self.reset

    def writable(self):
        if self.write_shut or self.reset in (YES, self.TOLD):
            return YES
        if self.peer.unknown or self.reset == MAYBE or self.peer.unread > CERTAIN_ROOM:
            return MAYBE
        return YES

    def hangs_up(self, kind):
        """Whether a poll flags a hang-up."""
        hangup = self.hangs_up_as_tcp(kind)
        # A Unix socket is told that its peer reads no more.
        return MAYBE if hangup == NO and self.is_unix and (self.peer.read_shut or self.peer.gone) else hangup

    def hangs_up_as_tcp(self, kind):
        if self.reset in (YES, self.TOLD):
            return YES
        if self.reset == MAYBE or self.peer.unknown:
            return MAYBE
        ended = self.peer_ended or self.read_shut
        return YES if ended and (kind == READ or self.write_shut) else NO

    def ready(self, kind):
        """As Descriptor.ready(), of its stream."""
        if kind == WRITE:
            return self.writable(), 1, 1 << 31, self.hangs_up(WRITE)
        least = 1 if self.readable() == YES and not self.may_end() and not self.may_tell_reset() else 0
        return self.readable(), least, self.unread, self.hangs_up(READ)

    def may_end(self):
        """Whether a read may return the end."""
        if self.read_shut or self.reset == self.TOLD:
            return True
        return self.peer_ended and (self.unread == 0 or self.reset != NO) or self.peer.unknown

    def may_tell_reset(self):
        return self.reset in (MAYBE, YES) or self.peer.unknown and self.reset == NO

    def end(self):
        """Its stream is closed, or its connection, of which nobody has taken the stream."""
        if self.gone:
            return
        peer = self.peer
        self.gone = True
        if self.reset != NO:
            peer.may_be_reset()
        elif self.unread:
            # Who closes with something unread resets. A peer that has had our end already is told otherwise, and a relay has no way to reset a Unix socket.
            if self.write_shut or peer.reset != NO or self.is_unix and (self.relayed or peer.relayed):
                peer.may_be_reset()
            else:
                peer.reset = YES

    def cut(self):
        """It is closed by a broker that nobody asked for it."""
        self.end()
        self.unknown = False
        self.peer.may_be_reset()

    def revoke(self):
        """The policy no longer grants it. Without netbroker-helper that ends what is relayed, and nothing else (netbrokerd(8))."""
        if not self.relayed:
            return
        self.unknown = self.is_unix  # a Unix socket has no reset: to the peer it ends, and maybe more
        for end in (self,) if self.is_unix else (self, self.peer):
            if end.reset == NO and not (self.gone or self.peer.gone or self.write_shut or self.peer.write_shut):
                end.reset = YES
        self.may_be_reset()
        self.peer.may_be_reset()

    # ---- what is written and read ----

    def tell_reset(self, _value):
        self.reset = self.TOLD

    def take_error(self):
        """get_option of the error: it is told once, here or by a read or a write."""
        def told(value):
            name = world.ERRNOS[value]
            check(name == "success" or name in ("connreset", "pipe") and self.may_tell_reset(), f"{self.name} has the error {name}")
            check(name != "success" or self.reset != YES, f"{self.name} was reset, and has no error")
            if name != "success":
                self.reset = self.TOLD
        return {"success": told}

    def take(self, length, peek, data):
        check(len(data) <= length, f"{len(data)} bytes are read into {length}")
        if not data:
            check(self.may_end(), f"{self.name} reads the end, and {self.peer.name} has not ended" +
                  (f"; {self.unread} bytes are unread" if self.unread else ""))
            return
        check(len(data) <= self.unread, f"{self.name} reads {len(data)} bytes, and {self.unread} were sent")
        check(data == self.peer.text(self.read, len(data)), f"{self.name} reads other bytes than {self.peer.name} has sent")
        if not peek:
            self.read += len(data)

    def receive(self, length, peek, nonblock):
        outcomes = {}
        ready = self.readable()
        if length == 0:
            return {"success": lambda data: check(not data, "bytes are read into nothing")}
        if self.unread or self.may_end():
            outcomes["success"] = lambda data: self.take(length, peek, data)
        if self.may_tell_reset():
            outcomes["connreset"] = self.tell_reset
        if ready != YES and nonblock:
            outcomes["again"] = nothing
        return outcomes

    def put(self, length, nonblock, n):
        check(1 <= n <= length and (nonblock or n == length), f"{n} of {length} bytes are sent")
        if self.peer.gone:
            self.may_be_reset()
        self.sent += n
        if self.peer.read_shut:
            self.may_be_reset()
            if self.peer.write_shut:
                self.peer.may_be_reset()

    def send(self, length, nonblock):
        peer = self.peer
        if self.write_shut and self.reset in (NO, self.TOLD) or self.reset == self.TOLD:
            return {"pipe": nothing}
        if self.reset == YES or self.write_shut:
            return {"pipe": nothing, "connreset": self.tell_reset}
        outcomes = {"success": lambda n: self.put(length, nonblock, n)}
        if self.reset == MAYBE or peer.unknown or peer.gone or peer.read_shut:
            outcomes.update({"pipe": lambda value: self.may_be_reset(), "connreset": self.tell_reset})
        if nonblock and self.writable() == MAYBE:
            outcomes["again"] = nothing
        return outcomes

    def shut(self, how):
        self.read_shut |= bool(how & READ)
        self.write_shut |= bool(how & WRITE)
        if self.relayed and self.read_shut and self.write_shut:
            self.peer.may_be_reset()  # a relay cannot tell that from a close, and ends the connection

    def shutdown(self, how):
        """A connection that both sides have ended, or that was reset, is no more: notconn."""
        over = self.write_shut and (self.peer_ended or self.peer.unknown)
        if self.reset in (YES, self.TOLD):
            return {"notconn": nothing, "success": lambda value: self.shut(how)}
        outcomes = {"success": lambda value: self.shut(how)}
        if over or self.reset == MAYBE or self.peer.unknown:
            outcomes["notconn"] = nothing
        return outcomes


class Link:
    """A connection between two guests: its ends, and when it was made."""

    def __init__(self, client, server):
        self.client = End(f"the client {client}", ["connect"], client, server)
        self.server = End(f"the server for {client}", ["listen"], server, client)
        self.client.peer, self.server.peer = self.server, self.client
        self.client.link = self.server.link = self
        self.began = self.done = None  # the steps in which the connect began and its result was seen

    def revoke(self, granted):
        """Another policy. granted(verb): what it grants."""
        for end in (self.client, self.server):
            if not all(map(granted, end.grants)):
                end.revoke()


# ---- descriptors ----

class Descriptor:
    """What a number of a guest's stands for."""

    kind = "none"
    filetype = world.TYPE_STREAM

    def __init__(self, base, inheriting, flags=0):
        self.base, self.inheriting, self.flags = base, inheriting, flags

    @property
    def nonblock(self):
        return bool(self.flags & world.NONBLOCK)

    def close(self):
        pass

    def ready(self, kind):
        """What a poll says: (readiness, least and most nbytes, whether it hangs up)."""
        raise NotImplementedError

    def local_address(self):
        return {"notsup": nothing}

    remote_address = local_address


class Protocol(Descriptor):
    """One that the family is about, or an unused one."""

    filetype = 0

    def __init__(self, name, is_used):
        super().__init__(None, None)
        self.kind = "protocol" if is_used else "unused"
        self.name = name
        self.narrowings = []  # of protocol_restrict: what each leaves, grants(verb, address)
        self.is_narrower = self.is_closed = False

    @property
    def is_relayed(self):
        return self.name in world.RELAYED

    @property
    def is_unix(self):
        return self.name in world.UNIX

    def grants(self, verb, address):
        """Whether what narrows it leaves that. What the policy grants is asked beside."""
        return all(grants(verb, address) for grants in self.narrowings)

    def narrow(self, grants, base, inheriting):
        """Another one, with no more than that. grants: None: the rules stay."""
        narrower = Protocol(self.name, True)
        narrower.is_narrower = True
        narrower.narrowings = self.narrowings + ([grants] if grants else [])
        narrower.base, narrower.inheriting = self.base & base, self.inheriting & inheriting
        return narrower

    def may_open(self, base, inheriting):
        """Whether it has the rights for such a control."""
        return self.base & world.RIGHT_BIND and not (base | inheriting) & ~self.inheriting

    def close(self):
        self.is_closed = True


class Control(Descriptor):
    """IDLE -> LISTENING by listen; IDLE -> CONNECTING -> IDLE by connect, any number of times; any -> ENDED when the policy no longer grants it."""

    kind = "control"
    is_preopened = False
    link_type = Link
    IDLE, LISTENING, CONNECTING, ENDED = "idle", "listening", "connecting", "ended"

    def __init__(self, protocol, address, base, inheriting, flags, filetype=world.TYPE_STREAM):
        super().__init__(base, inheriting, flags)
        self.filetype = filetype
        self.protocol = protocol
        self.address = address
        self.state = self.IDLE
        self.has_connected = self.has_listened = self.is_forfeit = False
        self.arrived = []  # Link: connects that have had their result and wait to be accepted
        self.n_uncertain = 0  # connects without a result, that may have arrived
        self.accepted = {}  # client's address -> Link, of which the client has had no result
        self.connecting = None

    @property
    def is_bound(self):
        return self.address not in (UNBOUND, "")

    @property
    def is_relayed(self):
        return self.protocol.is_relayed

    @property
    def grants(self):
        """What a connection that it makes needs of the policy: one from an address that was bound, that too."""
        return ["connect", "listen"] if self.is_bound else ["connect"]

    @property
    def is_connecting(self):
        return self.state == self.CONNECTING

    def ready(self, kind):
        if self.state == self.CONNECTING:
            return YES, 0, 1, None
        if self.state == self.ENDED:
            return YES, 0, 1, None
        if self.state != self.LISTENING or not self.arrived and not self.n_uncertain:
            return NO, 0, 0, NO
        return YES if self.arrived else MAYBE, 1, 1, NO

    def acceptable(self):
        """Whether accept has something to return."""
        return self.ready(READ)[0] if self.state in (self.LISTENING, self.ENDED) else YES

    def close(self):
        self.cut_queue()
        self.state = self.ENDED

    def cut_queue(self):
        for link in self.arrived:
            link.server.cut()
        self.arrived.clear()

    def forfeit(self):
        """The policy takes it away. What had been handed over can be accepted still."""
        self.is_forfeit = True
        if self.state in (self.CONNECTING, self.ENDED):
            return  # the result, whatever it is, comes first
        self.has_listened = self.state == self.LISTENING
        self.state = self.ENDED
        self.doubt_queue()

    def doubt_queue(self):
        """Who waits to be accepted may have been thrown away."""
        for link in self.arrived:
            link.server.unknown = True
            link.client.may_be_reset()

    def local_address(self):
        return {"success": lambda text: check(text == self.address, f"the local address is {text}, not {self.address}")}

    def remote_address(self):
        return {"notconn": nothing}

    def begin_connect(self, connecting):
        self.state, self.connecting = self.CONNECTING, connecting

    def connect_is_over(self):
        self.state = self.ENDED if self.is_forfeit else self.IDLE
        self.connecting = None

    def ended_too(self):
        """What a control says as well that was taken away while it connects."""
        return {"pipe": nothing} if self.is_forfeit else {}

    def listen(self, granted):
        if not self.base & RIGHT_LISTEN:
            return {"notcapable": nothing}
        if self.state == self.ENDED:
            # Who has not been told that it is over may hear first what else stands in the way.
            waits = self.has_listened and (self.arrived or self.n_uncertain)  # what had come can be accepted still
            return {"pipe": nothing, "isconn": nothing, **({"success": nothing} if waits else {})}
        if self.state == self.CONNECTING or self.has_connected:
            return {"isconn": nothing, **self.ended_too()}
        if self.state == self.LISTENING:
            return {"success": nothing}
        if not self.is_bound or not granted:
            return {"access": nothing}
        return {"success": lambda value: setattr(self, "state", self.LISTENING)}

    def refuses_connect(self):
        """What a connect is told before anybody is asked, or None."""
        if not self.base & RIGHT_CONNECT:
            return {"notcapable": nothing}
        if self.state == self.ENDED:
            # A nonblocking one may be told so by the next call only.
            return {"inval": nothing, "pipe": nothing} if self.has_listened else {"pipe": nothing, "inprogress": nothing, "already": nothing}
        return {"inval": nothing} if self.state == self.LISTENING else None

    # ---- accepting ----

    def waits_for_peers(self):
        return self.state == self.LISTENING and bool(self.base & RIGHT_ACCEPT)

    def acceptable(self):
        """Whether an accept has something to return."""
        return self.ready(READ)[0] if self.state == self.LISTENING else YES

    def take(self, remote):
        """Our end of what was accepted, by the peer's address."""
        link = next((link for link in self.arrived if link.client.local == remote), None)
        if not link and remote == "" and self.protocol.is_unix and self.arrived:
            link = self.arrived[0]  # a name that was bound before the broker was started again is not known any more
            link.server.remote = remote
        check(link or not self.protocol.is_unix, f"a peer called '{remote}' is accepted, which has not connected")
        if link is None:
            check(self.n_uncertain, f"a peer is accepted from {remote}, where nobody has connected")
            link = self.accepted[remote] = self.link_type(remote, self.address)
            link.client.unknown = True
            link.server.relayed = self.is_relayed
            return link.server
        before = [other for other in self.arrived if other.done < link.began]
        check(not before, f"{remote} is accepted before {before and before[0].client.local}, which came before")
        self.arrived.remove(link)
        link.server.unknown = False
        return link.server

    def accept(self, accepted):
        if not self.base & RIGHT_ACCEPT:
            return {"notcapable": nothing}
        if self.state == self.ENDED and (self.arrived or self.n_uncertain):
            return {"success": accepted, "pipe": lambda value: self.cut_queue()}
        if self.state == self.ENDED:
            # Behind a Resumed of another broker the end may take one more call to be seen.
            again = {"again": nothing} if self.nonblock else {}
            return {"pipe": nothing, **again} if self.has_listened else {"inval": nothing, "pipe": nothing}
        if self.state != self.LISTENING:
            return {"inval": nothing, **self.ended_too()}
        if self.arrived:
            return {"success": accepted}
        outcomes = {"again": nothing} if self.nonblock else {}
        if self.n_uncertain:
            outcomes["success"] = accepted
        return outcomes


class Connecting:
    """A connect without a result: to which address, and who has it. verdict: the errno that it is sure to have; None: the target decides."""

    def __init__(self, source, address, target, verdict, began):
        self.source, self.address, self.target, self.verdict, self.began = source, address, target, verdict, began
        self.listens = target is not None and target.state == Control.LISTENING
        self.uncertain = False  # something has happened meanwhile
        if self.listens and not verdict:
            target.n_uncertain += 1

    def disturb(self, control):
        """A control begins to listen, or goes."""
        if control is self.target:
            self.uncertain = True
            if not self.listens and control.state == Control.LISTENING:
                control.n_uncertain += 1

    def outcomes(self, connected, refused):
        """refused(errno): an effect."""
        if self.uncertain:
            errnos = ["pipe", "connrefused", "access", "connreset", "addrnotavail", "inval"] + [self.verdict] * bool(self.verdict)
            return {"success": connected, **{errno: refused(errno) for errno in errnos}}
        if self.verdict:
            outcomes = {self.verdict: refused(self.verdict)}
        else:
            outcomes = {"success": connected} if self.listens else {"connrefused": refused("connrefused")}
        if self.verdict in (None, "noent") and self.source.is_bound and self.source.has_connected:
            errno = "addrinuse" if self.source.protocol.is_unix else "addrnotavail"
            outcomes[errno] = refused(errno)
        return outcomes

    def settle(self):
        """It has its result. One that was disturbed may have come twice, or not at all."""
        if self.listens and not self.verdict and not self.uncertain:
            self.target.n_uncertain -= 1

    def arrive(self, local, step):
        """The link that it has become."""
        link = self.target.accepted.pop(local, None)
        if link:
            link.client.unknown = False
            link.client.relayed = self.source.is_relayed
            link.client.grants = self.source.grants
            return link
        link = self.target.link_type(local, self.address)
        link.client.relayed, link.server.relayed = self.source.is_relayed, self.target.is_relayed
        link.client.grants = self.source.grants
        link.client.is_unix = link.server.is_unix = self.source.protocol.is_unix
        link.began, link.done = self.began, step
        if self.target.state == Control.LISTENING:
            self.target.arrived.append(link)
        else:
            link.server.unknown = True
        return link


class Connection(Descriptor):
    """It yields its one stream once."""

    kind = "connection"

    def __init__(self, end, inheriting):
        super().__init__(inheriting & RIGHTS_CONNECTION, inheriting)
        self.filetype = end.filetype
        self.end = end
        self.stream = None

    def close(self):
        if not self.stream:
            self.end.end()

    def ready(self, kind):
        return YES, 0, 1 << 31, NO

    def local_address(self):
        if self.stream and self.stream.closed and not (self.end.relayed and self.end.local):  # of no name nobody has told
            return {"notconn": nothing}
        return same_text("local", self.end.local)

    def remote_address(self):
        return same_text("remote", self.end.remote)

    def make_stream(self, rights, made):
        """rights: what is asked for, None: all that there is."""
        if rights is not None and rights & ~self.inheriting:
            return {"notcapable": nothing}
        return {"notsup": nothing} if self.stream else {"success": made}


class Stream(Descriptor):
    kind = "stream"

    def __init__(self, end, base, inheriting, flags):
        super().__init__(base, inheriting, flags)
        self.filetype = end.filetype
        self.end = end
        self.closed = False

    def close(self):
        self.closed = True
        self.end.end()

    def ready(self, kind):
        return self.end.ready(kind)

    def local_address(self):
        return same_text("local", self.end.local)

    def remote_address(self):
        return same_text("remote", self.end.remote)

    def receive(self, length, peek):
        if not self.base & RIGHT_READ:
            return {"notcapable": nothing}
        return self.end.receive(length, peek, self.nonblock)

    def send(self, length):
        if not self.base & RIGHT_WRITE:
            return {"notcapable": nothing}
        return self.end.send(length, self.nonblock)

    def shutdown(self, how):
        if not self.base & (RIGHT_WRITE | world.RIGHT_SHUTDOWN):
            return {"notcapable": nothing}
        return self.end.shutdown(how)


def same_text(which, address):
    return {"success": lambda text: check(text == address, f"the {which} address is {text}, not {address}")}


def is_loopback(address):
    return re.fullmatch(r"127\.0\.0\.1:[1-9][0-9]*", address) is not None


# ---- a guest ----

class Table:
    """A guest's descriptors: a new one gets the lowest number that is free."""

    FIRST = 3

    def __init__(self, protocols, used):
        self.objects = {fd: Protocol(name, name in used) for name, fd in protocols.items()}

    def add(self, fd, descriptor):
        lowest = next(n for n in range(self.FIRST, 1 << 20) if n not in self.objects)
        check(fd == lowest, f"a new descriptor is {fd}, and {lowest} is free")
        self.objects[fd] = descriptor

    def close(self, fd):
        self.objects.pop(fd).close()

    def renumber(self, source, target):
        if source == target:
            return
        self.objects[target].close()
        self.objects[target] = self.objects.pop(source)

    def of_kind(self, *kinds):
        return [fd for fd, descriptor in sorted(self.objects.items()) if not kinds or descriptor.kind in kinds]

    def close_all(self):
        """The process ends, or its guest."""
        for fd in self.of_kind():
            self.close(fd)
