#!/usr/bin/env bash
# initramfs.cpio: static busybox and an init that prints CNVM-GUEST-READY and runs a shell on the console (ttyS0 or hvc0).
# Uncompressed: the guest has nothing to unpack.
set -euo pipefail
script_name=initramfs
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

busybox=$(command -v busybox) || die "busybox is missing: run 'make deps'"
key=$(hash_of "${BASH_SOURCE[0]}" "$images_dir"/initramfs/* "$busybox")
is_current "$key" "$out_dir/initramfs.cpio" && exit 0

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
mkdir -p "$tree"/{bin,dev,etc/acpi/PWRF,proc,sys,run,tmp,root,mnt}
cp "$busybox" "$tree/bin/busybox"
"$busybox" --list | while read -r applet; do
    [[ $applet == busybox ]] || ln -s busybox "$tree/bin/$applet"
done
# There is no init daemon that could be asked, so these act at once.
for command in poweroff reboot halt; do
    rm -f "$tree/bin/$command"
    printf '#!/bin/sh\nsync\nexec /bin/busybox %s -f "$@"\n' "$command" >"$tree/bin/$command"
    chmod 755 "$tree/bin/$command"
done
install -m 755 "$images_dir/initramfs/init" "$tree/init"
install -m 755 "$images_dir/initramfs/power-button" "$tree/etc/acpi/PWRF/00000080"
install -m 644 "$images_dir/initramfs/shell-functions" "$tree/etc/shell-functions"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$tree/etc/passwd"
printf 'root:x:0:\n' >"$tree/etc/group"
find "$tree" -exec touch -h -d @0 {} +
mkdir -p "$out_dir"
(cd "$tree" && find . -print0 | sort -z | cpio --null -o -H newc -R 0:0 --reproducible --quiet) >"$out_dir/initramfs.cpio.new"
mv "$out_dir/initramfs.cpio.new" "$out_dir/initramfs.cpio"
mark_current "$key" "$out_dir/initramfs.cpio"
say "initramfs.cpio is ready"
