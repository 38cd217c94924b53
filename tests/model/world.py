# SPDX-License-Identifier: Apache-2.0
"""What a trace runs against: the real netbrokerd with its keeper and relays, and guests that do what they are told (guest.c).

Nothing is guessed here: daemons say when they are ready or have read their policy again (sd_notify), and whoever waits, waits for an event with a deadline.
"""
import errno
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

DEADLINE = 10  # seconds that anything may take which takes a moment

ERRNOS = """success 2big access addrinuse addrnotavail afnosupport again already badf badmsg busy canceled child connaborted connrefused connreset
deadlk destaddrreq dom dquot exist fault fbig hostunreach idrm ilseq inprogress intr inval io isconn isdir loop mfile mlink msgsize multihop
nametoolong netdown netreset netunreach nfile nobufs nodev noent noexec nolck nolink nomem nomsg noprotoopt nospc nosys notconn notdir notempty
notrecoverable notsock notsup notty nxio overflow ownerdead perm pipe proto protonosupport prototype range rofs spipe srch stale timedout txtbsy
xdev notcapable""".split()

RIGHT_READ, RIGHT_SET_FLAGS, RIGHT_WRITE, RIGHT_FILESTAT = 1 << 1, 1 << 3, 1 << 6, 1 << 21
RIGHT_BIND = 1 << 32
RIGHT_POLL, RIGHT_SHUTDOWN, RIGHT_ACCEPT, RIGHT_CONNECT, RIGHT_LISTEN = 1 << 27, 1 << 28, 1 << 29, 1 << 30, 1 << 31
RIGHTS_CONNECTION = RIGHT_SET_FLAGS | RIGHT_FILESTAT | RIGHT_POLL
RIGHTS_STREAM = RIGHTS_CONNECTION | RIGHT_READ | RIGHT_WRITE | RIGHT_SHUTDOWN
RIGHTS_CONTROL = RIGHTS_CONNECTION | RIGHT_ACCEPT | RIGHT_CONNECT | RIGHT_LISTEN

NONBLOCK = 4
TYPE_DATAGRAM, TYPE_STREAM = 5, 6
PEEK = 1
READ, WRITE = 1, 2  # shutdown's directions; a poll's types of subscriptions too

# Where in the guest's memory things are.
RET, IOVEC, TEXT, SUBSCRIPTIONS, EVENTS, BUFFER = 64, 128, 512, 1024, 8192, 16384
BUFFER_SIZE = 65536
TEXT_MAX = 512

UNBOUND = "0.0.0.0:0"
DENIED = "127.0.0.2:9"
MALFORMED = "127.0.0.1"
NO_RULES = "Connect"

OPTION_ERROR, OPTION_NODELAY, OPTION_KEEPALIVE, OPTION_KEEPIDLE, OPTION_KEEPINTVL, OPTION_KEEPCNT, OPTION_USER_TIMEOUT = range(1, 8)


class Broken(Exception):
    """A process that ended, or said something that is no answer."""


class Request:
    """One call: its words, and what its answer is made of. read(bytes, ...) makes the value of a call that succeeded."""

    def __init__(self, name, *arguments, puts=(), gets=(), read=lambda *parts: None):
        self.text = f"{name}({', '.join(map(str, arguments))})"
        self.words = [name, *map(str, arguments)]
        self.words += [f"@{address}={data.hex()}" for address, data in puts if data]
        self.words += [f"{address}:{length}" for address, length in gets]
        self.read = read


def u32(data):
    return struct.unpack("<I", data)[0]


def made(name, *arguments, **more):
    """A call that makes a descriptor, whose number is its value."""
    return Request(name, *arguments, RET, gets=[(RET, 4)], read=u32, **more)


def text_of(name, fd):
    return Request(name, fd, TEXT, TEXT_MAX, RET, gets=[(RET, 4), (TEXT, TEXT_MAX)],
                   read=lambda length, data: data[:u32(length)].decode())


def one_part(length):
    return (IOVEC, struct.pack("<II", BUFFER, length))


def request_open(protocol, address, filetype, base, inheriting, flags):
    address = address.encode()
    return made("open", protocol, TEXT, len(address), filetype, base, inheriting, flags, puts=[(TEXT, address)])


def request_restrict(protocol, rules, base, inheriting):
    """rules: None: no word about them."""
    text = (rules or "").encode()
    return made("protocol_restrict", protocol, 0 if rules is None else TEXT, len(text), base, inheriting, puts=[(TEXT, text)])


