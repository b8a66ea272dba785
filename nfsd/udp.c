/*
 * RPC over UDP, for MOUNT and the port mapper: one datagram, one call. Replies leave from the
 * address that the request was sent to. A datagram that cannot be served now is dropped: the client
 * repeats.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "nfsd/server_int.h"

enum {
    UDP_BATCH = 32, /* datagrams per event */
    UDP_REQUEST_MAX = 8192,
};

union pktinfo_space {
    struct cmsghdr align;
    uint8_t v4[CMSG_SPACE(sizeof(struct in_pktinfo))];
    uint8_t v6[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

int udp_prepare(int fd, int family)
{
    int on = 1;
    int r = family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on))
                              : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));

    return r < 0 ? -errno : 0;
}

static void local_from(struct msghdr *msg, const struct listener *listener, union rpc_addr *ret)
{
    *ret = listener->local;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof(info));
            ret->in.sin_addr = info.ipi_addr;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof(info));
            ret->in6.sin6_addr = info.ipi6_addr;
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                ret->in6.sin6_scope_id = info.ipi6_ifindex;
        }
    }
}

static void set_source(struct msghdr *msg, union pktinfo_space *space, const union rpc_addr *local)
{
    struct cmsghdr *c;

    memset(space, 0, sizeof(*space));
    msg->msg_control = space;
    if (local->sa.sa_family == AF_INET) {
        struct in_pktinfo info = {.ipi_spec_dst = local->in.sin_addr};

        msg->msg_controllen = sizeof(space->v4);
        c = CMSG_FIRSTHDR(msg);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_addr = local->in6.sin6_addr,
                                   .ipi6_ifindex = local->in6.sin6_scope_id};

        msg->msg_controllen = sizeof(space->v6);
        c = CMSG_FIRSTHDR(msg);
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
    }
}

void udp_send(struct call *call)
{
    union pktinfo_space space;
    struct msghdr msg = {
        .msg_name = &call->pub.peer,
        .msg_namelen = call->pub.peer.sa.sa_family == AF_INET ? sizeof(call->pub.peer.in)
                                                              : sizeof(call->pub.peer.in6),
        .msg_iov = call->iov,
        .msg_iovlen = call->iov_count,
    };

    set_source(&msg, &space, &call->pub.local);
    (void)sendmsg(call->udp->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL); /* lost is lost: it is UDP */
    call_free(call);
}

/* False: nothing more to receive. */
static bool receive_one(struct listener *listener, struct reactor *reactor, uint8_t *bytes)
{
    struct nfsd *nfsd = listener->nfsd;
    union rpc_addr peer = {0};
    union pktinfo_space space;
    struct iovec iov = {bytes, UDP_REQUEST_MAX};
    struct msghdr msg = {.msg_name = &peer,
                         .msg_namelen = sizeof(peer),
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &space,
                         .msg_controllen = sizeof(space)};
    ssize_t n = recvmsg(listener->fd, &msg, MSG_DONTWAIT);
    struct record rec;
    struct call *call;

    if (n < 0)
        return errno == EINTR;
    if (n == 0 || (msg.msg_flags & MSG_TRUNC) || nfsd_is_full(nfsd) || atomic_load(&nfsd->draining))
        return true;
    rec.buf = buf_get(nfsd->pool, (size_t)n);
    memcpy(rec.buf->data, bytes, (size_t)n);
    rec.data = rec.buf->data;
    rec.len = (uint32_t)n;
    call = call_new(nfsd, reactor, &rec);
    call->udp = listener;
    call->pub.udp = true;
    call->pub.peer = peer;
    local_from(&msg, listener, &call->pub.local);
    (void)call_start(call); /* what is not a call is dropped */
    return true;
}

void udp_readable(struct listener *listener, struct reactor *reactor)
{
    uint8_t bytes[UDP_REQUEST_MAX];

    for (int i = 0; i < UDP_BATCH; i++)
        if (!receive_one(listener, reactor, bytes))
            return;
}
