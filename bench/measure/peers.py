# SPDX-License-Identifier: Apache-2.0
"""The programs that do what a relay does, each with a configuration of its own in the bench's folder.

Each is given one core, TLS 1.3 with one cipher and one group, and its own defaults for buffers; certificates are verified by all
where they are clients.
"""

import os
import shutil
import subprocess

from .processes import BenchError

NAME = "bench.test"
SUITES = {"AES-128-GCM": "TLS_AES_128_GCM_SHA256", "CHACHA20-POLY1305": "TLS_CHACHA20_POLY1305_SHA256"}
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


class Certificates:
    """An authority and a certificate for NAME and 127.0.0.1, ECDSA on P-256, made by openssl."""

    def __init__(self, folder):
        if not shutil.which("openssl"):
            raise BenchError("openssl is not installed: it makes the certificates")
        self.trust, self.trust_key = (os.path.join(folder, name) for name in ("trust.pem", "trust.key"))
        self.chain, self.key = (os.path.join(folder, name) for name in ("chain.pem", "chain.key"))
        self.both = os.path.join(folder, "both.pem")
        self._make("-keyout", self.trust_key, "-out", self.trust, "-subj", "/CN=Bench", "-addext", "keyUsage=keyCertSign")
        self._make(
            "-CA", self.trust, "-CAkey", self.trust_key, "-keyout", self.key, "-out", self.chain, "-subj", "/",
            "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", "extendedKeyUsage=serverAuth,clientAuth",
        )
        with open(self.both, "w", encoding="ascii") as both:
            os.chmod(self.both, 0o600)
            for part in (self.chain, self.key):
                with open(part, encoding="ascii") as text:
                    both.write(text.read())

    @staticmethod
    def _make(*arguments):
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "7",
             *arguments],
            capture_output=True, text=True, check=False,
        )
        if done.returncode != 0:
            raise BenchError(f"openssl: {done.stderr.strip()}")


def missing(role):
    """What is not installed of the programs of a role, as remarks."""
    for name in programs(role):
        if not path_of(name):
            yield f"{name} is not installed: left out"
    if "nginx" in programs(role) and path_of("nginx") and not os.path.exists(STREAM_MODULE):
        yield "libnginx-mod-stream is not installed: nginx is left out"


def programs(role):
    """The names of those that can do it: "client" (plain in, TLS out), "server" (TLS in, plain out), "tcp"."""
    if role == "tcp":
        return ("haproxy",)
    return ("stunnel", "haproxy", "nginx") if role == "client" else ("stunnel", "hitch", "haproxy", "nginx")


