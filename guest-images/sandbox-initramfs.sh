#!/usr/bin/env bash
# sandbox-initramfs.cpio: the agent of cnvm's sandboxes as the first process, with the libraries that it needs, and empty folders.
# It goes with vmlinux-small, which is made first if it is not there, and both have one version, a hash of the agent, the kernel and what builds them:
#   sandbox-version   the version, and the kernel's build ID, with which the library compares the kernel beside it; /etc/cnvm-version of the
#                     initramfs says the same, and comes before the agent there
# CNVM_AGENT names another agent than out/sandbox/cnvm-agent.
set -euo pipefail
script_name=sandbox-initramfs
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

agent=${CNVM_AGENT:-$repo_dir/out/sandbox/cnvm-agent}
[[ -x $agent ]] || die "$agent is missing: 'make out/sandbox/cnvm-agent' makes it"

# Whom a program names as its interpreter and as libraries, and whom those name; nothing for a static one.
library_folders=(/lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /lib64 /usr/lib64 /lib /usr/lib)
declare -A libraries=()
add_libraries_of() {
    local name folder
    for name in $(readelf -ldW "$1" | sed -nE 's/.*program interpreter: ([^]]+)\].*/\1/p; s/.*\(NEEDED\).*\[([^]]+)\]/\1/p'); do
        [[ -z ${libraries[$(basename "$name")]:-} ]] || continue
        for folder in "" "${library_folders[@]/%//}"; do
            if [[ $folder$name == /* && -e $folder$name ]]; then
                libraries[$(basename "$name")]=$folder$name
                add_libraries_of "$folder$name"
                continue 2
            fi
        done
        die "$1 needs $name, which is in none of ${library_folders[*]}"
    done
}
add_libraries_of "$agent"

"$images_dir/small-kernel.sh"
kernel=$(readelf -nW "$out_dir/vmlinux-small" | sed -nE 's/.*Build ID: ([0-9a-f]+)$/\1/p')
[[ -n $kernel ]] || die "$out_dir/vmlinux-small has no build ID"
key=$(hash_of "${BASH_SOURCE[0]}" "$agent" "${libraries[@]}" "$images_dir"/small-kernel.{config,sh} "$kernel")
is_current "$key" "$out_dir/sandbox-initramfs.cpio" "$out_dir/sandbox-version" && exit 0

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
mkdir -p "$tree"/{dev,etc,proc,root,run/kata-containers/shared/containers,sys,tmp}
install -m 755 "$agent" "$tree/init"
for library in "${libraries[@]}"; do
    install -D -m 755 "$library" "$tree$library"
done
printf '%s\nkernel %s\n' "$key" "$kernel" >"$tree/etc/cnvm-version"
find "$tree" -exec touch -h -d @0 {} +
mkdir -p "$out_dir"
(cd "$tree" && find . -print0 | sort -z | cpio --null -o -H newc -R 0:0 --reproducible --quiet) >"$out_dir/sandbox-initramfs.cpio.new"
mv "$out_dir/sandbox-initramfs.cpio.new" "$out_dir/sandbox-initramfs.cpio"
cp "$tree/etc/cnvm-version" "$out_dir/sandbox-version"
mark_current "$key" "$out_dir/sandbox-initramfs.cpio" "$out_dir/sandbox-version"
say "sandbox-initramfs.cpio ($(du -h --apparent-size "$out_dir/sandbox-initramfs.cpio" | cut -f1)) is ready, version $key"
