/* Answers on port 111. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "fake.h"
#include "nfsd/portmap_service.h"
#include "portmap.h"

enum { NFS = 100003, MOUNT = 100005 };

static const struct portmap_entry entries[] = {
    {NFS, 3, false, 2049},  {MOUNT, 1, false, 300}, {MOUNT, 1, true, 301},
    {MOUNT, 3, false, 302}, {MOUNT, 3, true, 303},
};
static struct portmap_service service = {.entries = entries, .entry_count = 5};

/* The table of programs names rpcgen's dispatchers, which these tests go around. */
void pm_program_2(struct svc_req *req, SVCXPRT *xprt);
void pm_program_3(struct svc_req *req, SVCXPRT *xprt);
void pm_program_4(struct svc_req *req, SVCXPRT *xprt);

void pm_program_2(struct svc_req *req, SVCXPRT *xprt)
{
    (void)req;
    (void)xprt;
}

void pm_program_3(struct svc_req *req, SVCXPRT *xprt)
{
    (void)req;
    (void)xprt;
}

void pm_program_4(struct svc_req *req, SVCXPRT *xprt)
{
    (void)req;
    (void)xprt;
}

static unsigned getport(uint32_t prog, uint32_t vers, uint32_t prot)
{
    pm_mapping args = {.prog = prog, .vers = vers, .prot = prot, .port = 0};
    u_int port = 4711;

    assert_true(pm2_getport_2_svc(&args, &port, &fake_rpc.req));
    return port;
}

static void test_getport(void **state)
{
    (void)state;
    fake_begin(PM_PROGRAM, PM2_GETPORT, &service);
    assert_int_equal(getport(NFS, 3, IPPROTO_TCP), 2049);
    assert_int_equal(getport(NFS, 3, IPPROTO_UDP), 0);
    assert_int_equal(getport(NFS, 4, IPPROTO_TCP), 2049); /* which says PROG_MISMATCH */
    assert_int_equal(getport(MOUNT, 1, IPPROTO_UDP), 301);
    assert_int_equal(getport(MOUNT, 3, IPPROTO_TCP), 302);
    assert_int_equal(getport(PM_PROGRAM, 2, IPPROTO_UDP), 111);
    assert_int_equal(getport(100021, 4, IPPROTO_TCP), 0);
    assert_int_equal(getport(NFS, 3, 132), 0);
}

static const char *getaddr(uint32_t prog, uint32_t vers, const char *netid, bool exact)
{
    static char text[3][16];
    pm_rpcb args = {.r_prog = prog, .r_vers = vers};
    pm_string addr = NULL;

    memset(text, 0, sizeof(text));
    memcpy(text[0], netid, strlen(netid));
    args.r_netid = text[0];
    args.r_addr = text[1];
    args.r_owner = text[2];
    if (exact)
        assert_true(pm4_getversaddr_4_svc(&args, &addr, &fake_rpc.req));
    else
        assert_true(pm3_getaddr_3_svc(&args, &addr, &fake_rpc.req));
    return addr;
}

static void test_getaddr(void **state)
{
    (void)state;
    fake_begin(PM_PROGRAM, PM3_GETADDR, &service);
    fake_local("192.0.2.1");
    assert_string_equal(getaddr(NFS, 3, "tcp", false), "192.0.2.1.8.1");
    assert_string_equal(getaddr(MOUNT, 3, "udp", false), "192.0.2.1.1.47");
    assert_string_equal(getaddr(NFS, 3, "udp", false), "");
    assert_string_equal(getaddr(NFS, 3, "tcp6", false), "");
    assert_string_equal(getaddr(NFS, 4, "tcp", false), "192.0.2.1.8.1");
    assert_string_equal(getaddr(NFS, 4, "tcp", true), "");
    assert_string_equal(getaddr(NFS, 3, "tcp", true), "192.0.2.1.8.1");
    assert_string_equal(getaddr(100021, 4, "tcp", false), "");
    /* A netid that says nothing: what the question came over. */
    assert_string_equal(getaddr(MOUNT, 3, "", false), "192.0.2.1.1.46");
    fake_rpc.call.udp = true;
    assert_string_equal(getaddr(MOUNT, 3, "local", false), "192.0.2.1.1.47");

    fake_begin(PM_PROGRAM, PM3_GETADDR, &service);
    fake_local("2001:db8::1");
    assert_string_equal(getaddr(NFS, 3, "tcp6", false), "2001:db8::1.8.1");
    assert_string_equal(getaddr(NFS, 3, "tcp", false), "");
    fake_local("::ffff:192.0.2.1"); /* IPv4 through a socket of IPv6 */
    assert_string_equal(getaddr(NFS, 3, "tcp", false), "192.0.2.1.8.1");
}

