/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/options.h"

#include "config.h"

const struct nb_option_table options_table = {
        .program = "netbroker-relay",
        .version = PACKAGE_VERSION,
        .summary = "Carries the bytes of one tenant's connections for netbrokerd, which starts it.",
        .see = "netbroker-relay(8), netbrokerd(8)",
};
