/*
 * Networks and client addresses, for the access lists of exports. IPv4 and IPv6 are kept apart: an
 * IPv4 client that arrives on an IPv6 socket (::ffff:a.b.c.d) counts as IPv4, and "::/0" does not
 * let IPv4 in.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct export_net {
    bool v4;
    uint8_t bits;      /* length of the prefix: at most 32 or 128 */
    uint8_t bytes[16]; /* IPv4 uses the first four */
};

struct export_addr {
    bool v4;
    uint8_t bytes[16];
    uint16_t port;
};

enum { EXPORT_NET_TEXT = 64 };

/* "10.0.0.0/8", "192.0.2.7", "2001:db8::/32". 0, or -EINVAL with a static phrase in ret_why that
 * says what was expected. Bits behind the prefix must be zero. */
int export_net_parse(const char *text, struct export_net *ret, const char **ret_why);
void export_net_format(const struct export_net *net, char ret[EXPORT_NET_TEXT]);
bool export_net_match(const struct export_net *net, const struct export_addr *addr);

/* False if sa is neither IPv4 nor IPv6. */
bool export_addr_from(const struct sockaddr *sa, struct export_addr *ret);
bool export_addr_is_loopback(const struct export_addr *addr);
/* The address without the port. */
void export_addr_format(const struct export_addr *addr, char ret[EXPORT_NET_TEXT]);
