/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c.h: the Castagnoli checksum of frames and log records (RFC 3720, appendix B.4), by ISA-L, which picks the
 * machine's own instructions at run time.
 */
#ifndef MERIDIAN_BASE_CRC32C_H
#define MERIDIAN_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of n bytes, carrying on from the CRC of what came before (0 to start): crc32c(crc32c(0, a), b) is that of ab. */
uint32_t crc32c(uint32_t before, const void *p, size_t n);

#endif
