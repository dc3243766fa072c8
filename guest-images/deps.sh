#!/usr/bin/env bash
# Installs the Debian packages that building, testing and booting need, only those that are missing.
set -euo pipefail
script_name=deps
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=(
    # NativeAOT's linker, the small kernel, the payload
    gcc libc6-dev binutils make bison flex bc libelf-dev libssl-dev libzstd-dev zlib1g-dev perl
    # images
    cpio busybox-static mmdebstrap e2fsprogs kmod xz-utils lz4 zstd
    # the nested KVM host, tests, benchmarks
    qemu-system-x86 qemu-utils libseccomp2 dropbear-bin openssh-client socat passt iproute2 iputils-ping fio acpica-tools util-linux procps
    # the oracle of the tests for protocol buffers
    protobuf-compiler
)
declare -A present=()
while read -r status package; do
    [[ $status == ii ]] && present[$package]=1
done < <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null)
missing=()
for package in "${packages[@]}"; do
    [[ -n ${present[$package]:-} ]] || missing+=("$package")
done
((${#missing[@]} == 0)) && exit 0

say "installing ${#missing[@]} Debian packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" >"$log" 2>&1
}
as_root apt-get -qq update >&2 || say "apt-get update failed; trying with the package lists that are there"
install || { cat "$log" >&2; die "installation failed"; }
say "installed"
