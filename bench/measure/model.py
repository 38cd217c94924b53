# SPDX-License-Identifier: Apache-2.0
"""What the figures add up to on a large machine. See docs/performance.md."""


def text(results):
    return "Not measured yet."