def request_connect(control, address):
    address = address.encode()
    return made("connect", control, TEXT, len(address), puts=[(TEXT, address)])


def request_receive(fd, length, flags):
    return Request("sock_recv", fd, IOVEC, 1, flags, RET, RET + 4, puts=[one_part(length)], gets=[(RET, 4), (BUFFER, length)],
                   read=lambda size, data: data[:u32(size)])


def request_receive_datagram(fd, length, flags):
    """Its value: the bytes, and whether there were more."""
    return Request("sock_recv", fd, IOVEC, 1, flags, RET, RET + 4, puts=[one_part(length)], gets=[(RET, 6), (BUFFER, length)],
                   read=lambda result, data: (data[:u32(result[:4])], bool(result[4] & 1)))


def request_get_option(fd, option):
    return Request("get_option", fd, option, RET, gets=[(RET, 4)], read=u32)


def request_send(fd, data):
    return Request("sock_send", fd, IOVEC, 1, 0, RET, puts=[one_part(len(data)), (BUFFER, data)], gets=[(RET, 4)], read=u32)


def request_fdstat(fd):
    return Request("fd_fdstat_get", fd, RET, gets=[(RET, 24)], read=lambda data: struct.unpack("<BxHxxxxQQ", data))


def request_poll(subscriptions, timeout):
    """subscriptions: (READ or WRITE, fd). Its value: for each the event (errno, nbytes, hangup), or None. timeout: seconds."""
    data = b"".join(struct.pack("<QBxxxxxxxI28x", i, kind, fd) for i, (kind, fd) in enumerate(subscriptions))
    data += struct.pack("<QBxxxxxxxIxxxxQQHxxxxxx", len(subscriptions), 0, 1, int(timeout * 1e9), 0, 0)

    def read(count, events):
        found = [None] * (len(subscriptions) + 1)
        for i in range(u32(count)):
            userdata, error, kind, nbytes, flags = struct.unpack_from("<QHBxxxxxQHxxxxxx", events, 32 * i)
            if found[userdata] is not None or kind not in (0, READ, WRITE):
                raise Broken(f"the poll has two events of one subscription, or one of no type: {events.hex()}")
            found[userdata] = (ERRNOS[error], nbytes, bool(flags & 1))
        return found[:-1]

    n = len(subscriptions) + 1
    return Request("poll_oneoff", SUBSCRIPTIONS, EVENTS, n, RET, puts=[(SUBSCRIPTIONS, data)], gets=[(RET, 4), (EVENTS, 32 * n)], read=read)