static void test_dump(void **state)
{
    (void)state;
    pm_list list = NULL;
    pm_rpcb_list rpcb_list = NULL;
    int count = 0, own = 0;

    fake_begin(PM_PROGRAM, PM2_DUMP, &service);
    assert_true(pm2_dump_2_svc(NULL, &list, &fake_rpc.req));
    for (struct pm_node *node = list; node; node = node->next) {
        count++;
        own += node->map.prog == PM_PROGRAM && node->map.port == 111;
    }
    assert_int_equal(count, 5 + 6);
    assert_int_equal(own, 6);
    assert_true(pm4_dump_4_svc(NULL, &rpcb_list, &fake_rpc.req));
    count = 0;
    for (struct pm_rpcb_node *node = rpcb_list; node; node = node->next)
        count++;
    assert_int_equal(count, 5 + 6);
    assert_string_equal(rpcb_list->map.r_addr, "127.0.0.1.0.111");
    assert_string_equal(rpcb_list->map.r_netid, "tcp");
}

/* What is longer than its question is not said over UDP. */
static void test_udp_does_not_amplify(void **state)
{
    (void)state;
    pm_list list = NULL;
    pm_rpcb_list rpcb_list = NULL;
    pm_entry_list entry_list = NULL;
    static char empty[1];
    pm_rpcb args = {
        .r_prog = NFS, .r_vers = 3, .r_netid = empty, .r_addr = empty, .r_owner = empty};

    fake_begin(PM_PROGRAM, PM2_DUMP, &service);
    fake_rpc.call.udp = true;
    assert_false(pm2_dump_2_svc(NULL, &list, &fake_rpc.req));
    assert_true(fake_rpc.noproc);
    assert_null(list);
    fake_rpc.noproc = false;
    assert_false(pm3_dump_3_svc(NULL, &rpcb_list, &fake_rpc.req));
    assert_true(fake_rpc.noproc);
    fake_rpc.noproc = false;
    assert_false(pm4_getaddrlist_4_svc(&args, &entry_list, &fake_rpc.req));
    assert_true(fake_rpc.noproc);
}

static void test_addrlist(void **state)
{
    (void)state;
    static char empty[1];
    pm_rpcb args = {
        .r_prog = MOUNT, .r_vers = 3, .r_netid = empty, .r_addr = empty, .r_owner = empty};
    pm_entry_list list = NULL;

    fake_begin(PM_PROGRAM, PM4_GETADDRLIST, &service);
    assert_true(pm4_getaddrlist_4_svc(&args, &list, &fake_rpc.req));
    assert_string_equal(list->r_nc_netid, "tcp");
    assert_string_equal(list->r_maddr, "127.0.0.1.1.46");
    assert_string_equal(list->next->r_nc_netid, "udp");
    assert_null(list->next->next);
    args.r_vers = 2;
    assert_true(pm4_getaddrlist_4_svc(&args, &list, &fake_rpc.req));
    assert_null(list);
}

static void test_set_is_refused(void **state)
{
    (void)state;
    pm_mapping mapping = {.prog = 400000, .vers = 1, .prot = IPPROTO_TCP, .port = 1};
    static char empty[1];
    pm_rpcb rpcb = {
        .r_prog = NFS, .r_vers = 3, .r_netid = empty, .r_addr = empty, .r_owner = empty};
    bool_t said;

    fake_begin(PM_PROGRAM, PM2_SET, &service);
    said = TRUE;
    assert_true(pm2_set_2_svc(&mapping, &said, &fake_rpc.req));
    assert_false(said);
    assert_int_equal(getport(400000, 1, IPPROTO_TCP), 0);
    said = TRUE;
    assert_true(pm4_unset_4_svc(&rpcb, &said, &fake_rpc.req));
    assert_false(said);
    assert_int_equal(getport(NFS, 3, IPPROTO_TCP), 2049);
    said = TRUE;
    assert_true(pm3_set_3_svc(&rpcb, &said, &fake_rpc.req));
    assert_false(said);
}

static void test_programs(void **state)
{
    (void)state;
    struct nfsd_program programs[PORTMAP_PROGRAMS];

    portmap_programs(&service, programs);
    for (uint32_t i = 0; i < PORTMAP_PROGRAMS; i++) {
        assert_int_equal(programs[i].prog, PM_PROGRAM);
        assert_int_equal(programs[i].vers, 2 + i);
        assert_true(programs[i].udp);
        assert_ptr_equal(programs[i].ctx, &service);
    }
}

static int teardown(void **state)
{
    (void)state;
    fake_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_getport),  cmocka_unit_test(test_getaddr),
        cmocka_unit_test(test_dump),     cmocka_unit_test(test_udp_does_not_amplify),
        cmocka_unit_test(test_addrlist), cmocka_unit_test(test_set_is_refused),
        cmocka_unit_test(test_programs),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
