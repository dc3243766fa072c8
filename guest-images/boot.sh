#!/usr/bin/env bash
# Boots Debian's stock cloud kernel with the Debian root image to a root shell: on this terminal, or, when the input is a pipe,
# with its lines typed one after the other (`printf 'uname -a\npoweroff\n' | make boot`). Exits 0 when the guest has powered off.
#   CPUS (1), MEMORY in MiB (1024)   the guest's
#   FRESH=1                          a new root disk; otherwise out/boot/disk.ext4 keeps what earlier guests wrote
#   HOST=kvm|soft|nested             where; otherwise /dev/kvm where it has hardware virtualisation, and the software vCPU elsewhere
#   NETWORK=tap|passt                the guest's network, in a namespace of its own; otherwise tap for root, and passt, if it is there, for others
#   CNVM_VMM                         another VMM that understands the same arguments
set -euo pipefail
script_name=boot
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export CPUS=${CPUS:-1} MEMORY=${MEMORY:-1024} CNVM_IMAGES=$out_dir CNVM_VMM=${CNVM_VMM:-$repo_dir/out/bin/cnvm-vmm}
[[ $CPUS =~ ^[1-9][0-9]*$ && $MEMORY =~ ^[1-9][0-9]*$ ]] || die "CPUS and MEMORY (MiB) are whole numbers, not '$CPUS' and '$MEMORY'"
[[ -x $CNVM_VMM ]] || die "$CNVM_VMM is missing: 'make build' makes it"

if [[ -z ${NETWORK:-} ]]; then
    NETWORK=tap
    [[ $(id -u) == 0 ]] || ! command -v passt >/dev/null || NETWORK=passt
fi
[[ $NETWORK =~ ^(tap|passt)$ ]] || die "NETWORK is tap or passt, not '$NETWORK'"
export NETWORK

# Which host, and why.
why_not=
if [[ ! -e /dev/kvm ]]; then
    why_not='there is no /dev/kvm here'
elif ! grep -qwE 'svm|vmx' /proc/cpuinfo; then
    why_not='/dev/kvm here has no hardware virtualisation behind it (neither vmx nor svm in /proc/cpuinfo)'
elif [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
    why_not='this user may not open /dev/kvm (be in the group kvm, or root)'
fi
host=${HOST:-$([[ -z $why_not ]] && echo kvm || echo soft)}
why="because ${why_not:-HOST=$host asks for it}"
export HYPERVISOR=kvm
case $host in
    kvm)
        [[ -z $why_not ]] || die "HOST=kvm: $why_not"
        say 'host: this machine, /dev/kvm with hardware virtualisation'
        ;;
    soft)
        HYPERVISOR=soft
        say "host: this machine, on cnvm's software vCPU, $why"
        ;;
    nested) say "host: a nested KVM host (QEMU TCG with SVM), because HOST=nested asks for it" ;;
    *) die "HOST is kvm, soft or nested, not '$host'" ;;
esac

"$images_dir/debian-kernel.sh"
"$images_dir/debian-root.sh"
disk=$repo_dir/out/boot/disk.ext4
if [[ -n ${FRESH:-} || ! -e $disk || $disk -ot $out_dir/debian.ext4 ]]; then
    say "a new root disk: $disk"
    install_file "$out_dir/debian.ext4" "$disk"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/cnvm-boot.XXXXXX")
trap 'rm -rf "$work"' EXIT
if [[ $host != nested ]]; then
    say "API socket: $work/api.sock"
    # A network namespace of its own holds the tap; it goes away with the last process in it.
    command=(unshare --net)
    [[ $(id -u) == 0 ]] || command+=(--user --map-root-user)
    say "network: $NETWORK"
    command+=("$images_dir/boot-guest.sh" "$disk" "$work/api.sock")
else
    "$images_dir/debian-kernel.sh" --nested
    "$images_dir/nested-emulator.sh"
    nested=$repo_dir/out/nested-host/cnvm-nested-host
    [[ -x $nested ]] || die "$nested is missing: 'make $nested' makes it"
    socket=/run/cnvm-boot/api.sock
    command=("$nested" --memory "$((MEMORY + 1024))" --cpus "$((CPUS < 2 ? 2 : CPUS))" --drive-rw "$disk" --forward-unix "$socket"
        -- env NETWORK=tap "CPUS=$CPUS" "MEMORY=$MEMORY" "TERM=${TERM:-linux}" "CNVM_VMM=$CNVM_VMM" "CNVM_IMAGES=$out_dir" HYPERVISOR=kvm
        "$images_dir/boot-guest.sh" /dev/vda "$socket")
fi

status=0
if [[ -t 0 ]]; then
    say 'Ctrl-A x quits'
    "${command[@]}" || status=$?
else
    "$images_dir/type-lines.pl" "${command[@]}" || status=$?
fi
((status == 0)) || say "the guest did not power off properly (exit code $status)"
exit "$status"
