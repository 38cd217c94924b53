/* SPDX-License-Identifier: Apache-2.0 */
#include "confine/filter_check.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

/* More than any kernel has calls; the numbers of none of a family that shares its table with another (x32) are below. */
#define NUMBERS 1024

/* Beside them what no list has: an x32 call, the least and the greatest number there is. */
#define X32_BIT 0x40000000

#define N_ARGS (sizeof(((struct seccomp_data *)NULL)->args) / sizeof(((struct seccomp_data *)NULL)->args[0]))

/* ---- what the lists say ---- */

static bool fits(const struct confine_call *call, const uint64_t *args) {
        for (unsigned i = 0; i < call->n_where; ++i) {
                if ((uint32_t)args[call->where[i].argument] != call->where[i].value)
                        return false;
        }
        return true;
}

bool confine_rules_allow(const struct confine_rules *rules, int number, const uint64_t *args) {
        for (size_t i = 0; i < rules->n; ++i) {
                for (size_t j = 0; j < rules->lists[i]->n_calls; ++j) {
                        const struct confine_call *call = &rules->lists[i]->calls[j];

                        if (call->number == number && fits(call, args))
                                return true;
                }
        }
        return false;
}

/* Whether arguments decide: of each other number what comes of it is the same whatever they are. */
static bool has_conditions(const struct confine_rules *rules, int number) {
        bool has = false;

        for (size_t i = 0; i < rules->n; ++i) {
                for (size_t j = 0; j < rules->lists[i]->n_calls; ++j) {
                        const struct confine_call *call = &rules->lists[i]->calls[j];

                        if (call->number == number && call->n_where == 0)
                                return false;
                        has |= call->number == number;
                }
        }
        return has;
}

/* ---- what the filter says ---- */

struct outcome {
        uint32_t action;
        bool looked; /* at an argument */
};

/* The kernel takes words only, and only within the structure. */
static int load(const struct seccomp_data *data, uint32_t offset, uint32_t *ret) {
        if (offset % sizeof(*ret) != 0 || offset > sizeof(*data) - sizeof(*ret))
                return -EBADMSG;
        memcpy(ret, (const char *)data + offset, sizeof(*ret));
        return 0;
}

/* @return how many instructions are passed over; -EBADMSG for one that is no jump */
static int64_t jump(const struct sock_filter *step, uint32_t value) {
        switch (step->code) {
        case BPF_JMP | BPF_JA:
                return step->k;
        case BPF_JMP | BPF_JEQ | BPF_K:
                return value == step->k ? step->jt : step->jf;
        case BPF_JMP | BPF_JGT | BPF_K:
                return value > step->k ? step->jt : step->jf;
        case BPF_JMP | BPF_JGE | BPF_K:
                return value >= step->k ? step->jt : step->jf;
        case BPF_JMP | BPF_JSET | BPF_K:
                return value & step->k ? step->jt : step->jf;
        default:
                return -EBADMSG;
        }
}

/* Jumps go forward only, so it ends. @return 0 or -EBADMSG */
static int run(const struct sock_filter *filter, size_t n, const struct seccomp_data *data, struct outcome *ret) {
        uint32_t value = 0;
        bool looked = false;

        for (size_t i = 0; i < n; ++i) {
                const struct sock_filter *step = &filter[i];
                int64_t over = 0;

                if (step->code == (BPF_RET | BPF_K)) {
                        *ret = (struct outcome){ step->k, looked };
                        return 0;
                }
                looked |= step->code == (BPF_LD | BPF_W | BPF_ABS) && step->k >= offsetof(struct seccomp_data, args);
                if (step->code == (BPF_LD | BPF_W | BPF_ABS))
                        over = load(data, step->k, &value);
                else if (step->code == (BPF_ALU | BPF_AND | BPF_K))
                        value &= step->k;
                else
                        over = jump(step, value);
                if (over < 0 || (uint64_t)over >= n - i)
                        return -EBADMSG;
                i += (size_t)over;
        }
        return -EBADMSG;
}

/* ---- whether it is the same ---- */

struct check {
        const struct sock_filter *filter;
        size_t n;
        const struct confine_rules *rules;
};

/* What multiplexes other calls on some machines: the library adds rules for it where a list has one of those. */
static bool is_several(int number) {
#ifdef __NR_socketcall
        if (number == __NR_socketcall)
                return true;
#endif
#ifdef __NR_ipc
        if (number == __NR_ipc)
                return true;
#endif
        (void)number;
        return false;
}

static int check_one(const struct check *check, int number, const uint64_t *args) {
        struct seccomp_data data = { .nr = number, .arch = check->rules->arch };
        struct outcome outcome;
        uint32_t expected;
        int r;

        memcpy(data.args, args, sizeof(data.args));
        r = run(check->filter, check->n, &data, &outcome);
        if (r < 0 || is_several(number))
                return r;
        expected = confine_rules_allow(check->rules, number, args) ? SECCOMP_RET_ALLOW : check->rules->otherwise;
        if (outcome.action != expected || (outcome.looked && !has_conditions(check->rules, number)))
                return -EBADMSG;
        return 0;
}

/* As it stands in the list, with upper halves that say nothing, and with each argument another one. */
static int check_call(const struct check *check, const struct confine_call *call) {
        uint64_t args[N_ARGS] = { 0 };
        int r;

        for (unsigned i = 0; i < call->n_where; ++i)
                args[call->where[i].argument] = call->where[i].value | UINT64_C(0x5a5a5a5a) << 32;
        r = check_one(check, call->number, args);
        for (unsigned i = 0; r == 0 && i < call->n_where; ++i) {
                uint64_t *arg = &args[call->where[i].argument];
                const uint64_t right = *arg;

                for (unsigned bit = 0; r == 0 && bit < 32; ++bit) {
                        *arg = right ^ UINT64_C(1) << bit;
                        r = check_one(check, call->number, args);
                }
                *arg = right;
        }
        return r;
}

/* Of no other architecture is there a list. */
static int check_foreign(const struct check *check, uint32_t arch, int number) {
        const struct seccomp_data data = { .nr = number, .arch = arch };
        struct outcome outcome;
        int r = run(check->filter, check->n, &data, &outcome);

        if (r < 0)
                return r;
        return outcome.action == SECCOMP_RET_ALLOW || outcome.looked ? -EBADMSG : 0;
}

static int check_number(const struct check *check, int number) {
        const uint64_t none[N_ARGS] = { 0 };
        int r = check_one(check, number, none);

        if (r == 0)
                r = check_foreign(check, check->rules->arch, (int)((unsigned)number | X32_BIT));
        return r < 0 ? r : check_foreign(check, ~check->rules->arch, number);
}

int confine_filter_check(const struct sock_filter *filter, size_t n, const struct confine_rules *rules) {
        const struct check check = { .filter = filter, .n = n, .rules = rules };
        int r = 0;

        for (int number = 0; r == 0 && number < NUMBERS; ++number)
                r = check_number(&check, number);
        if (r == 0)
                r = check_foreign(&check, rules->arch, -1);
        if (r == 0)
                r = check_foreign(&check, rules->arch, INT32_MAX);
        for (size_t i = 0; r == 0 && i < rules->n; ++i) {
                for (size_t j = 0; r == 0 && j < rules->lists[i]->n_calls; ++j) {
                        /* A call that this machine does not have. */
                        if (rules->lists[i]->calls[j].number >= 0)
                                r = check_call(&check, &rules->lists[i]->calls[j]);
                }
        }
        return r;
}
