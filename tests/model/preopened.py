# SPDX-License-Identifier: Apache-2.0
"""The preopened sockets of a guest: a listener, and connections that lead to it."""
import world
from model import Control, Link, Protocol


class Preopened(Control):
    """A listener that is there from the start, nonblocking, by a grant of its own."""

    is_preopened = True

    def __init__(self, name, address, base, inheriting):
        super().__init__(Protocol(name, True), address, base, inheriting, world.NONBLOCK)
        self.state = self.LISTENING

    def connect_preopened(self, relayed):
        """The end of a preopened connection that leads here. It is there before the guest is, and needs no grant of a protocol's."""
        link = Link("", self.address)
        link.client.relayed = relayed
        link.client.is_unix = link.server.is_unix = True
        link.client.grants = []
        link.began = link.done = len(self.arrived) - 2  # before the first step
        self.arrived.append(link)
        return link.client
