# SPDX-License-Identifier: Apache-2.0
"""The memory that the broker and the kernel hold."""

import time

SETTLE_STEP = 0.2  # seconds between two looks
SETTLE_LOOKS = 25
SETTLED = 64  # KiB by which two looks may differ


def _field(path, name):
    with open(path, encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    raise OSError(f"{path} has no {name}")


def resident(pid):
    """The process's resident memory in KiB, its share of what is shared."""
    return _field(f"/proc/{pid}/smaps_rollup", "Pss")


def slab():
    """The kernel's slab of the whole machine in KiB."""
    return _field("/proc/meminfo", "Slab")


def settled(read):
    """Looks until two looks agree, for the kernel frees late. Returns the last look."""
    last = read()
    for _ in range(SETTLE_LOOKS):
        time.sleep(SETTLE_STEP)
        now = read()
        if abs(now - last) <= SETTLED:
            return now
        last = now
    return last
