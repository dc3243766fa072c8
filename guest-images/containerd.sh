#!/usr/bin/env bash
# Unpacks Debian's containerd and runc without installing them: installed, a daemon would begin to run on this machine. The tests start one of
# their own, in a mount namespace of its own.
#   containerd/  containerd, ctr, containerd-shim-runc-v2, runc
set -euo pipefail
script_name=containerd
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

programs=(containerd ctr containerd-shim-runc-v2 runc)
key=$(hash_of "${BASH_SOURCE[0]}")
is_current "$key" "${programs[@]/#/$out_dir/containerd/}" && exit 0

cached=$cache_dir/containerd-$key
lock_cache containerd
if [[ ! -d $cached ]]; then
    rm -rf "$cached.new"
    mkdir -p "$cached.new/bin"
    for package in containerd runc; do
        # As new as the package lists have it, not as an earlier download was.
        rm -f "$cache_dir/packages/${package}"_*.deb
        dpkg-deb -x "$(download_package "$package" "$cache_dir/packages")" "$cached.new/root"
    done
    for program in "${programs[@]}"; do
        found=$(find "$cached.new"/root/usr/{bin,sbin} -type f -name "$program" -print -quit)
        [[ -n $found ]] || die "Debian's packages containerd and runc have no $program"
        mv "$found" "$cached.new/bin/$program"
    done
    rm -rf "$cached.new/root"
    mv "$cached.new" "$cached"
fi
missing=$(for program in "${programs[@]}"; do ldd "$cached/bin/$program" 2>/dev/null || true; done | sed -n 's/^\s*\(.*\) => not found/\1/p' | sort -u | tr '\n' ' ')
[[ -z $missing ]] || die "Debian's containerd and runc need libraries that are not installed: $missing"
for program in "${programs[@]}"; do
    install_file "$cached/bin/$program" "$out_dir/containerd/$program"
done
mark_current "$key" "${programs[@]/#/$out_dir/containerd/}"
say "Debian's containerd and runc are ready"