def start(processes, cpus, name, role, backend, *, cipher="AES-128-GCM", resumes=False):
    """Starts one of programs(role) in front of `backend`. Returns it with its `address`, or None where it is not installed."""
    path = path_of(name)
    if not path or (name == "nginx" and not os.path.exists(STREAM_MODULE)):
        return None
    writer = {"stunnel": _stunnel, "hitch": _hitch, "haproxy": _haproxy, "nginx": _nginx}[name]

    def arguments(port):
        text, options = writer(processes.bench, role, f"127.0.0.1:{port}", backend, SUITES[cipher], resumes)
        config = os.path.join(processes.bench.folder, f"{name}-{port}.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(text)
        return [path, *options, config]

    return processes.proxy(cpus, name, arguments)


def path_of(name):
    """Where the program is, or None; proxies and servers are in folders that not everybody's PATH has."""
    return shutil.which({"stunnel": "stunnel4"}.get(name, name), path=os.environ.get("PATH", "") + ":/usr/sbin")


def _stunnel(bench, role, address, backend, suite, resumes):
    files = bench.certificates
    side = f"cert = {files.chain}\nkey = {files.key}\n"
    if role == "client":
        side = f"client = yes\nverifyChain = yes\nCAfile = {files.trust}\ncheckIP = 127.0.0.1\nsni = {NAME}\n"
        side += f"sessionResume = {'yes' if resumes else 'no'}\n"
    return (
        f"foreground = quiet\npid =\ndebug = err\noutput = {bench.folder}/stunnel.out\n[s]\n{side}"
        f"accept = {address}\nconnect = {backend}\nsslVersion = TLSv1.3\nciphersuites = {suite}\ncurves = X25519\n"
        "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n",
        [],
    )


def _hitch(bench, _role, address, backend, suite, _resumes):
    host, port = address.split(":")
    to_host, to_port = backend.split(":")
    return (
        f'frontend = "[{host}]:{port}"\nbackend = "[{to_host}]:{to_port}"\npem-file = "{bench.certificates.both}"\n'
        f'tls-protos = TLSv1.3\nciphersuites = "{suite}"\necdh-curve = "X25519"\nworkers = 1\ndaemon = off\n'
        + ('user = "nobody"\n' if os.geteuid() == 0 else ""),  # it does not run as root
        ["--config"],
    )


def _haproxy(bench, role, address, backend, suite, resumes):
    bind = server = ""
    if role == "server":
        bind = f"ssl crt {bench.certificates.both} ssl-min-ver TLSv1.3 ciphersuites {suite} curves X25519"
    elif role == "client":
        server = f"ssl verify required ca-file {bench.certificates.trust} sni str({NAME}) ssl-min-ver TLSv1.3 ciphersuites {suite}"
        server += "" if resumes else " no-ssl-reuse"
    return (
        "global\n  nbthread 1\n  maxconn 2000\ndefaults\n  mode tcp\n  option splice-auto\n  timeout connect 10s\n"
        "  timeout client 1h\n  timeout server 1h\n"
        f"frontend f\n  bind {address} {bind}\n  default_backend b\nbackend b\n  server s {backend} {server}\n",
        ["-db", "-f"],
    )


def _nginx(bench, role, address, backend, suite, resumes):
    files = None if role == "tcp" else bench.certificates
    listen = side = ""
    tls = f"ssl_conf_command Ciphersuites {suite};" if role == "server" else f"proxy_ssl_conf_command Ciphersuites {suite};"
    if role == "server":
        listen = "ssl"
        side = f"ssl_certificate {files.chain}; ssl_certificate_key {files.key}; ssl_protocols TLSv1.3; ssl_ecdh_curve X25519; {tls}"
    elif role == "client":
        side = f"proxy_ssl on; proxy_ssl_verify on; proxy_ssl_trusted_certificate {files.trust}; proxy_ssl_name {NAME};"
        side += f" proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3; {tls}"
        side += f" proxy_ssl_session_reuse {'on' if resumes else 'off'};"
    return (
        f"load_module {STREAM_MODULE};\ndaemon off;\nworker_processes 1;\npid {bench.folder}/nginx.pid;\n"
        f"error_log stderr error;\nevents {{ worker_connections 4000; }}\n"
        f"stream {{ tcp_nodelay on; server {{ listen {address} {listen}; {side} proxy_timeout 1h; proxy_pass {backend}; }} }}\n",
        ["-p", bench.folder, "-e", "stderr", "-c"],
    )


def danted(processes, cpus):
    """Starts Dante's SOCKS server. Returns it with its `address`."""
    folder = processes.bench.folder
    users = "user.privileged: root\nuser.unprivileged: nobody\n" if os.geteuid() == 0 else ""

    def arguments(port):
        path = os.path.join(folder, "danted.conf")
        with open(path, "w", encoding="ascii") as config:
            config.write(f"logoutput: {folder}/danted.out\ninternal: 127.0.0.1 port = {port}\nexternal: lo\n")
            config.write(f"clientmethod: none\nsocksmethod: none\n{users}")
            config.write("client pass {\n from: 127.0.0.0/8 to: 0.0.0.0/0\n}\n")
            config.write("socks pass {\n from: 127.0.0.0/8 to: 127.0.0.0/8\n command: connect\n}\n")
        return [path_of("danted"), "-p", os.path.join(folder, "danted.pid"), "-f", path]

    return processes.proxy(cpus, "danted", arguments)
