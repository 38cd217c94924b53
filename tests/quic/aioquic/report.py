# SPDX-License-Identifier: Apache-2.0
"""Results and events: one JSON object a line."""

import json

from aioquic.quic.packet import QuicErrorCode


class Ended(Exception):
    """A connection that ended before it should have."""

    def __init__(self, event):
        super().__init__(describe(event))
        self.cause = cause(event)


def line(members):
    print(json.dumps(members), flush=True)


def describe(event):
    if event is None:
        return "the connection has not ended"
    return f"error {event.error_code:#x}: {event.reason_phrase}"


def cause(event):
    """Why a connection ended, in the words that all peers share. The library tells no stateless reset."""
    if event is None:
        return "other"
    if event.error_code == QuicErrorCode.INTERNAL_ERROR and event.reason_phrase == "Idle timeout":
        return "idle-timeout"
    if event.frame_type is None:
        return "application"
    if 0x100 <= event.error_code < 0x200:
        return "tls"
    return "transport"


def event(name, **members):
    line({"event": name, **members})


def closed(event_received):
    event("closed", cause=cause(event_received), error=describe(event_received))


def failed(error):
    line({"ok": False, "cause": getattr(error, "cause", "other"), "error": str(error) or type(error).__name__})


def done(scenario, members):
    line({"ok": True, "scenario": scenario, **members})
