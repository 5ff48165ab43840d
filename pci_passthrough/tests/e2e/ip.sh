#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# In place of ip(8) for nova-compute, which shares the machine's network with
# the other services but has to work on that of its simulated host. What is
# for a virtual function, which no NIC there has, goes into a file; see
# embedded_switch.py. A call is "ip link set INTERFACE vf INDEX mac ... vlan ...".
file=/run/virtual-functions/$3-$5
case "$4 $6 $7" in
'vf mac 00:00:00:00:00:00') exec rm -f "$file" ;;
'vf mac '*) echo "$7 $9" >"$file" ;;
'vf '*) ;;
# Without the folder of this very file.
*) PATH=${PATH#*:} exec nsenter --target=1 --net ip "$@" ;;
esac
