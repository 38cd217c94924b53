# SPDX-License-Identifier: Apache-2.0
"""The machine, its load, and the versions of what is measured."""

import os
import platform
import re
import subprocess

from .pages import SOURCE

PACKAGES = (
    "dante-server", "haproxy", "hitch", "libgnutls30", "libngtcp2-16", "microsocks", "nginx-light", "squid", "stunnel4", "wrk",
)


def output_of(*arguments):
    """The first line that a command prints, or None."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return None
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None


def compiler(build):
    """What the tree was compiled with, as its Makefile says."""
    try:
        with open(os.path.join(build, "Makefile"), encoding="utf-8") as makefile:
            match = re.search(r"^CC = (.+)$", makefile.read(), re.MULTILINE)
    except OSError:
        match = None
    return output_of(*(match.group(1).split() if match else ["cc"]), "--version")


def wasmtime(build):
    """The version of the engine that the tree was built with, as its header says."""
    try:
        with open(os.path.join(build, "Makefile"), encoding="utf-8") as makefile:
            folder = re.search(r"^WASMTIME_CPPFLAGS = -\w+ ?(\S+)$", makefile.read(), re.MULTILINE)
        with open(os.path.join(folder.group(1), "wasmtime.h"), encoding="utf-8") as header:
            return re.search(r'^#define WASMTIME_VERSION "(.+)"$', header.read(), re.MULTILINE).group(1)
    except (OSError, AttributeError):
        return None


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def versions(bench):
    """Of everything that is measured, and of what it is made with."""
    found = {
        "commit": output_of("git", "-C", SOURCE, "describe", "--always", "--dirty"),
        "netbrokerd": bench.netbrokerd and output_of(bench.netbrokerd, "--version"),
        "Wasmtime": wasmtime(bench.build),
        "openssl": output_of("openssl", "version"),
        "tinyproxy": output_of("tinyproxy", "-v"),
        **{name: output_of("dpkg-query", "-W", "-f", "${Version}", name) for name in PACKAGES},
    }
    return {name: version for name, version in found.items() if version}


def surroundings(bench, descriptors, quick):
    """What the figures depend on."""
    return {
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "compiler": compiler(bench.build),
        "descriptors": descriptors,
        "rounds": bench.rounds,
        "quick": quick,
        "versions": versions(bench),
    }


def load_average():
    return " ".join(f"{load:.2f}" for load in os.getloadavg())
