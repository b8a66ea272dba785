/* The NFS side of a server: its programs, its sockets, port 111. */
#include "base/mem.h" /* before <rpc/rpc.h>, which has a macro mem_alloc */

#include "cmd/serve_start.h"

enum { SERVE_BUFFER_SHARE = 8 }; /* network buffers get this part of the memory limit */

#define SERVE_BUFFER_MIN (UINT64_C(8) << 20)

static struct nfsd *make_nfsd(const struct serve_options *o)
{
    struct nfsd_config config;
    uint64_t share = o->memory_limit / SERVE_BUFFER_SHARE;

    nfsd_config_default(&config);
    config.request_timeout_ns = o->deadline_ns;
    if (share < SERVE_BUFFER_MIN)
        share = SERVE_BUFFER_MIN;
    if (config.receive_max > share)
        config.receive_max = share;
    if (config.unsent_max > share)
        config.unsent_max = share;
    return nfsd_new(&config);
}

static void fill_programs(struct serve *s)
{
    const struct serve_options *o = s->options;

    s->nfs3 = (struct nfs3_service){.fs = s->fs, .exports = s->exports};
    s->mount = (struct mount_service){.fs = s->fs, .exports = s->exports, .list = s->mounts};
    s->programs[0] = nfs3_program(&s->nfs3);
    mount_programs(&s->mount, s->programs + 1);

    s->entries[0] = (struct portmap_entry){
        .prog = s->programs[0].prog,
        .vers = s->programs[0].vers,
        .udp = false,
        .port = (uint16_t)o->nfs_port,
    };
    for (int i = 1; i < SERVE_PORTMAP_ENTRIES; i++) {
        const struct nfsd_program *program = &s->programs[1 + (i - 1) / 2];
        s->entries[i] = (struct portmap_entry){
            .prog = program->prog,
            .vers = program->vers,
            .udp = i % 2 == 0,
            .port = (uint16_t)o->mount_port,
        };
    }
}

static int listen_address(struct serve *s, const char *address, struct cmd_error *reterr)
{
    const struct serve_options *o = s->options;
    struct nfsd_error error = {{0}};
    struct nfsd_listen listen = {
        .address = address,
        .port = (uint16_t)o->nfs_port,
        .tcp = true,
        .udp = true,
        .programs = s->programs,
        .program_count = SERVE_PROGRAMS,
    };

    int err = nfsd_listen(s->nfsd, &listen, NULL, &error);
    if (err == 0 && o->mount_port != o->nfs_port) {
        listen.port = (uint16_t)o->mount_port;
        listen.programs = s->programs + 1;
        listen.program_count = MOUNT_PROGRAMS;
        err = nfsd_listen(s->nfsd, &listen, NULL, &error);
    }
    if (err)
        return cmd_error_set(reterr, err, "%s", error.text);
    return 0;
}

/* The addresses to serve, as nfsd and portmap take them: NULL is both loopbacks. */
static const char *const *addresses(const struct serve_options *o, size_t *ret_count)
{
    static const char *const loopbacks[] = {NULL};

    *ret_count = o->listen_count ? o->listen_count : 1;
    return o->listen_count ? (const char *const *)o->listen : loopbacks;
}

static int listen_all(struct serve *s, struct cmd_error *reterr)
{
    struct portmap_config config = {
        .mode = s->options->portmap,
        .entries = s->entries,
        .entry_count = SERVE_PORTMAP_ENTRIES,
    };
    struct nfsd_error error = {{0}};

    config.listen = addresses(s->options, &config.listen_count);
    for (size_t i = 0; i < config.listen_count; i++) {
        int err = listen_address(s, config.listen[i], reterr);
        if (err)
            return err;
    }
    int err = portmap_start(s->nfsd, &config, &s->portmap, &error);
    if (err)
        return cmd_error_set(reterr, err, "%s", error.text);
    return 0;
}

int serve_nfs_listen(struct serve *serve, struct cmd_error *reterr)
{
    serve->nfsd = make_nfsd(serve->options);
    fill_programs(serve);
    return listen_all(serve, reterr);
}