class Notifications:
    """Where a daemon says how it is."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("")  # the kernel chooses an abstract name
        self.socket.settimeout(DEADLINE)
        self.name = "@" + self.socket.getsockname()[1:].decode()

    def expect(self, text):
        while text not in self.socket.recv(4096).decode().split("\n"):
            pass


class Daemon:
    """A program that says READY=1. It ends with this one, however that ends."""

    def __init__(self, argv, log):
        notifications = Notifications()
        with open(log, "ab") as output:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                                            env={**os.environ, "NOTIFY_SOCKET": notifications.name})
        self.notifications = notifications
        notifications.expect("READY=1")

    def end(self, kill=False):
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        status = self.process.wait(DEADLINE)
        if not kill and status != 0:
            raise Broken(f"{self.process.args[3]} ended with status {status}")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)
        self.notifications.expect("RELOADING=1")
        self.notifications.expect("READY=1")

    def count_descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class RelaySocket:
    """Starts a relay for each connection to a socket, as systemd does it: so relays outlive the broker."""

    def __init__(self, path, log):
        self.path, self.log = path, log
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        relays = []
        while True:
            connection, _ = self.listener.accept()
            with open(self.log, "ab") as output, connection:
                relays.append(subprocess.Popen(["/bin/sh", "-c", 'exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$NETBROKER_RELAY"'],
                                               stdin=connection, stdout=output, stderr=output, start_new_session=True))
            relays = [relay for relay in relays if relay.poll() is None]


class Guest:
    """A process of guest.c."""

    def __init__(self, program, socket_path, log):
        self.log = log
        with open(log, "ab") as output:
            self.process = subprocess.Popen([program, socket_path, "acme"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
                                            bufsize=0)
        self.rest = b""

    def send(self, *words):
        self.process.stdin.write(" ".join(words).encode() + b"\n")

    def has_answer(self):
        return b"\n" in self.rest or bool(select.select([self.process.stdout], [], [], 0)[0])

    def receive(self):
        """The next answer's words. Waits for it."""
        deadline = time.monotonic() + DEADLINE
        while b"\n" not in self.rest:
            if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Broken("the call has not come back")
            data = self.process.stdout.read(1 << 20)
            if not data:
                raise Broken(f"the guest's process has ended with status {self.process.wait()}; {self.log} has its last words")
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode().split(" ")

    def ask(self, *words):
        self.send(*words)
        return self.receive()

    def begin(self, *words):
        """Opens a session. words: "preopens" if there are to be some. Returns its protocols and its preopened sockets, name -> descriptor."""
        deadline = time.monotonic() + DEADLINE
        answer = self.ask("begin", *words)
        while answer[0] == str(-errno.EADDRINUSE) and time.monotonic() < deadline:
            answer = self.ask("begin", *words)  # the broker has not seen the end of the guest before
        if answer[0] != "0":
            raise Broken(f"no session: {answer[0]}")
        return [{name: int(fd) for name, fd in (pair.split("=") for pair in text.split(":") if pair)} for text in answer[1:]]

    def start(self, request):
        self.send("call", *request.words)

    def finish(self, request):
        """Returns the errno's name and the value of the call that was started."""
        error, *parts = self.receive()
        if not error.isdigit() or int(error) >= len(ERRNOS):
            raise Broken(f"{request.text} answers {error}")
        name = ERRNOS[int(error)]
        return name, request.read(*map(bytes.fromhex, parts)) if name == "success" else None

    def call(self, request):
        self.start(request)
        return self.finish(request)

    def end(self):
        self.ask("end")

    def count_descriptors(self):
        return int(self.ask("count")[0])

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


POLICY = """[Tenant]
Name=acme
User={user}
ExplainDenials=yes
[Protocol direct]
Family=ip
SocketTypes=stream dgram
DataPath=direct
{rules}{idle_timeout}
[Protocol relayed]
Family=ip
SocketTypes=stream dgram
DataPath=relay
{rules}{idle_timeout}
[Protocol unix]
Family=unix
DataPath=direct
{unix_rules}
[Protocol unix-relayed]
Family=unix
SocketTypes=stream dgram
DataPath=relay
{unix_rules}{idle_timeout}
[Protocol quic]
Family=quic
TLSALPN=model
IdleTimeout=10min
{rules}
{certificates}
[Preopen door]
Listen={door}
DataPath=direct
[Preopen line]
Connect={door}
Nonblock=yes
DataPath=direct
[Preopen relayed-line]
Connect={door}
Nonblock=yes
DataPath=relay
"""
RELAYED = ("relayed", "unix-relayed", "relayed-line")  # the protocols and preopened sockets whose bytes a relay carries
UNIX = ("unix", "unix-relayed", "door")
RULES = {  # what is granted, and the verbs for it
    "all": ("connect", "listen"),
    "connect": ("connect",),
    "listen": ("listen",),
}


