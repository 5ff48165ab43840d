/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a simulated host's libvirtd, in place of three functions of
 * libvirt's util/virnetdev.c. They set the MAC address and the VLAN of a
 * virtual function over netlink, of which the made-up NICs have nothing; here
 * they go into a file. See embedded_switch.py. */
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#define FOLDER "/run/virtual-functions"

typedef struct {
    unsigned char addr[6];
} virMacAddr;

typedef struct {
    bool trunk;
    int nTags;
    unsigned int *tag;
    int nativeMode;
    unsigned int nativeTag;
} virNetDevVlan;

/* What was set before a guest: nothing, which is what it gets back. */
int virNetDevSaveNetConfig(const char *linkdev, int vf, const char *stateDir,
                           bool saveVlan)
{
    return 0;
}

int virNetDevReadNetConfig(const char *linkdev, int vf, const char *stateDir,
                           virMacAddr **adminMAC, virNetDevVlan **vlan,
                           virMacAddr **MAC)
{
    *adminMAC = NULL;
    *vlan = NULL;
    *MAC = NULL;
    return 0;
}

int virNetDevSetNetConfig(const char *linkdev, int vf,
                          const virMacAddr *adminMAC,
                          const virNetDevVlan *vlan, const virMacAddr *MAC,
                          bool setVlan)
{
    char path[256], draft[sizeof(path) + 8];
    FILE *file;
    int i;

    /* -1 is the device itself, as with macvtap. */
    if (vf < 0)
        return 0;
    snprintf(path, sizeof(path), "%s/%s-%d", FOLDER, linkdev, vf);
    if (!adminMAC) {
        unlink(path);
        return 0;
    }
    snprintf(draft, sizeof(draft), "%s.draft", path);
    file = fopen(draft, "w");
    if (!file)
        return -1;
    for (i = 0; i < 6; i++)
        fprintf(file, "%s%02x", i ? ":" : "", adminMAC->addr[i]);
    fprintf(file, " %u\n", vlan && vlan->nTags ? vlan->tag[0] : 0);
    return fclose(file) || rename(draft, path) ? -1 : 0;
}
