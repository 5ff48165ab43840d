/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a simulated host's libvirtd. What emulator.py does to the
 * devices of the command line this does to one that libvirtd adds to a
 * running guest: the monitor's command gets another device, of the same
 * length. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#define LONGEST 4096

typedef ssize_t write_fn(int, const void *, size_t);

static const char command[] = "{\"execute\":\"device_add\"";
static const char driver[] = "\"driver\":\"vfio-pci\",\"host\":\"0000:00:00.0\"";
static const char stand_in[] = "\"driver\":\"virtio-rng-pci\"";
/* How much of it does not depend on the address. */
static const size_t fixed = sizeof(driver) - sizeof("0000:00:00.0\"");

ssize_t write(int fd, const void *data, size_t size)
{
    static write_fn *real;
    char copy[LONGEST], *found;

    if (!real)
        real = (write_fn *)dlsym(RTLD_NEXT, "write");
    if (size > LONGEST || size < sizeof(command) ||
        memcmp(data, command, sizeof(command) - 1))
        return real(fd, data, size);
    memcpy(copy, data, size);
    found = memmem(copy, size, driver, fixed);
    if (found && found + sizeof(driver) <= copy + size) {
        memset(found, ' ', sizeof(driver) - 1);
        memcpy(found, stand_in, sizeof(stand_in) - 1);
    }
    return real(fd, copy, size);
}
