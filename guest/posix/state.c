/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/state.h"

struct nb_posix_state nb_posix_state;
