/* Networks and client addresses: parsing, printing and matching. Pure functions. */
#include "nfsd/export_net.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t export_v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* True if the first bits bits of a and b are equal. */
static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    unsigned mask = 0xff00u >> rest & 0xffu;
    return ((a[whole] ^ b[whole]) & mask) == 0;
}

static bool host_bits_zero(const struct export_net *net)
{
    unsigned total = net->v4 ? 32 : 128;

    for (unsigned i = net->bits; i < total; i++) {
        if (net->bytes[i / 8] & (0x80u >> (i % 8)))
            return false;
    }
    return true;
}

/* Decimal digits only, at most max. */
static int parse_bits(const char *text, unsigned max, uint8_t *ret)
{
    unsigned value = 0;

    if (!*text || strlen(text) > 3)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        value = value * 10 + (unsigned)(*text - '0');
    }
    if (value > max)
        return -EINVAL;
    *ret = (uint8_t)value;
    return 0;
}

int export_net_parse(const char *text, struct export_net *ret, const char **ret_why)
{
    char addr[EXPORT_NET_TEXT];
    struct export_net net = {.bits = 0};
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);

    *ret_why = "expected an address or a network such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32";
    if (len == 0 || len >= sizeof(addr))
        return -EINVAL;
    memcpy(addr, text, len);
    addr[len] = '\0';
    if (inet_pton(AF_INET, addr, net.bytes) == 1)
        net.v4 = true;
    else if (inet_pton(AF_INET6, addr, net.bytes) != 1)
        return -EINVAL;

    net.bits = net.v4 ? 32 : 128;
    if (slash && parse_bits(slash + 1, net.bits, &net.bits)) {
        *ret_why = net.v4 ? "expected a prefix length from 0 to 32 after the slash"
                          : "expected a prefix length from 0 to 128 after the slash";
        return -EINVAL;
    }
    if (!host_bits_zero(&net)) {
        *ret_why = "expected all bits behind the prefix length to be zero, as in 10.0.0.0/8";
        return -EINVAL;
    }
    *ret = net;
    return 0;
}

static void format_bytes(bool v4, const uint8_t *bytes, char ret[EXPORT_NET_TEXT])
{
    const char *ok = inet_ntop(v4 ? AF_INET : AF_INET6, bytes, ret, EXPORT_NET_TEXT);
    assert(ok); /* both families are known and the room is enough */
    (void)ok;
}

void export_net_format(const struct export_net *net, char ret[EXPORT_NET_TEXT])
{
    format_bytes(net->v4, net->bytes, ret);
    size_t n = strlen(ret);
    if (net->bits < (net->v4 ? 32 : 128))
        (void)snprintf(ret + n, EXPORT_NET_TEXT - n, "/%u", net->bits);
}

bool export_net_match(const struct export_net *net, const struct export_addr *addr)
{
    return net->v4 == addr->v4 && prefix_equal(net->bytes, addr->bytes, net->bits);
}

bool export_addr_from(const struct sockaddr *sa, struct export_addr *ret)
{
    struct export_addr addr = {.port = 0};

    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        addr.v4 = true;
        addr.port = ntohs(in.sin_port);
        memcpy(addr.bytes, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        const uint8_t *bytes = in6.sin6_addr.s6_addr;
        addr.v4 = memcmp(bytes, export_v4_mapped, sizeof(export_v4_mapped)) == 0;
        addr.port = ntohs(in6.sin6_port);
        memcpy(addr.bytes, addr.v4 ? bytes + 12 : bytes, addr.v4 ? 4 : 16);
    } else {
        return false;
    }
    *ret = addr;
    return true;
}

bool export_addr_is_loopback(const struct export_addr *addr)
{
    static const uint8_t one[16] = {[15] = 1};

    return addr->v4 ? addr->bytes[0] == 127 : memcmp(addr->bytes, one, sizeof(one)) == 0;
}

void export_addr_format(const struct export_addr *addr, char ret[EXPORT_NET_TEXT])
{
    format_bytes(addr->v4, addr->bytes, ret);
}