class World:
    """The folder, the daemons and two guests' processes, which traces use one after the other."""

    NAMES = ("server", "client")

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="netbroker-model-")
        os.mkdir(self.path("policy"))
        os.mkdir(self.path("sockets"))
        self.n_names = 0
        self.make_certificates()
        self.keeper = Daemon([os.environ["NETBROKER_KEEPER"], "--socket", self.path("keeper.sock")], self.path("log"))
        RelaySocket(self.path("relay.sock"), self.path("log"))
        self.rules = None
        self.write_policy("all")
        self.start_broker()
        self.guests = {name: self.new_guest() for name in self.NAMES}
        self.resident = self.new_guest()
        self.nobody = self.hold_port()
        self.warm_up()
        self.baseline = self.settled_descriptors()

    def path(self, name):
        return os.path.join(self.folder, name)

    def make_certificates(self):
        """An authority, and a server at 127.0.0.1."""
        def make(name, *options):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                            "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem"), *options], check=True, capture_output=True)
        make("root")
        make("server", "-CA", self.path("root.pem"), "-CAkey", self.path("root.key"), "-addext", "basicConstraints=critical,CA:FALSE",
             "-addext", "keyUsage=digitalSignature", "-addext", "extendedKeyUsage=serverAuth", "-addext", "subjectAltName=IP:127.0.0.1")

    def write_policy(self, rules):
        self.rules = rules
        verbs = RULES[rules]
        certificates = "\n".join({"connect": f"TLSTrust={self.path('root.pem')}",
                                  "listen": f"TLSCertificate={self.path('server.pem')} {self.path('server.key')}"}[verb] for verb in verbs)
        with open(self.path("policy/acme.conf"), "w", encoding="ascii") as file:
            file.write(POLICY.format(user=os.getuid(), certificates=certificates, rules=self.lines(verbs, "127.0.0.1:*"), door=self.door,
                                     unix_rules=self.lines(verbs, self.unix_names), idle_timeout="\nIdleTimeout=10min" * ("listen" in verbs)))

    @staticmethod
    def lines(verbs, pattern):
        return "\n".join(f"{verb.capitalize()}={pattern}" for verb in verbs)

    @property
    def unix_names(self):
        """A pattern of all that new_unix_name() makes."""
        return f"{self.path('sockets')}/*.sock @{os.path.basename(self.folder)}-*"

    @property
    def door(self):
        """Where the preopened listener of the server is."""
        return f"@{os.path.basename(self.folder)}-door"

    def new_unix_name(self, abstract):
        """One that nothing has had before."""
        self.n_names += 1
        return f"@{os.path.basename(self.folder)}-{self.n_names}" if abstract else f"{self.path('sockets')}/{self.n_names}.sock"

    def start_broker(self):
        self.broker = Daemon([os.environ["NETBROKERD"], "--policy", self.path("policy"), "--socket", self.path("session.sock"),
                              "--keeper", self.path("keeper.sock"), "--relay-socket", self.path("relay.sock"),
                              "--audit", self.path("audit"), "--log-level", "info"], self.path("log"))

    def hold_port(self):
        """Returns an address of UDP at which nobody hears anything, until the end: its socket has another peer, which is itself."""
        self.held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.held.bind(("127.0.0.1", 0))
        self.held.connect(self.held.getsockname())
        return "127.0.0.1:%d" % self.held.getsockname()[1]

    def new_guest(self):
        return Guest(os.path.join(os.environ["BUILDDIR"], "tests/model/guest"), self.path("session.sock"), self.path("log"))

    def warm_up(self):
        """A guest that stays, and that has had a relayed connection: what the tenant has for itself is there from now on."""
        guest = self.resident
        protocol = guest.begin()[0]["relayed"]
        _, server = guest.call(request_open(protocol, "127.0.0.1:0", TYPE_STREAM, RIGHTS_CONTROL, RIGHTS_STREAM, 0))
        _, client = guest.call(request_open(protocol, UNBOUND, TYPE_STREAM, RIGHTS_CONTROL, RIGHTS_STREAM, 0))
        guest.call(Request("listen", server, 1))
        made_by_both = [guest.call(request_connect(client, guest.call(text_of("local_address", server))[1])), guest.call(made("accept", server))]
        if [errno for errno, _ in made_by_both] != ["success", "success"]:
            raise Broken(f"no relayed connection: {made_by_both}")
        for fd in [client, server] + [fd for _, fd in made_by_both]:
            guest.call(Request("fd_close", fd))

    def replace_guest(self, name):
        self.guests[name].kill()
        self.guests[name] = self.new_guest()

    def reload(self, rules):
        if rules != self.rules:
            self.write_policy(rules)
            self.broker.reload()

    def restart(self, kill):
        self.broker.end(kill)
        self.start_broker()

    def settled_descriptors(self):
        """The broker's descriptors once they have stopped becoming fewer. Read too early, they are too many, which only makes await_nobody() lenient."""
        least, since = self.broker.count_descriptors(), 0
        while since < 20:
            select.select([], [], [], 0.005)
            now = self.broker.count_descriptors()
            least, since = min(least, now), 0 if now < least else since + 1
        return least

    def await_nobody(self):
        """Waits until the broker has nothing left of its guests."""
        deadline = time.monotonic() + DEADLINE
        while self.broker.count_descriptors() > self.baseline:
            select.select([], [], [], 0.001)
            if time.monotonic() > deadline:
                raise Broken(f"netbrokerd has {self.broker.count_descriptors()} descriptors, and {self.baseline} without guests")

    def read_log(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        for guest in [*self.guests.values(), self.resident]:
            guest.kill()
        self.broker.end()
        self.keeper.end(kill=True)
        shutil.rmtree(self.folder)
