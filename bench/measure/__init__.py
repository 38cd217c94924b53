# SPDX-License-Identifier: Apache-2.0
"""What bench/run is made of: processes, figures, and the parts of the benchmark."""
