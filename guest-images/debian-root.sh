#!/usr/bin/env bash
# debian.ext4: a writable Debian root file system (mmdebstrap, the mirrors of this machine's /etc/apt) with the modules of
# vmlinux-debian. No udev, no timers, no network traffic of its own; a root shell on the console.
set -euo pipefail
script_name=debian-root
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=systemd-sysv,acpid,kmod,procps,iproute2,iputils-ping,ethtool,pciutils,fio,iperf3,socat,openssl,stress,less
size_mib=1024

# The cloud kernel's modules belong to the image.
modules=$out_dir/.modules-debian.tar
[[ -f $modules ]] || "$images_dir/debian-kernel.sh"
mapfile -t overlay < <(find "$images_dir/debian-root" -type f | sort)
key=$(hash_of "${BASH_SOURCE[0]}" "${overlay[@]}" "$(readlink "$modules")")
is_current "$key" "$out_dir/debian.ext4" && exit 0

cached=$cache_dir/debian-root-$key.ext4
lock_cache debian-root
if [[ ! -f $cached ]]; then
    # shellcheck disable=SC2016
    sources=$(apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(CODENAME)|$(COMPONENT)' 'Created-By: Packages' \
        | sed -nE 's/^Debian\|([^|]*)\|([^|]*)\|(bookworm[^|]*)\|(main)$/deb \1 \2 \4/p' | sort -u)
    [[ -n $sources ]] || sources='deb http://deb.debian.org/debian bookworm main'
    work=$(mktemp -d "$cache_dir/debian-root.XXXXXX")
    trap 'as_root rm -rf "$work"' EXIT
    chmod 755 "$work"
    apt_options=()
    while IFS= read -r line; do
        apt_options+=("--aptopt=$line")
    done < <(apt-config dump | grep -E '^Acquire::(http|https|Retries)[^ ]* ".+";$' || true)

    cat >"$work/finish" <<'FINISH'
#!/bin/bash
# Runs outside the new root, with its directory as the argument.
set -eu
root=$1
tar -C "$root" --keep-directory-symlink -xf "$MODULES"
cp -r --preserve=mode "$OVERLAY/." "$root/"
printf 'cnvm\n' >"$root/etc/hostname"
printf '127.0.0.1 localhost cnvm\n' >"$root/etc/hosts"
# Filled anew at every boot, in memory, when it is empty.
: >"$root/etc/machine-id"
: >"$root/etc/fstab"
rm -f "$root/etc/resolv.conf"
chroot "$root" passwd -q -d root
units=$root/etc/systemd/system
ln -sfn /etc/systemd/system/cnvm.target "$units/default.target"
# What has nothing to do in this image, and what would start on its own some time later.
for unit in \
    acpid.service acpid.socket acpid.path iperf3.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    systemd-tmpfiles-clean.timer getty.target systemd-logind.service systemd-journal-flush.service \
    systemd-journal-catalog-update.service ldconfig.service systemd-update-done.service systemd-sysusers.service \
    systemd-firstboot.service systemd-machine-id-commit.service systemd-random-seed.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-remount-fs.service systemd-modules-load.service kmod-static-nodes.service \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
    sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount systemd-ask-password-console.path \
    systemd-ask-password-wall.path systemd-fsck-root.service systemd-pcrphase.service systemd-pcrphase-sysinit.service \
    systemd-boot-system-token.service systemd-repart.service systemd-sysext.service modprobe@.service \
    systemd-tmpfiles-setup-dev.service systemd-hwdb-update.service systemd-udev-trigger.service; do
    ln -sfn /dev/null "$units/$unit"
done
mkdir -p "$root/etc/systemd/system-generators"
for generator in "$root"/usr/lib/systemd/system-generators/*; do
    ln -sfn /dev/null "$root/etc/systemd/system-generators/$(basename "$generator")"
done
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/log/*.log
FINISH
    chmod 755 "$work/finish"
    say "building the Debian root image with mmdebstrap: about a minute, once"
    started=$SECONDS
    if ! as_root env MODULES="$modules" OVERLAY="$images_dir/debian-root/overlay" \
        mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" --format=directory \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --aptopt='Acquire::Languages "none"' "${apt_options[@]}" \
        --customize-hook="$work/finish" bookworm "$work/root" - <<<"$sources" >"$cache_dir/debian-root.log" 2>&1; then
        tail -n 30 "$cache_dir/debian-root.log" >&2
        die "mmdebstrap failed; whole log: $cache_dir/debian-root.log"
    fi
    # The inode tables are written now, so that the guest has no background work to do on its disk.
    truncate -s "${size_mib}M" "$work/image"
    as_root mke2fs -q -t ext4 -L cnvm-root -U 6cb51d37-6f65-4a64-8ab2-0c6e766d0001 -d "$work/root" -m 1 \
        -E lazy_itable_init=0,lazy_journal_init=0 "$work/image"
    mv "$work/image" "$cached"
    say "built in $((SECONDS - started)) s"
fi
install_file "$cached" "$out_dir/debian.ext4"
mark_current "$key" "$out_dir/debian.ext4"
say "debian.ext4 ($(du -h "$out_dir/debian.ext4" | cut -f1) of ${size_mib}M) is ready"
