/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "ctl/command.h"

#define MESSAGE_MAX 4096

/* Newlines stay: a policy's error has several lines, made safe by who wrote them. */
static void make_printable(char *text) {
        for (; *text; ++text) {
                if ((*text < ' ' || *text > '~') && *text != '\n')
                        *text = '?';
        }
}

void ctl_complain(const char *format, ...) {
        char message[MESSAGE_MAX];
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(message, sizeof(message), format, arguments);
        va_end(arguments);
        make_printable(message);
        fprintf(stderr, "netbrokerctl: %s\n", message);
}

int ctl_misused(const struct ctl *ctl, const char *format, ...) {
        char message[MESSAGE_MAX];
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(message, sizeof(message), format, arguments);
        va_end(arguments);
        ctl_complain("%s: %s; see `netbrokerctl help %s`", ctl->command->name, message, ctl->command->name);
        return CTL_BAD;
}
