/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this is built with AddressSanitizer, which gcc tells by a macro and clang by a feature: it makes system calls of its own, has terabytes of
 * addresses, keeps what was freed, and takes several times as long.
 */
#ifndef NB_BASE_SANITIZED_H
#define NB_BASE_SANITIZED_H

/** 1 or 0, also for the preprocessor. */
#if defined(__SANITIZE_ADDRESS__)
#define NB_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NB_SANITIZED 1
#else
#define NB_SANITIZED 0
#endif
#else
#define NB_SANITIZED 0
#endif

#endif
