#!/usr/bin/env bash
# boot-guest.sh DISK API-SOCKET: what boot.sh runs on the host it has chosen, as root in a network namespace of its own. The host's
# end of the guest's network is 192.168.249.1, the guest's is 192.168.249.2; nothing is routed any further.
set -euo pipefail
disk=$1
socket=$2
tap=cnvm0
ip link set lo up
ip tuntap add dev "$tap" mode tap
ip address add 192.168.249.1/24 dev "$tap"
ip link set "$tap" up
mkdir -p "$(dirname "$socket")"

cmdline="console=ttyS0 root=/dev/vda rw quiet"
# A serial line carries neither the size nor the kind of the terminal.
if [[ -t 0 ]] && read -r rows columns < <(stty size) && ((rows > 0)); then
    cmdline+=" cnvm.rows=$rows cnvm.columns=$columns cnvm.term=${TERM:-linux}"
fi
exec "$CNVM_VMM" --hypervisor "$HYPERVISOR" --kernel "$CNVM_IMAGES/vmlinux-debian" --initramfs "$CNVM_IMAGES/initramfs-debian.cpio" --cmdline "$cmdline" \
    --cpus "boot=$CPUS" --memory "size=${MEMORY}M" --disk "path=$disk,image_type=raw" \
    --net "tap=$tap,mac=52:54:00:c0:ff:ee" --rng src=/dev/urandom --serial tty --console off --api-socket "path=$socket"
