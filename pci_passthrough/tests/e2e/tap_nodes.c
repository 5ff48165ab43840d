/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a simulated host's libvirtd. The device node of a macvtap
 * interface, /dev/tapN, is made by udev, which is not there; here it is made
 * when somebody opens it. Its number is in the sysfs of the host's own
 * network, mounted aside by compute_host.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CLASS "/run/network-sysfs/class/macvtap"
#define PREFIX "/dev/tap"

typedef int open_fn(const char *, int, ...);

static void make_node(const char *path)
{
    char number[256];
    unsigned int high, low;
    FILE *file;

    snprintf(number, sizeof(number), "%s/%s/dev", CLASS,
             path + strlen("/dev/"));
    file = fopen(number, "r");
    if (!file)
        return;
    /* The number may have been another interface's. */
    unlink(path);
    if (fscanf(file, "%u:%u", &high, &low) == 2)
        mknod(path, S_IFCHR | 0600, makedev(high, low));
    fclose(file);
}

#define OPEN(name)                                                            \
    int name(const char *path, int flags, ...)                                \
    {                                                                         \
        static open_fn *real;                                                 \
        va_list rest;                                                         \
        mode_t mode;                                                          \
                                                                              \
        va_start(rest, flags);                                                \
        mode = va_arg(rest, mode_t);                                          \
        va_end(rest);                                                         \
        if (!real)                                                            \
            real = (open_fn *)dlsym(RTLD_NEXT, #name);                        \
        if (!strncmp(path, PREFIX, strlen(PREFIX)))                           \
            make_node(path);                                                  \
        return real(path, flags, mode);                                       \
    }

OPEN(open)
OPEN(open64)
