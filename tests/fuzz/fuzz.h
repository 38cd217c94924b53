/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz targets: what a stranger sends, given to the code that reads it first.
 *
 * Each file fuzz_NAME.c has one entry, which is libFuzzer's, and says at its top how it reads its input and what must hold of every input. The
 * entry never fails for what the input is, only for what our code makes of it. `./dev fuzz` builds the targets with clang's libFuzzer and looks
 * for new inputs; `./dev check` builds them with the main() of replay.c, which gives them the inputs in corpus/NAME, so that what was found once
 * stays mended. A file of a corpus is named by what it shows.
 */
#ifndef NB_TESTS_FUZZ_H
#define NB_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/** The target's name, which is that of its corpus. */
extern const char fuzz_target[];

/** One input. @param data  borrowed; NULL or not where `size` is 0 @return 0 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Says what does not hold, and aborts: libFuzzer keeps the input then. */
__attribute__((noreturn, format(printf, 4, 5))) void fuzz_fail(const char *file, int line, const char *condition,
                                                               const char *format, ...);

/** Fails unless the condition holds; what follows is printf's, and says what it was about. */
#define FUZZ_CHECK(condition, ...)                                                                                     \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        fuzz_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                                        \
        } while (0)

/** A copy of a part of the input with a NUL behind it, of exactly that size, so that a sanitizer sees what is read too far. Owned by the caller. */
char *fuzz_text(const uint8_t *data, size_t size);

/** A line of the input: the bytes up to the next newline or the end. */
struct fuzz_line {
        const char *text; /* borrowed from the input */
        size_t length;
};

/**
 * Takes the next line.
 * @param rest, rest_length  what is left of the input; moved behind the line
 * @return whether there was one
 */
int fuzz_next_line(const char **rest, size_t *rest_length, struct fuzz_line *ret);

/** Takes a byte. @param data, size  what is left of the input; moved behind it @return it; 0 at the end */
uint8_t fuzz_take_byte(const uint8_t **data, size_t *size);

/** Takes a length in two bytes, and as many bytes as there are of it. @return borrowed from the input */
const uint8_t *fuzz_take_bytes(const uint8_t **data, size_t *size, size_t *ret_length);

#endif
