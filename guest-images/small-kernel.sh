#!/usr/bin/env bash
# vmlinux-small and bzImage-small: Debian's linux-source-6.12 with small-kernel.config and nothing else.
# Takes about five minutes on two cores, once: the result is cached outside the checkout by the hash of the
# configuration and of this script. A newer Debian revision of the source alone does not rebuild it.
set -euo pipefail
script_name=small-kernel
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

source_package=linux-source-6.12
config=$images_dir/small-kernel.config
key=$(hash_of "$config" "${BASH_SOURCE[0]}")
is_current "$key" "$out_dir/vmlinux-small" "$out_dir/bzImage-small" && exit 0

cached=$cache_dir/small-kernel-$key
lock_cache small-kernel
if [[ ! -f $cached/complete ]]; then
    rm -rf "$cached"
    build=$cache_dir/small-kernel-build
    rm -rf "$build"
    mkdir -p "$build" "$cached"
    deb=$(download_package "$source_package" "$cache_dir/packages")
    say "unpacking $(basename "$deb")"
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$build" --wildcards '*/linux-source-*.tar.xz'
    # The AMD display headers alone are a third of the tree; nothing here is compiled with them.
    xz -dc -T0 "$build"/usr/src/linux-source-*.tar.xz \
        | tar -x -C "$build" --strip-components=1 \
            --exclude='*/drivers/gpu/drm/amd/include' --exclude='*/tools/testing' --exclude='*/sound/*.c'
    rm -rf "${build:?}/usr/src"
    log=$cached/build.log
    make_kernel() {
        make -C "$build" ARCH=x86_64 KBUILD_BUILD_USER=cnvm KBUILD_BUILD_HOST=cnvm \
            KBUILD_BUILD_TIMESTAMP='2025-01-01' KCONFIG_ALLCONFIG="$config" "$@" >>"$log" 2>&1 \
            || { tail -n 30 "$log" >&2; die "the kernel build failed; whole log: $log"; }
    }
    make_kernel allnoconfig
    # Kconfig silently drops what has an unmet dependency.
    dropped=$(grep -E '^(CONFIG_|# CONFIG_.* is not set)' "$config" | grep -vxFf "$build/.config" || true)
    [[ -z $dropped ]] || die "the kernel's configuration did not take: $(tr '\n' ' ' <<<"$dropped")"
    jobs=$(nproc)
    say "building the small kernel with $jobs jobs: about $((11 / jobs)) minutes, once"
    started=$SECONDS
    nice -n "${CNVM_NICE:-5}" bash -c 'make "$@"' make -C "$build" ARCH=x86_64 KBUILD_BUILD_USER=cnvm KBUILD_BUILD_HOST=cnvm \
        KBUILD_BUILD_TIMESTAMP='2025-01-01' -j"$jobs" bzImage >>"$log" 2>&1 9>&- &
    compile=$!
    trap 'kill "$compile" 2>/dev/null || true' EXIT
    while kill -0 "$compile" 2>/dev/null; do
        # Progress every half minute; `wait -n` returns as soon as either ends.
        sleep 30 9>&- &
        ticker=$!
        wait -n "$compile" "$ticker" || true
        kill "$ticker" 2>/dev/null || true
        kill -0 "$compile" 2>/dev/null && say "$((SECONDS - started)) s, $(grep -c '^  CC ' "$log" || true) files compiled"
    done
    trap - EXIT
    wait "$compile" || { tail -n 30 "$log" >&2; die "the kernel build failed; whole log: $log"; }
    # Symbols stay (a disassembly of a failure needs them); there is no debug information to strip.
    cp "$build/vmlinux" "$cached/vmlinux-small"
    cp "$build/arch/x86/boot/bzImage" "$cached/bzImage-small"
    cp "$build/.config" "$cached/config"
    basename "$deb" >"$cached/complete"
    rm -rf "$build"
    say "built in $((SECONDS - started)) s"
fi
install_file "$cached/vmlinux-small" "$out_dir/vmlinux-small"
install_file "$cached/bzImage-small" "$out_dir/bzImage-small"
mark_current "$key" "$out_dir/vmlinux-small" "$out_dir/bzImage-small"
say "vmlinux-small ($(du -h "$out_dir/vmlinux-small" | cut -f1)) and bzImage-small are ready"
