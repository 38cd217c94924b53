# SPDX-License-Identifier: Apache-2.0
"""What the machines of all families have in common: how a call is made and compared, polls, the steps that any descriptor takes, and what befalls guests.

The machine of a family (streams.py, datagrams.py, quic.py) adds its own steps, and hypothesis chooses among all of them.
"""
import sys
import time

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import world
from model import Connection, Control, Difference, Stream, Table, NO, YES, check, nothing
from preopened import Preopened
from world import DEADLINE, NONBLOCK, READ, WRITE, RIGHTS_CONTROL, RIGHTS_STREAM, Request

WHO = st.sampled_from(world.World.NAMES)
PICK = st.integers(0, 63)
FLAGS = st.sampled_from([NONBLOCK, 0])
HOW = st.sampled_from([READ, WRITE, READ | WRITE])
# One right less of all that there are, mostly none.
CONTROL_RIGHTS = st.sampled_from([RIGHTS_CONTROL] * 5 + [RIGHTS_CONTROL & ~right for right in (world.RIGHT_ACCEPT, world.RIGHT_CONNECT, world.RIGHT_LISTEN)])
BELOW_RIGHTS = st.sampled_from([RIGHTS_STREAM] * 5 + [RIGHTS_STREAM & ~right for right in (world.RIGHT_READ, world.RIGHT_WRITE)])

RIGHTS_ALL = RIGHTS_CONTROL | RIGHTS_STREAM | world.RIGHT_BIND
BACKLOG = 16
PROTOCOLS_MAX = 7  # of a guest; others would only be in the way of each other

# Functions that are for one kind of descriptor: what is not of it is told so.
FOR_ONE_KIND = {
    "open": ("protocol", lambda fd: world.request_open(fd, world.UNBOUND, world.TYPE_STREAM, RIGHTS_CONTROL, RIGHTS_STREAM, 0)),
    "protocol_restrict": ("protocol", lambda fd: world.request_restrict(fd, "", RIGHTS_CONTROL, RIGHTS_STREAM)),
    "listen": ("control", lambda fd: Request("listen", fd, 1)),
    "accept": ("control", lambda fd: world.made("accept", fd)),
    "connect": ("control", lambda fd: world.request_connect(fd, world.DENIED)),
    "sock_accept": ("control", lambda fd: world.made("sock_accept", fd, 0)),
    "stream_create": ("connection", lambda fd: world.made("stream_create", fd, RIGHTS_STREAM, 0, 0)),
    "stream_accept": ("connection", lambda fd: world.made("stream_accept", fd)),
    "sock_recv": ("stream", lambda fd: world.request_receive(fd, 16, 0)),
    "sock_send": ("stream", lambda fd: world.request_send(fd, b"hello")),
    "sock_shutdown": ("stream", lambda fd: Request("sock_shutdown", fd, READ | WRITE)),
    "get_option": ("stream", lambda fd: world.request_get_option(fd, world.OPTION_ERROR)),
    "set_option": ("stream", lambda fd: Request("set_option", fd, world.OPTION_KEEPALIVE, 1)),
}

MADE = ("control", "connection", "stream")


def needs(*kinds):
    """A step that needs a descriptor of these kinds."""
    return precondition(lambda self: self.has(*kinds))


class Blocked:
    """A call that has not come back. ready(): whether what it waits for is there."""

    def __init__(self, request, outcomes, ready):
        self.request, self.outcomes, self.ready = request, outcomes, ready


