# SPDX-License-Identifier: Apache-2.0
"""What the figures add up to on a machine that nobody here has: which bound is met first, and with how many guests.

Each line is a measured figure times what a guest does, beside a bound. The assumptions are the constants below; docs/performance.md says
them in words.
"""

import dataclasses

from .figures import number, quartiles

GUESTS = 100_000
CORES = 64
MEMORY = 256 * 1024 * 1024  # KiB
CONNECTIONS = 10  # of each guest, direct
CONNECTS = ACCEPTS = 0.1  # a second, of each guest
RELAYED = 0.1  # of the guests, with as many connections
DESCRIPTORS = 524_288  # LimitNOFILE= of netbrokerd.service
KEEPER_DESCRIPTORS = 1_048_576  # of netbroker-keeper.service
ENTRIES = 262_144  # --max-entries of netbroker-keeper
ENTRIES_EACH = 3  # session, protocol, and the control that listens (proto/STATE.md)
SESSIONS_SHARE, TENANTS_SHARE = 1 / 8, 7 / 8  # of the broker's descriptors (broker/account.c)
SECONDS_AWAY = 60  # that hosts may wait for the broker; libnetbroker itself waits on


@dataclasses.dataclass
class Bound:
    """`each` of a thing, for one guest, beside the `limit` of it; `unit` and `scale` are for who reads it."""

    what: str
    each: float
    limit: float
    unit: str
    source: str
    scale: float = 1

    def guests(self):
        return self.limit / self.each


def text(results):
    """The model as Markdown."""
    found = Figures(results)
    bounds = sorted(_bounds(found), key=Bound.guests)
    lines = []
    if bounds:
        lines += [
            f"| | one guest | {GUESTS:,} guests | bound | met with | from |",
            "| --- | --- | --- | --- | --- | --- |",
            *(_line(bound) for bound in bounds),
            "",
            f"What breaks first: {bounds[0].what}, with {_guests(bounds[0])} guests.",
        ]
    if found.missing:
        lines += ["", f"Not measured yet, and so not here: {', '.join(dict.fromkeys(found.missing))}."]
    return "\n".join(lines).strip()


def _line(bound):
    figures = [bound.each, bound.each * GUESTS, bound.limit]
    cells = " | ".join(f"{number(figure * bound.scale)} {bound.unit}".strip() for figure in figures)
    return f"| {bound.what} | {cells} | {_guests(bound)} guests | {bound.source} |"


def _guests(bound):
    """Two digits, which is more than a model is worth."""
    return f"{float(f'{bound.guests():.2g}'):,.0f}"


class Figures:
    """Medians of results by where they stand. What is not there is None, and remembered."""

    def __init__(self, results):
        self.results = {result.name: result for result in results}
        self.missing = []

    def median(self, name, title, row):
        """Of the row of that name in the table of that part whose title begins so, or has it as its placement."""
        tables = self.results[name].tables if name in self.results else []
        for table in tables:
            if table.title.startswith(title):
                for each in table.rows:
                    if each.name == row:
                        return quartiles(each.values)[1]
        self.missing.append(f"{name} ({row})")
        return None

    def slope(self, name, title, kind):
        """How much one more costs, of a series: from its last point but one to its last."""
        tables = self.results[name].tables if name in self.results else []
        for table in tables:
            points = sorted((int(row.name.split()[0]), quartiles(row.values)[1]) for row in table.rows if row.name.endswith(f" {kind}"))
            if table.title.startswith(title) and len(points) > 1:
                (from_count, before), (to_count, after) = points[-2:]
                return (after - before) / (to_count - from_count)
        self.missing.append(f"{name} ({kind})")
        return None


def _bounds(found):
    """What of it has figures above zero; a slope that is not has no bound."""
    lines = [*_descriptors(found), *_loop(found), *_memory(found), *_restart(found)]
    return [bound for bound in lines if bound and bound.each > 0]


def _descriptors(found):
    title = "descriptors for one more session"
    yield Bound("sessions, by an eighth of the descriptors", 1, DESCRIPTORS * SESSIONS_SHARE, "", "broker/account.c")
    yield Bound("entries of the keeper", ENTRIES_EACH, ENTRIES, "", "proto/STATE.md")
    for process, who, limit in (
        ("netbrokerd", "the broker", DESCRIPTORS * TENANTS_SHARE), ("keeper", "the keeper", KEEPER_DESCRIPTORS),
    ):
        both = [found.median("restarts", title, f"{process}, with a control that {does}") for does in ("connects", "listens")]
        shared = 2  # session and protocol are the same for both controls
        if None not in both:
            yield Bound(f"descriptors of {who}", sum(both) - shared, limit, "", "(x)")


def _loop(found):
    """A core that does nothing but the broker's work. Client and server were on the same core, so this is more than the broker's part."""
    one_core = "everything on one core"
    connect = found.median("connects", f"connect to a loopback server and close; {one_core}", "broker: connect + close")
    accepts = found.median("accepts", f"accept and close, 64 connections under way; {one_core}", "broker")
    if connect and accepts:
        each = CONNECTS * connect / 1e6 + ACCEPTS / accepts
        yield Bound("one loop: connects and accepts", each, 1, "% of a core", "(a), (b)", scale=100)
    decision = found.median("policies", "a decision among rules for names", "denied, 100000 rules")
    if decision:
        each = (CONNECTS + ACCEPTS) * decision / 1e6
        yield Bound("one loop: decisions among 100,000 rules alone", each, 1, "% of a core", "(y)", scale=100)
    idle = found.slope("guests", "processor time of netbrokerd for idle guests", "guests")
    if idle:
        yield Bound("one loop: guests that do nothing", idle / 1e3, 1, "% of a core", "(g)", scale=100)


def _memory(found):
    """The whole machine's, of which the broker's own part is shown by itself."""
    direct, relayed = "memory of one more, data path direct", "memory of one more, data path relay"

    def of(title, kind, owner):
        return found.median("objects", title, f"{kind}: {owner}")

    for owner, who in (("netbrokerd", "the broker"), ("kernel slab", "the kernel's slab")):
        parts = [of(direct, kind, owner) for kind in ("session", "control", "listener", "connection")]
        if None not in parts:
            yield Bound(f"memory of {who}", sum(parts[:3]) + CONNECTIONS * parts[3], MEMORY, "MiB", "(m)", scale=1 / 1024)
    relay = of(relayed, "connection", "relays")
    if relay is not None:
        yield Bound("memory of relays, for one guest in ten", RELAYED * CONNECTIONS * relay, MEMORY, "MiB", "(m)", scale=1 / 1024)


def _restart(found):
    each = found.slope("restarts", "from kill -9", "sessions")
    if each:
        yield Bound(f"a restart, of which hosts notice {SECONDS_AWAY} s", each / 1e3, SECONDS_AWAY, "s", "(x)")
