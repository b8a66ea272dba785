/* Digests: OpenSSL's, and CRC-32C by the processor's instruction or by table. */
#include "cloud/checksum.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

/* A digest that OpenSSL refuses to give would mean sending data unchecked: not a state to go on in.
 */
static void digest_check(bool ok)
{
    if (!ok)
        abort();
}

void checksum_sha256(const void *data, size_t len, uint8_t ret[CHECKSUM_SHA256_LEN])
{
    digest_check(EVP_Digest(data, len, ret, NULL, EVP_sha256(), NULL) == 1);
}

void checksum_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                          uint8_t ret[CHECKSUM_SHA256_LEN])
{
    unsigned n = CHECKSUM_SHA256_LEN;

    digest_check(HMAC(EVP_sha256(), key, (int)key_len, data, len, ret, &n) != NULL);
}

void checksum_hex(const uint8_t *bytes, size_t len, char *ret)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = hex[bytes[i] >> 4];
        ret[2 * i + 1] = hex[bytes[i] & 15];
    }
    ret[2 * len] = '\0';
}

bool checksum_unhex(const char *hex, size_t len, uint8_t *ret)
{
    static const char digits[] = "0123456789abcdef";

    if (strlen(hex) != 2 * len || hex[strspn(hex, digits)])
        return false;
    for (size_t i = 0; i < len; i++) {
        size_t high = (size_t)(strchr(digits, hex[2 * i]) - digits);
        size_t low = (size_t)(strchr(digits, hex[2 * i + 1]) - digits);
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void checksum_sha256_hex(const void *data, size_t len, char ret[CHECKSUM_HEX_SHA256])
{
    uint8_t sum[CHECKSUM_SHA256_LEN];

    checksum_sha256(data, len, sum);
    checksum_hex(sum, sizeof(sum), ret);
}

void checksum_md5(const void *data, size_t len, uint8_t ret[16])
{
    digest_check(EVP_Digest(data, len, ret, NULL, EVP_md5(), NULL) == 1);
}

void checksum_md5_base64(const void *data, size_t len, char ret[CHECKSUM_BASE64_MD5])
{
    uint8_t sum[16];

    checksum_md5(data, len, sum);
    (void)EVP_EncodeBlock((unsigned char *)ret, sum, sizeof(sum));
}

enum { CRC32C_POLY = (int)0x82f63b78 }; /* reflected */

static uint32_t crc32c_table[256];
static pthread_once_t crc32c_once = PTHREAD_ONCE_INIT;

static void crc32c_table_make(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ (uint32_t)CRC32C_POLY : crc >> 1;
        crc32c_table[i] = crc;
    }
}

static uint32_t crc32c_by_table(uint32_t crc, const uint8_t *p, size_t len)
{
    (void)pthread_once(&crc32c_once, crc32c_table_make);
    while (len-- > 0)
        crc = crc >> 8 ^ crc32c_table[(crc ^ *p++) & 0xff];
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_cpu(uint32_t crc, const uint8_t *p,
                                                                size_t len)
{
    uint64_t wide = crc;

    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    while (len-- > 0)
        crc = _mm_crc32_u8(crc, *p++);
    return crc;
}
#endif

uint32_t checksum_crc32c(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc32c_by_cpu(~crc, data, len);
#endif
    return ~crc32c_by_table(~crc, data, len);
}

void checksum_crc32c_base64(uint32_t crc, char ret[CHECKSUM_BASE64_CRC32C])
{
    uint8_t bytes[4] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8),
                        (uint8_t)crc};

    (void)EVP_EncodeBlock((unsigned char *)ret, bytes, sizeof(bytes));
}
