/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_BASE_FILE_H
#define NB_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * Reads a regular file as a whole. A FIFO or device in its place is refused before a read could block.
 * @param max        the largest size that is taken, in bytes
 * @param ret_bytes  owned by the caller; never NULL, also for an empty file
 * @return 0; -EISDIR for a folder, -ESPIPE for what else is no regular file, -EFBIG for one that is larger or grows while it is
 *         read, -ENOMEM, or another -errno of open(2) and read(2).
 */
int nb_file_read(const char *path, size_t max, uint8_t **ret_bytes, size_t *ret_length);

/**
 * The same for a path relative to a folder.
 * @param folder_fd  borrowed; AT_FDCWD for the working directory
 */
int nb_file_read_at(int folder_fd, const char *path, size_t max, uint8_t **ret_bytes, size_t *ret_length);

/**
 * Has a file grow to `offset` and `length` at the least, with memory, or room on its disk, behind that part. Linux before 6.17 breaks it off for a signal, which
 * whoever serves gets again and again (loop/nudge.h): then it is tried again.
 * @param fd  borrowed
 * @return 0 or -errno of fallocate(2)
 */
int nb_file_reserve(int fd, off_t offset, off_t length);

#endif
