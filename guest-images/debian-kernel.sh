#!/usr/bin/env bash
# Unpacks Debian's kernel packages without installing them:
#   vmlinuz-debian  the cloud kernel as shipped (bzImage)        vmlinux-debian  the ELF inside it
#   initramfs-debian.cpio  loads the virtio drivers (modules in this kernel), mounts root= and goes on there
# With --nested: the generic kernel instead, for the nested KVM host (the cloud flavour has no 9p):
#   nested-host/vmlinux and nested-host/initramfs.cpio
set -euo pipefail
script_name=debian-kernel
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

flavour=cloud
if [[ ${1:-} == --nested ]]; then
    flavour=generic
    script_name=nested-host-kernel
fi
here=${BASH_SOURCE[0]}

# What the initramfs loads, in this order, each after what it depends on.
cloud_modules=(virtio_pci virtio_mmio virtio_blk virtio_net virtio_console virtio-rng crc32c_generic ext4)
nested_modules=(virtio_pci virtio_net virtio_blk 9pnet_virtio 9p overlay kvm-amd tun bridge veth)

# unpack_kernel BZIMAGE ELF: the payload's place is in the setup header (boot protocol 2.08: payload_offset, payload_length).
unpack_kernel() {
    local image=$1 elf=$2 setup_sectors offset length start magic
    [[ $(od -An -tx4 -j514 -N4 "$image" | tr -d ' ') == 53726448 ]] || die "$image is no bzImage"
    setup_sectors=$(od -An -tu1 -j497 -N1 "$image" | tr -d ' ')
    offset=$(od -An -tu4 -j584 -N4 "$image" | tr -d ' ')
    length=$(od -An -tu4 -j588 -N4 "$image" | tr -d ' ')
    start=$(((setup_sectors + 1) * 512 + offset))
    magic=$(od -An -tx1 -j"$start" -N4 "$image" | tr -d ' ')
    # All but gzip carry four more bytes: the uncompressed size.
    case $magic in
        02214c18) take_payload "$image" "$start" $((length - 4)) | lz4 -dcq - >"$elf" ;;
        fd377a58) take_payload "$image" "$start" $((length - 4)) | xz -dcq >"$elf" ;;
        28b52ffd) take_payload "$image" "$start" $((length - 4)) | zstd -dcq >"$elf" ;;
        1f8b*) take_payload "$image" "$start" "$length" | gzip -dcq >"$elf" ;;
        *) die "$image: unknown compression (magic $magic)" ;;
    esac
    [[ $(od -An -tx1 -N4 "$elf" | tr -d ' ') == 7f454c46 ]] || die "$image does not hold an ELF file"
}

take_payload() { dd if="$1" iflag=skip_bytes,count_bytes,fullblock skip="$2" count="$3" bs=1M status=none; }

# copy_modules TREE VERSION DESTINATION NAME...: with their dependencies; DESTINATION/order lists them as they must be loaded.
copy_modules() {
    local tree=$1 version=$2 destination=$3 name kind file target
    shift 3
    mkdir -p "$destination"
    : >"$destination/order"
    depmod -b "$tree" "$version"
    for name in "$@"; do
        while read -r kind file _; do
            # The other kind is "builtin".
            [[ $kind == insmod ]] || continue
            target=$(basename "$file")
            target=${target%%.ko*}
            if grep -qx "$target" "$destination/order"; then continue; fi
            case $file in
                *.xz) xz -dc "$file" >"$destination/$target.ko" ;;
                *.zst) zstd -dcq "$file" >"$destination/$target.ko" ;;
                *) cp "$file" "$destination/$target.ko" ;;
            esac
            printf '%s\n' "$target" >>"$destination/order"
        done < <(modprobe -C /dev/null -d "$tree" -S "$version" --show-depends "$name" \
            || die "Debian's kernel $version has no module $name")
    done
}

# pack_initramfs DIRECTORY CPIO: uncompressed, so that the guest has nothing to unpack; owned by root, fixed times.
pack_initramfs() {
    mkdir -p "$1"/{bin,dev,proc,sys,run,tmp,newroot}
    cp "$(command -v busybox)" "$1/bin/busybox"
    ln -sf busybox "$1/bin/sh"
    find "$1" -exec touch -h -d @0 {} +
    (cd "$1" && find . -print0 | sort -z | cpio --null -o -H newc -R 0:0 --reproducible --quiet) >"$2"
}

if [[ $flavour == cloud ]]; then
    meta=linux-image-cloud-amd64
    outputs=("$out_dir"/{vmlinuz-debian,vmlinux-debian,initramfs-debian.cpio,.modules-debian.tar})
    init=$images_dir/debian-initramfs/init
else
    meta=linux-image-amd64
    outputs=("$out_dir/nested-vmlinux" "$out_dir/nested-initramfs.cpio")
    init=$images_dir/nested-host/init
fi
key=$(hash_of "$here" "$init" "$flavour")
is_current "$key" "${outputs[@]}" && exit 0

cached=$cache_dir/$flavour-kernel-$key
lock_cache "$flavour-kernel"
if [[ ! -f $cached/complete ]]; then
    rm -rf "$cached"
    mkdir -p "$cached"
    package=$(dependency_of "$meta" '^linux-image-')
    if [[ -z $package ]]; then
        as_root apt-get -qq update >&2
        package=$(dependency_of "$meta" '^linux-image-')
    fi
    [[ -n $package ]] || die "apt knows no package $meta: check /etc/apt/sources.list"
    deb=$(download_package "$package" "$cache_dir/packages")
    say "unpacking $(basename "$deb")"
    tree=$cache_dir/$flavour-kernel-tree
    rm -rf "$tree"
    dpkg-deb -x "$deb" "$tree"
    version=$(basename "$(find "$tree/lib/modules" -mindepth 1 -maxdepth 1 -type d)")
    unpack_kernel "$tree/boot/vmlinuz-$version" "$cached/vmlinux"
    cp "$tree/boot/vmlinuz-$version" "$cached/vmlinuz"
    ird=$cached/initramfs
    if [[ $flavour == cloud ]]; then
        copy_modules "$tree" "$version" "$ird/modules" "${cloud_modules[@]}"
    else
        copy_modules "$tree" "$version" "$ird/modules" "${nested_modules[@]}"
    fi
    install -m 755 "$init" "$ird/init"
    pack_initramfs "$ird" "$cached/initramfs.cpio"
    rm -rf "$ird"
    # The Debian root image takes its modules from here.
    if [[ $flavour == cloud ]]; then
        tar -C "$tree" --owner=0 --group=0 --sort=name -cf "$cached/modules.tar" "lib/modules/$version"
    fi
    rm -rf "$tree"
    printf '%s\n' "$version" >"$cached/complete"
fi
if [[ $flavour == cloud ]]; then
    install_file "$cached/vmlinuz" "$out_dir/vmlinuz-debian"
    install_file "$cached/vmlinux" "$out_dir/vmlinux-debian"
    install_file "$cached/initramfs.cpio" "$out_dir/initramfs-debian.cpio"
    ln -sfn "$cached/modules.tar" "$out_dir/.modules-debian.tar"
else
    install_file "$cached/vmlinux" "$out_dir/nested-vmlinux"
    install_file "$cached/initramfs.cpio" "$out_dir/nested-initramfs.cpio"
fi
mark_current "$key" "${outputs[@]}"
say "Debian's $flavour kernel $(<"$cached/complete") is ready"
