/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a daemon says when a signal ends it that it has brought upon itself: a line on standard error, with the signal and the last errno.
 *
 * An assertion of ours says what was wrong. Libraries do not: libuv calls abort() where the kernel has no memory for what it watches, others crash where their own allocations
 * fail. Then whoever reads the log shall know that it was the process itself that ended, and how. It ends by that signal all the same, for whoever starts it again.
 */
#ifndef NB_BASE_LAST_WORDS_H
#define NB_BASE_LAST_WORDS_H

/** Begins. To be called first, by a program with one thread; what has a handler by then (a sanitizer's) keeps it. Nothing is taken, and nothing can fail. */
void nb_last_words(void);

#endif
