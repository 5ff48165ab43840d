/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a simulated host's libvirtd. For a guest with a device it
 * raises the limit of locked memory, for which a container often has no
 * right; the devices that the emulator puts in place lock none. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/resource.h>
#include <sys/types.h>

typedef int prlimit_fn(pid_t, int, const struct rlimit *, struct rlimit *);
typedef int setrlimit_fn(int, const struct rlimit *);

int prlimit(pid_t pid, enum __rlimit_resource resource,
            const struct rlimit *new, struct rlimit *old)
{
    prlimit_fn *real = (prlimit_fn *)dlsym(RTLD_NEXT, "prlimit");

    return real(pid, resource, resource == RLIMIT_MEMLOCK ? 0 : new, old);
}

int prlimit64(pid_t pid, enum __rlimit_resource resource,
              const struct rlimit64 *new, struct rlimit64 *old)
{
    return prlimit(pid, resource, (const struct rlimit *)new,
                   (struct rlimit *)old);
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *new)
{
    setrlimit_fn *real = (setrlimit_fn *)dlsym(RTLD_NEXT, "setrlimit");

    return resource == RLIMIT_MEMLOCK ? 0 : real(resource, new);
}

int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *new)
{
    return setrlimit(resource, (const struct rlimit *)new);
}
