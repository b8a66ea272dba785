/* Digests and their texts, as HTTP headers carry them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHECKSUM_SHA256_LEN = 32,
    CHECKSUM_HEX_SHA256 = 65,   /* with NUL */
    CHECKSUM_BASE64_MD5 = 25,   /* with NUL */
    CHECKSUM_BASE64_CRC32C = 9, /* with NUL */
};

void checksum_sha256(const void *data, size_t len, uint8_t ret[CHECKSUM_SHA256_LEN]);
void checksum_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                          uint8_t ret[CHECKSUM_SHA256_LEN]);
void checksum_hex(const uint8_t *bytes, size_t len, char *ret); /* 2 * len + 1 */
bool checksum_unhex(const char *hex, size_t len, uint8_t *ret); /* len bytes, exactly */

void checksum_sha256_hex(const void *data, size_t len, char ret[CHECKSUM_HEX_SHA256]);
void checksum_md5(const void *data, size_t len, uint8_t ret[16]);
void checksum_md5_base64(const void *data, size_t len, char ret[CHECKSUM_BASE64_MD5]);

/* CRC-32C (Castagnoli). crc is 0, or the result for what comes before. */
uint32_t checksum_crc32c(uint32_t crc, const void *data, size_t len);
void checksum_crc32c_base64(uint32_t crc, char ret[CHECKSUM_BASE64_CRC32C]);