class Machine(RuleBasedStateMachine):
    """The rules are the steps of a trace. A step for which there is no descriptor, or whose guest waits in a call, does nothing."""

    somebody = None  # the kind of target that there is somebody at, for connect()
    protocols = ()  # the names of those that the family is about
    connection_type = Connection
    has_preopens = None  # who has preopened sockets: one guest, for nobody else can listen there
    place = None  # the world of all traces
    n_calls = 0
    failure = []  # the calls of the last trace that differed, and how

    def __init__(self):
        super().__init__()
        self.place.reload("all")
        self.step = 0
        self.has_restarted = False
        self.calls = []  # what was said
        self.pending = []  # connects without a result
        self.blocked = {}  # who -> Blocked
        self.guests = self.place.guests
        self.before = {who: guest.count_descriptors() for who, guest in self.guests.items()}
        self.tables = {who: self.new_table(who) for who in self.guests}

    def new_table(self, who):
        """A session, and what it begins with."""
        protocols, preopens = self.guests[who].begin(*["preopens"] * (who == self.has_preopens))
        table = Table(protocols, self.protocols)
        door = None
        for name, fd in preopens.items():
            _, flags, base, inheriting = self.ask(who, world.request_fdstat(fd))
            if door:
                check(base == RIGHTS_STREAM, f"{who}: a preopened connection has the rights {base:#x}")
                check(flags == NONBLOCK, f"{who}: a preopened connection has the flags {flags}")
                table.add(fd, Stream(door.connect_preopened(name in world.RELAYED), base, inheriting, flags))
                continue
            check(base & (world.RIGHT_LISTEN | world.RIGHT_ACCEPT | world.RIGHT_CONNECT) == world.RIGHT_LISTEN | world.RIGHT_ACCEPT,
                  f"{who}: a preopened listener has the rights {base:#x}")
            check(flags == NONBLOCK, f"{who}: a preopened listener has the flags {flags}")
            door = Preopened(name, self.place.door, base, inheriting)
            table.add(fd, door)
        for fd in table.of_kind("protocol"):
            _, _, table.objects[fd].base, table.objects[fd].inheriting = self.ask(who, world.request_fdstat(fd))
        return table

    # ---- calls ----

    def say(self, text):
        self.calls.append(text)
        (hypothesis.note if hypothesis.currently_in_test_context() else print)("    # " + text)

    def compare(self, who, request, answer, outcomes):
        """Holds an answer against the model, and does in the model what it means."""
        errno, value = answer
        shown = "" if value is None else f" {len(value)} bytes" if isinstance(value, bytes) else f" {value}"
        self.say(f"{who}: {request.text} -> {errno}{shown}")
        Machine.n_calls += 1
        check(errno in outcomes, f"{who}: {request.text} is {errno}; the model has {' or '.join(outcomes)}")
        outcomes[errno](value)

    def perform(self, who, request, outcomes):
        """A call that does not wait, or not for the other guest."""
        self.compare(who, request, self.guests[who].call(request), outcomes)

    def perform_waiting(self, who, request, outcomes, ready):
        """A call that may wait for the other guest. outcomes and ready are functions: what they say changes meanwhile."""
        if ready() == YES:
            self.perform(who, request, outcomes())
        elif self.other(who) not in self.blocked:
            self.say(f"{who}: {request.text} waits, maybe")
            self.guests[who].start(request)
            self.blocked[who] = Blocked(request, outcomes, ready)

    def ask(self, who, request):
        """A question on the way. Its answer is the caller's."""
        errno, value = self.guests[who].call(request)
        check(errno == "success", f"{who}: {request.text} is {errno}")
        return value

    @invariant()
    def who_waits_is_waked(self):
        """And nobody else comes back from a call that waits."""
        for who, call in list(self.blocked.items()):
            ready = call.ready()
            if ready == YES or self.guests[who].has_answer():
                check(ready != NO, f"{who}: {call.request.text} has come back, and there is nothing that it could return")
                del self.blocked[who]
                self.compare(who, call.request, self.guests[who].finish(call.request), call.outcomes())

    @staticmethod
    def other(who):
        return next(name for name in world.World.NAMES if name != who)

    def has(self, *kinds):
        return any(who not in self.blocked and table.of_kind(*kinds) for who, table in self.tables.items())

    def pick(self, who, n, *kinds):
        """A guest, if possible this one, and a descriptor of these kinds that it has: (who, fd, object). There is one (needs)."""
        if who in self.blocked or not self.tables[who].of_kind(*kinds):
            who = self.other(who)
        self.step += 1
        fds = self.tables[who].of_kind(*kinds)
        fd = fds[n % len(fds)]
        return who, fd, self.tables[who].objects[fd]

    def controls(self):
        return [descriptor for table in self.tables.values() for _, descriptor in sorted(table.objects.items()) if descriptor.kind == "control"]

    def granted(self, verb):
        """Whether the policy in force grants it, where it grants anything of the kind."""
        return self.place.rules in ("all", verb)

    def may(self, protocol, verb, address):
        """Whether policy and protocol grant it, where they grant anything of the kind."""
        return self.granted(verb) and protocol.grants(verb, address)

    # ---- polls ----

    @staticmethod
    def judge(subscription, descriptor, event):
        """Compares an event with what the model says. Returns whether it is as it is to be; False: it may still become so."""
        kind, fd = subscription
        where = f"poll of {descriptor.kind} {fd} for {'read' if kind == READ else 'write'}"
        if descriptor.kind in ("protocol", "unused"):
            check(event == ("notsup", 0, False), f"{where}: {event}")
            return True
        ready, least, most, hangup = descriptor.ready(kind)
        if event is None:
            return ready != YES
        errno, nbytes, hangs_up = event
        check(ready != NO, f"{where}: it is ready, and there is nothing: {event}")
        check(errno == "success" and nbytes <= most, f"{where}: {event}; at most {most} bytes")
        check(hangup != NO or not hangs_up, f"{where}: it hangs up, and nothing has ended")
        return ready != YES or (nbytes >= least and (hangup != YES or hangs_up))

    def poll(self, who, subscriptions):
        """Polls until all is as the model says."""
        objects = self.tables[who].objects
        deadline = time.monotonic() + DEADLINE
        timeout = 0
        while True:
            events = self.ask(who, world.request_poll(subscriptions, timeout))
            wrong = [(subscription, event) for subscription, event in zip(subscriptions, events)
                     if not self.judge(subscription, objects[subscription[1]], event)]
            if not wrong:
                return
            check(time.monotonic() < deadline, f"{who}: poll of {wrong[0][0]}: it stays {wrong[0][1]}; "
                  f"the model has {objects[wrong[0][0][1]].ready(wrong[0][0][0])}")
            timeout = 0.001 if len(wrong) < len(subscriptions) or any(event for _, event in wrong) else 0.1

    def await_ready(self, who, fd, kind):
        """What is sure to come is waited for, so that the next call finds it."""
        if self.tables[who].objects[fd].ready(kind)[0] == YES:
            self.poll(who, [(kind, fd)])

    @rule(who=WHO)
    def poll_all(self, who):
        if who not in self.blocked:
            self.poll(who, [(kind, fd) for fd in self.tables[who].of_kind() for kind in (READ, WRITE)])

    # ---- connects ----

    def finish_connect(self, who, fd, subject, connecting, more):
        """The call that yields the result. more: other outcomes, which leave it without one."""
        def over():
            subject.connect_is_over()
            self.pending.remove(connecting)
            connecting.settle()

        def connected(value):
            over()
            self.connected(who, value, subject, connecting)

        def refused(errno):
            def effect(value):
                over()
            return effect

        outcomes = connecting.outcomes(connected, refused)
        self.perform(who, world.request_connect(fd, connecting.address), {**outcomes, **more})

    def begin_connect(self, who, fd, subject, connecting):
        self.pending.append(connecting)
        subject.begin_connect(connecting)
        if subject.nonblock:
            self.perform(who, world.request_connect(fd, connecting.address), {"inprogress": nothing})
        else:
            self.finish_connect(who, fd, subject, connecting, {})

    def connected(self, who, fd, subject, connecting):
        """The effect of a connect that succeeds: fd is the new connection's."""
        raise NotImplementedError

    @precondition(lambda self: self.pending)
    @rule(pending=PICK, wait=st.booleans(), other=st.booleans())
    def connect_again(self, pending, wait, other):
        subject = self.pending[pending % len(self.pending)].source
        who, fd = next((who, fd) for who, table in self.tables.items() for fd, descriptor in table.objects.items() if descriptor is subject)
        if who in self.blocked or not subject.is_connecting or not subject.base & world.RIGHT_CONNECT or subject.ready(WRITE)[0] != YES:
            return
        connecting = subject.connecting
        if other and connecting.address != world.DENIED:
            self.perform(who, world.request_connect(fd, world.DENIED), {"already": nothing, **subject.ended_too()})
            return
        if wait:
            self.await_ready(who, fd, WRITE)
        self.finish_connect(who, fd, subject, connecting, {"already": nothing} if subject.nonblock and not wait else {})

    # ---- peers ----

    @needs("control")
    @rule(who=WHO, control=PICK)
    def listen(self, who, control):
        who, fd, subject = self.pick(who, control, "control")
        was = subject.state
        self.perform(who, Request("listen", fd, BACKLOG), subject.listen(self.may(subject.protocol, "listen", subject.address)))
        if was != subject.state:
            for connecting in self.pending:
                connecting.disturb(subject)

    def accept_with(self, who, control, request_of, make):
        """accept and sock_accept. make(end, control): the descriptor that the call yields."""
        who, fd, subject = self.pick(who, control, "control")

        def effect(new):
            end = subject.take(self.ask(who, world.text_of("remote_address", new)))
            self.accepted(end)
            self.tables[who].add(new, make(end, subject))

        request = request_of(fd)
        if subject.waits_for_peers() and not subject.nonblock:
            self.perform_waiting(who, request, lambda: subject.accept(effect), subject.acceptable)
            return
        if subject.arrived and subject.state == Control.LISTENING:
            self.await_ready(who, fd, READ)
        self.perform(who, request, subject.accept(effect))

    @needs("control")
    @rule(who=WHO, control=PICK)
    def accept(self, who, control):
        self.accept_with(who, control, lambda fd: world.made("accept", fd), lambda end, parent: self.connection_type(end, parent.inheriting))

    @needs("control")
    @rule(who=WHO, control=PICK, flags=FLAGS)
    def sock_accept(self, who, control, flags):
        def make(end, parent):
            rights = parent.inheriting & RIGHTS_STREAM
            return Stream(end, rights, rights, flags)

        self.accept_with(who, control, lambda fd: world.made("sock_accept", fd, flags), make)

    def accepted(self, end):
        """An accept has yielded that end."""

    # ---- narrower protocols ----

    def narrowing(self, protocol, kind):
        """The rules of a kind, and what they leave: grants(verb, address), None where they are none."""
        pattern = self.place.unix_names if protocol.is_unix else "127.0.0.1:*"
        both = self.place.lines(("connect", "listen"), pattern)
        taken = [other.address for other in self.controls() if other.state == Control.LISTENING and other.protocol.is_unix == protocol.is_unix]
        if kind == "as they are":
            return None, None
        if kind == "one less" and taken:
            return f"{both}\nDeny={taken[0]}", lambda verb, address: address != taken[0]
        if kind in ("connect", "listen"):
            return self.place.lines([kind], pattern), lambda verb, address: verb == kind
        return ("", lambda verb, address: False) if kind == "nothing" else (both, lambda verb, address: True)

    @needs("protocol")
    @rule(who=WHO, protocol=PICK, bound=st.booleans(), kind=st.sampled_from(["as they are", "nothing", "connect", "listen", "both", "one less", "no rules"]),
          base=st.sampled_from([RIGHTS_ALL] * 4 + [RIGHTS_ALL & ~world.RIGHT_BIND]), inheriting=st.sampled_from(
              [RIGHTS_ALL] * 4 + [RIGHTS_ALL & ~right for right in (world.RIGHT_LISTEN, world.RIGHT_ACCEPT, world.RIGHT_CONNECT, world.RIGHT_READ)]))
    def restrict(self, who, protocol, kind, base, inheriting, bound):
        """Makes a narrower one, and tries what it leaves."""
        who, fd, subject = self.pick(who, protocol, "protocol")
        if len(self.tables[who].of_kind("protocol")) >= PROTOCOLS_MAX:
            return
        if kind == "no rules":
            self.perform(who, world.request_restrict(fd, world.NO_RULES, base, inheriting), {"inval": nothing})
            return
        rules, grants = self.narrowing(subject, kind)
        narrower = subject.narrow(grants, base, inheriting)
        self.perform(who, world.request_restrict(fd, rules, base, inheriting), {"success": lambda new: self.tables[who].add(new, narrower)})
        self.open(who, self.index(who, narrower, "protocol"), bound, 0, RIGHTS_CONTROL, RIGHTS_STREAM)
        for fd in self.tables[who].of_kind("control"):
            control = self.tables[who].objects[fd]
            if control.protocol is narrower:
                self.connect(who, self.index(who, control, "control"), self.somebody, 0)

    def index(self, who, descriptor, kind):
        """Which of its kind it is, as pick() counts."""
        objects = self.tables[who].objects
        return next(i for i, fd in enumerate(self.tables[who].of_kind(kind)) if objects[fd] is descriptor)

    @needs("protocol")
    @rule(who=WHO, protocol=PICK)
    def close_protocol(self, who, protocol):
        """What was made of it goes on, and holds no broker: what is bound to nothing ends with the one that there is."""
        who, fd, subject = self.pick(who, protocol, "protocol")
        # Whether what was lost with a broker has been found again before, nobody can say.
        if subject.is_narrower and not (self.has_restarted and any(control.protocol is subject and not control.is_bound for control in self.controls())):
            self.perform(who, Request("fd_close", fd), {"success": lambda value: self.tables[who].close(fd)})

    # ---- connections and streams ----

    @needs("connection")
    @rule(who=WHO, connection=PICK, flags=FLAGS, rights=BELOW_RIGHTS)
    def stream_create(self, who, connection, flags, rights):
        who, fd, subject = self.pick(who, connection, "connection")

        def made(new):
            subject.stream = Stream(subject.end, rights, rights, flags)
            self.tables[who].add(new, subject.stream)

        self.perform(who, world.made("stream_create", fd, rights, rights, flags), subject.make_stream(rights, made))

    @needs("connection")
    @rule(who=WHO, connection=PICK)
    def stream_accept(self, who, connection):
        who, fd, subject = self.pick(who, connection, "connection")

        def made(new):
            rights = subject.inheriting & RIGHTS_STREAM
            subject.stream = Stream(subject.end, rights, rights, 0)
            self.tables[who].add(new, subject.stream)

        self.perform(who, world.made("stream_accept", fd), subject.make_stream(None, made))

    @needs("stream")
    @rule(who=WHO, stream=PICK, how=HOW)
    def shutdown(self, who, stream, how):
        who, fd, subject = self.pick(who, stream, "stream")
        self.perform(who, Request("sock_shutdown", fd, how), subject.shutdown(how))

    # ---- any descriptor ----

    @needs(*MADE)
    @rule(who=WHO, descriptor=PICK)
    def close(self, who, descriptor):
        who, fd, subject = self.pick(who, descriptor, *MADE)
        self.disturb(subject)
        self.perform(who, Request("fd_close", fd), {"success": lambda value: self.tables[who].close(fd)})

    def disturb(self, subject):
        """What is under way to a control that goes is uncertain from now on."""
        for connecting in self.pending:
            connecting.disturb(subject)
        self.pending = [connecting for connecting in self.pending if connecting.source is not subject]

    @needs(*MADE)
    @rule(who=WHO, source=PICK, onto=PICK)
    def renumber(self, who, source, onto):
        who, first, _ = self.pick(who, source, *MADE)
        who, second, subject = self.pick(who, onto, *MADE)
        if first != second:
            self.disturb(subject)
        self.perform(who, Request("fd_renumber", first, second), {"success": lambda value: self.tables[who].renumber(first, second)})

    @needs(*MADE)
    @rule(who=WHO, descriptor=PICK, flags=FLAGS)
    def set_flags(self, who, descriptor, flags):
        who, fd, subject = self.pick(who, descriptor, *MADE)
        self.perform(who, Request("fd_fdstat_set_flags", fd, flags), {"success": lambda value: setattr(subject, "flags", flags)}
                     if subject.base & world.RIGHT_SET_FLAGS else {"notcapable": nothing})

    @needs("protocol")
    @rule(who=WHO, descriptor=PICK, give_up=st.booleans(), right=st.sampled_from([
        world.RIGHT_READ, world.RIGHT_WRITE, world.RIGHT_ACCEPT, world.RIGHT_CONNECT, world.RIGHT_SET_FLAGS, world.RIGHT_BIND]))
    def set_rights(self, who, descriptor, right, give_up):
        """Gives one right up, or asks for one more than there are. Not of the protocols that everything else begins with."""
        who, fd, subject = self.pick(who, descriptor, "protocol", *MADE)
        if subject.kind == "protocol" and not subject.is_narrower:
            return
        base, inheriting = (subject.base & ~right, subject.inheriting & ~right) if give_up else (subject.base | right, subject.inheriting)

        def given_up(value):
            subject.base, subject.inheriting = base, inheriting

        outcomes = {"notcapable": nothing} if base & ~subject.base else {"success": given_up}
        self.perform(who, Request("fd_fdstat_set_rights", fd, base, inheriting), outcomes)

    @needs("protocol")
    @rule(who=WHO, descriptor=PICK)
    def inspect(self, who, descriptor):
        who, fd, subject = self.pick(who, descriptor)
        self.perform(who, world.text_of("local_address", fd), subject.local_address())
        self.perform(who, world.text_of("remote_address", fd), subject.remote_address())
        filetype, flags, base, inheriting = self.ask(who, world.request_fdstat(fd))
        check((filetype, flags) == (subject.filetype, subject.flags), f"{who}: fdstat of {fd}: type {filetype}, flags {flags}")
        check(subject.base is None or (base, inheriting) == (subject.base, subject.inheriting), f"{who}: fdstat of {fd}: rights {base:#x} {inheriting:#x}")

    @rule(who=WHO, name=st.sampled_from(sorted(FOR_ONE_KIND)), descriptor=PICK)
    def misuse(self, who, name, descriptor):
        """A function on what it is not for, or on no descriptor."""
        if who in self.blocked:
            return
        kind, request_of = FOR_ONE_KIND[name]
        subject = self.tables[who].objects.get(descriptor + Table.FIRST)
        if subject is None or subject.kind not in (kind, "unused"):
            self.perform(who, request_of(descriptor + Table.FIRST), {"badf" if subject is None else "notsup": nothing})

    # ---- what befalls them ----

    @rule(rules=st.sampled_from(["all"] * 3 + ["connect", "listen"]))
    def reload(self, rules):
        if rules == self.place.rules:
            return
        self.say(f"the policy grants: {rules}")
        self.place.reload(rules)
        self.reloaded()
        for connecting in self.pending:
            connecting.uncertain = True
        if not self.granted("listen"):
            for control in self.controls():
                if control.is_bound and not control.is_preopened:
                    control.forfeit()

    def reloaded(self):
        """Another policy is in force."""
        raise NotImplementedError

    @precondition(lambda self: self.step > 10)
    @rule(kill=st.booleans())
    def restart(self, kill):
        """Another broker. Nothing changes; a connect may have been asked for twice."""
        self.say(f"the broker is {'killed' if kill else 'ended'}, and another one started")
        self.place.restart(kill)
        self.has_restarted = True
        for connecting in self.pending:
            connecting.uncertain = True
        for control in self.controls():
            if control.protocol.is_closed and not control.is_bound:
                control.forfeit()
        self.restarted()

    def restarted(self):
        """Another broker serves."""

    @precondition(lambda self: self.step > 15)
    @rule(who=WHO, kill=st.booleans())
    def leave(self, who, kill):
        """A guest's process ends, or its guest alone, and there is another one."""
        if who in self.blocked and not kill:
            return
        for fd in self.tables[who].of_kind():
            self.disturb(self.tables[who].objects[fd])
        if kill:
            self.say(f"{who}: is killed")
            self.place.replace_guest(who)
            self.blocked.pop(who, None)
        else:
            self.say(f"{who}: ends")
            self.end_guest(who)
        self.tables[who].close_all()
        self.before[who] = self.guests[who].count_descriptors()
        self.tables[who] = self.new_table(who)

    # ---- the end ----

    def end_guest(self, who):
        self.guests[who].end()
        left = self.guests[who].count_descriptors()
        check(left == self.before[who], f"{who}: {left} descriptors are left of {self.before[who]}")

    def teardown(self):
        error = sys.exc_info()[1]
        if isinstance(error, (Difference, world.Broken)):
            Machine.failure = [*self.calls, f"{type(error).__name__}: {error}"]
            for who in self.guests:
                self.place.replace_guest(who)
            return
        for who, guest in self.guests.items():
            if who in self.blocked:
                self.place.replace_guest(who)
            else:
                self.end_guest(who)
        self.place.await_nobody()
