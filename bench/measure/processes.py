# SPDX-License-Identifier: Apache-2.0
"""Starting, placing and ending the processes that are measured.

Every process is pinned to a set of cores when it starts, so that all variants are placed the same way. Waiting for one
is always waiting for something it does, with a deadline; ending one is by its own process id.
"""

import os
import resource
import select
import socket
import subprocess
import time

DEADLINE = 20.0  # seconds for anything that should take a moment
ROUND_DEADLINE = 300.0
DESCRIPTORS = 524288  # what systemd gives units, and what README asks for
SESSION_DESCRIPTORS = 18  # for each session of one tenant: it may have half of the eighth that sessions may be (broker/account.c), and some to spare


class BenchError(Exception):
    """The benchmark cannot go on; the message says why."""


def raise_descriptor_limit():
    """Raises the limit for this process and its children as far as allowed. Returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (DESCRIPTORS, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            return wanted
        except (ValueError, OSError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def sessions_at_most(descriptors):
    """How many sessions one tenant can have of a broker with that limit."""
    return descriptors // SESSION_DESCRIPTORS


def cores():
    """The first two cores that may be used, each as a set; the same one twice where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return {allowed[0]}, {allowed[min(1, len(allowed) - 1)]}


def free_port():
    """A port of 127.0.0.1 that was free a moment ago; who uses it must be ready to try again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _place(cpus, cgroup):
    """Puts the caller on a set of cores, and into a control group where there is one."""
    os.sched_setaffinity(0, cpus)
    if cgroup:
        with open(os.path.join(cgroup, "cgroup.procs"), "w", encoding="ascii") as procs:
            procs.write("0")


class Process:
    """A child on a set of cores, ended with the `Processes` that it belongs to. `cgroup` is the folder of its control group, if that is another one."""

    def __init__(self, arguments, cpus, log, cgroup=None, **options):
        self.name = os.path.basename(arguments[0])
        self.log_path = log
        with open(log, "ab") as errors:
            self.popen = subprocess.Popen(
                arguments,
                stderr=errors,
                preexec_fn=lambda: _place(cpus, cgroup),
                **options,
            )
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def failure(self, what):
        """An error that shows what the process said last."""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            said = log.read().strip().splitlines()[-5:]
        return BenchError(f"{self.name}: {what}" + "".join(f"\n    {line}" for line in said))

    def wait_until(self, condition, what):
        """Waits until `condition()` holds, while the process lives."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            if not self.alive():
                raise self.failure(f"ended with {self.popen.returncode} instead of {what}")
            if time.monotonic() > deadline:
                raise self.failure(f"not {what} within {DEADLINE:.0f} s")
            time.sleep(0.01)
        return self

    def stop(self):
        if self.popen.stdin:
            self.popen.stdin.close()
        if self.alive():
            self.popen.terminate()
        try:
            self.popen.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        if self.popen.stdout:
            self.popen.stdout.close()


class Program(Process):
    """One of bench/*.c: says "ready", then answers each line with nanoseconds (bench/common.h)."""

    def __init__(self, arguments, cpus, log, cgroup=None, environment=None):
        all_of_it = {**os.environ, **(environment or {})}
        super().__init__(arguments, cpus, log, cgroup, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=all_of_it)
        answer = self._answer(DEADLINE).split()
        if not answer or answer[0] != "ready":
            raise self.failure("not ready")
        self.word = answer[1] if len(answer) > 1 else ""

    def _answer(self, seconds):
        if not select.select([self.popen.stdout], [], [], seconds)[0]:
            raise self.failure(f"no answer within {seconds:.0f} s")
        line = self.popen.stdout.readline().decode()
        if not line:
            self.popen.wait(DEADLINE)
            raise self.failure(f"ended with {self.popen.returncode}")
        return line

    def tell(self, line):
        """Sends a line, whose answer is taken later."""
        self.popen.stdin.write(f"{line}\n".encode())
        self.popen.stdin.flush()

    def answer(self):
        """Waits for the answer to a line, and returns the nanoseconds that it took."""
        return int(self._answer(ROUND_DEADLINE))

    def ask(self, line):
        """Sends a line and returns the nanoseconds that it took."""
        self.tell(line)
        return self.answer()


