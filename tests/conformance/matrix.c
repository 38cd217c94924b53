/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matrix [CELL…]: every function on every kind of descriptor in every state, as matrix.table has it; or some cells of it.
 *
 * A cell makes its descriptor (kinds.h), makes its call (calls.h), and looks at the errno and at what happened; then everything that was
 * made is closed. What the guest was given at its start is there once: a cell that would use up what is used up already is
 * left out and named, "left NUMBER", for another run. The last line says how many were tried and how many failed.
 *
 * All output goes to standard error, for the other two streams are among the kinds.
 */
#include "tests/conformance/calls.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/kinds.h"
#include "tests/conformance/matrix.h"

static const struct matrix_cell cells[MATRIX_N_CELLS] = { MATRIX_CELLS };

static const char *const errno_names[] = { MATRIX_ERRNOS };

#define KIND(identifier, text) { text, make_##identifier },
#define FUNCTION(identifier, text) { text, call_##identifier },

static const struct {
        const char *name;
        bool (*make)(struct world *world, struct subject *ret);
} kinds[] = { MATRIX_KINDS(KIND) };

static const struct {
        const char *name;
        __wasi_errno_t (*call)(struct world *world, const struct subject *subject, char effect[EFFECT_MAX]);
} functions[] = { MATRIX_FUNCTIONS(FUNCTION) };

/* What became of a cell. */
enum outcome {
        OUTCOME_GOOD,
        OUTCOME_BAD,
        OUTCOME_LEFT,
};

static const char *errno_name(__wasi_errno_t error) {
        return error < sizeof(errno_names) / sizeof(errno_names[0]) ? errno_names[error] : "no errno";
}

/* An errno leaves everything as it was. */
static void look_for_traces(const struct world *world, __wasi_fd_t free_before, char effect[EFFECT_MAX]) {
        if (world->result != UNTOUCHED)
                snprintf(effect, EFFECT_MAX, "a result was written");
        else if (lowest_free() != free_before)
                snprintf(effect, EFFECT_MAX, "a descriptor came or went");
        else
                effect[0] = '\0';
}

static bool report(size_t number, __wasi_errno_t error, const char *effect) {
        const struct matrix_cell *cell = &cells[number];

        if (error == cell->error && strcmp(effect, cell->effect) == 0)
                return true;
        fprintf(stderr, "FAILED %s on %s (%zu): expected %s %s, got %s %s\n", functions[cell->function].name,
                kinds[cell->kind].name, number, errno_name(cell->error), cell->effect, errno_name(error), effect);
        return false;
}

static enum outcome try_cell(struct world *world, size_t number) {
        const struct matrix_cell *cell = &cells[number];
        char effect[EFFECT_MAX] = "";
        struct subject subject = { 0 };
        __wasi_fd_t free_before;
        __wasi_errno_t error;
        bool good;

        world_tidy(world);
        if (!kinds[cell->kind].make(world, &subject)) {
                fprintf(stderr, "left %zu\n", number);
                return OUTCOME_LEFT;
        }
        free_before = lowest_free();
        world->result = UNTOUCHED;
        error = functions[cell->function].call(world, &subject, effect);
        if (error)
                look_for_traces(world, free_before, effect);
        good = report(number, error, effect);
        world_clean(world);
        return good ? OUTCOME_GOOD : OUTCOME_BAD;
}

int main(int argc, char **argv) {
        size_t n = argc > 1 ? (size_t)argc - 1 : MATRIX_N_CELLS;
        size_t counts[3] = { 0 };
        struct world world;

        world_init(&world);
        for (size_t i = 0; i < n; ++i) {
                size_t number = argc > 1 ? strtoul(argv[i + 1], NULL, 10) : i;

                CHECK(number < MATRIX_N_CELLS);
                ++counts[try_cell(&world, number)];
        }
        fprintf(stderr, "matrix: %zu cells, %zu failed\n", counts[OUTCOME_GOOD] + counts[OUTCOME_BAD],
                counts[OUTCOME_BAD]);
        return counts[OUTCOME_BAD] > 0;
}
