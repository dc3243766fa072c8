#!/usr/bin/env bash
# boot-guest.sh DISK API-SOCKET: what boot.sh runs on the host it has chosen, as root of a network namespace of its own. The host's
# end of the guest's network is 192.168.249.1, the guest's is 192.168.249.2; nothing is routed any further. NETWORK is tap, or passt:
# then the namespace has an interface with the guest's address, which leads nowhere, and 192.168.249.1 is on its loopback.
set -euo pipefail
disk=$1
socket=$2
ip link set lo up
if [[ $NETWORK == passt ]]; then
    net=passt=on
    ip link add cnvm0 type veth peer name cnvm1
    ip link set cnvm1 up
    ip link set cnvm0 up
    ip address add 192.168.249.2/24 dev cnvm0
    ip route add default via 192.168.249.254 dev cnvm0
    ip address add 192.168.249.1/32 dev lo
    # For the guest's ping: passt is nobody when root starts it, and the caller's user otherwise, the only one that is known here.
    ping_groups=/proc/sys/net/ipv4/ping_group_range
    echo 0 65534 2>/dev/null >"$ping_groups" || echo 0 0 >"$ping_groups"
else
    net=tap=cnvm0
    ip tuntap add dev cnvm0 mode tap
    ip address add 192.168.249.1/24 dev cnvm0
    ip link set cnvm0 up
fi
mkdir -p "$(dirname "$socket")"

cmdline="console=ttyS0 root=/dev/vda rw quiet"
# A serial line carries neither the size nor the kind of the terminal.
if [[ -t 0 ]] && read -r rows columns < <(stty size) && ((rows > 0)); then
    cmdline+=" cnvm.rows=$rows cnvm.columns=$columns cnvm.term=${TERM:-linux}"
fi
exec "$CNVM_VMM" --hypervisor "$HYPERVISOR" --kernel "$CNVM_IMAGES/vmlinux-debian" --initramfs "$CNVM_IMAGES/initramfs-debian.cpio" --cmdline "$cmdline" \
    --cpus "boot=$CPUS" --memory "size=${MEMORY}M" --disk "path=$disk,image_type=raw" \
    --net "$net,mac=52:54:00:c0:ff:ee" --rng src=/dev/urandom --serial tty --console off --api-socket "path=$socket"