class Processes:
    """A group of processes that ends together, last started first ended."""

    def __init__(self, bench):
        self.bench = bench
        self.started = []
        self.cgroup = None  # of the programs and brokers that are started next

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            process.stop()

    def add(self, process):
        """Takes a process that is to end with the others. Returns it."""
        self.started.append(process)
        return process

    def _log(self, name):
        return os.path.join(self.bench.folder, f"{name}.log")

    def program(self, cpus, name, *arguments, environment=None):
        """Starts bench/NAME, with more in its environment where that is given."""
        path = os.path.join(self.bench.build, "bench", name)
        if not os.path.exists(path):
            raise BenchError(f"there is no {path}: run `make bench-programs`")
        return self.add(Program([path, *map(str, arguments)], cpus, self._log(name), self.cgroup, environment))

    def bare(self, cpus, cpus_between, address):
        """Starts bench/bare; its helper is placed as what is between."""
        program = self.program(cpus, "bare", address)
        os.sched_setaffinity(int(program.word), cpus_between)
        return program

    def broker(self, cpus, *options, policy=None):
        """Starts netbrokerd with the bench's policy, or another. Returns it with the path of its socket in `path`."""
        path = os.path.join(self.bench.folder, f"{len(self.started)}.sock")
        arguments = [self.bench.netbrokerd, "--socket", path, "--policy", policy or self.bench.policy, *options]
        # What it says about each connection goes to a file, as it would go to the journal.
        process = self.add(Process(arguments, cpus, self._log("netbrokerd"), self.cgroup, stdin=subprocess.DEVNULL))
        process.path = path
        return process.wait_until(lambda: _listens_unix(path), "listening")

    def proxy(self, cpus, name, arguments_for):
        """Starts a program that listens on a port of 127.0.0.1, which `arguments_for(port)` tells it. Returns it with its `address`."""
        for _ in range(5):
            port = free_port()
            process = Process(
                arguments_for(port), cpus, self._log(name), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            try:
                process.wait_until(lambda: _listens_tcp(port), "listening")
            except BenchError as error:
                process.stop()
                failure = error
                continue
            process.address = f"127.0.0.1:{port}"
            return self.add(process)
        raise failure

    def inheritor(self, cpus, arguments, fd):
        """Starts a program that is given a descriptor, by its number here. Returns it."""
        log = self._log(os.path.basename(arguments[0]))
        return self.add(
            Process(arguments, cpus, log, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(fd,))
        )

    def other(self, cpus, arguments):
        """Starts a server that says "port N" when it listens (tests/quic). Returns it with its `port`."""
        process = self.add(
            Process(arguments, cpus, self._log(os.path.basename(arguments[0])), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        )
        if not select.select([process.popen.stdout], [], [], DEADLINE)[0]:
            raise process.failure("says no port")
        words = process.popen.stdout.readline().decode().split()
        if len(words) != 2 or words[0] != "port":
            raise process.failure(f"said {' '.join(words)} instead of its port")
        process.port = int(words[1])
        return process

    def microsocks(self, cpus):
        return self.proxy(cpus, "microsocks", lambda port: ["microsocks", "-i", "127.0.0.1", "-p", str(port)])

    def tinyproxy(self, cpus):
        def arguments(port):
            path = os.path.join(self.bench.folder, "tinyproxy.conf")
            log = os.path.join(self.bench.folder, "tinyproxy.log")
            with open(path, "w", encoding="ascii") as config:
                config.write(f"Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nMaxClients 200\n")
                config.write(f'LogLevel Critical\nLogFile "{log}"\n')
            return ["tinyproxy", "-d", "-c", path]

        return self.proxy(cpus, "tinyproxy", arguments)


def _listens_unix(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(path)
            return True
        except OSError:
            return False


def _listens_tcp(port):
    with socket.socket() as probe:
        try:
            probe.connect(("127.0.0.1", port))
            return True
        except OSError:
            return False
