#!/usr/bin/env bash
# The QEMU that the nested KVM host runs on. Before 8.1 QEMU's translator can go on with code that another emulated processor has just
# rewritten, so that hosts stand still and their guests end in triple faults. Debian 12 has 7.2; its backports have a later one, which is
# unpacked here and not installed: what the benchmarks compare with, and what runs in the nested host, stays Debian's own.
#   nested-emulator/  qemu-system-x86_64 and its firmware; not there when the installed QEMU is new enough, or when no backports can be had
set -euo pipefail
script_name=nested-emulator
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

wanted=8.1
files=(qemu-system-x86_64 bios-256k.bin kvmvapic.bin linuxboot_dma.bin pvh.bin)
target=nested-emulator
key=$(hash_of "${BASH_SOURCE[0]}")
is_current "$key" "${files[@]/#/$out_dir/$target/}" && exit 0

installed=$(qemu-system-x86_64 --version 2>/dev/null | sed -n '1s/.* version \([0-9.]*\).*/\1/p')
if [[ -n $installed && $(printf '%s\n' "$installed" "$wanted" | sort -V | head -n 1) == "$wanted" ]]; then
    say "the installed QEMU $installed will do"
    exit 0
fi

# fetch_backports DIRECTORY PACKAGE...: from the place that Debian's own packages come from, by package lists of its own.
fetch_backports() {
    local dir=$1 site suite keys=/usr/share/keyrings/debian-archive-keyring.gpg apt=()
    shift
    read -r site suite < <(apt-get indextargets --format "\$(REPO_URI) \$(CODENAME)" 'Created-By: Packages' 'Component: main' | awk '$2 !~ /-/') || return 1
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    {
        printf 'Types: deb\nURIs: %s\nSuites: %s-backports\nComponents: main\n' "$site" "$suite"
        if [[ -f $keys ]]; then printf 'Signed-By: %s\n' "$keys"; fi
    } >"$dir/apt.sources"
    apt=(apt-get -qq -o APT::Sandbox::User=root -o "Dir::Etc::SourceList=$dir/apt.sources" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache")
    "${apt[@]}" update && (cd "$dir" && "${apt[@]}" download "${@/%//$suite-backports}")
}

cached=$cache_dir/nested-emulator-$key
lock_cache nested-emulator
if [[ ! -d $cached ]]; then
    rm -rf "$cached.new"
    mkdir -p "$cached.new/packages"
    if ! fetch_backports "$cached.new/packages" qemu-system-x86 qemu-system-data seabios >"$cached.new/log" 2>&1; then
        say "no backports of Debian can be had; the nested host uses the installed QEMU $installed, in which guests are lost now and then ($(tail -n 1 "$cached.new/log"))"
        rm -rf "$cached.new"
        exit 0
    fi
    for package in "$cached.new"/packages/*.deb; do
        dpkg-deb -x "$package" "$cached.new/root"
    done
    for file in "${files[@]}"; do
        found=$(find "$cached.new/root/usr" -type f -name "$file" -print -quit)
        [[ -n $found ]] || die "Debian's backports of QEMU have no $file"
        mv "$found" "$cached.new/$file"
    done
    rm -rf "$cached.new/root" "$cached.new/packages"
    mv "$cached.new" "$cached"
fi
missing=$(ldd "$cached/qemu-system-x86_64" | sed -n 's/^\s*\(.*\) => not found/\1/p' | sort -u | tr '\n' ' ')
[[ -z $missing ]] || die "the backported QEMU needs libraries that are not installed: $missing"
for file in "${files[@]}"; do
    install_file "$cached/$file" "$out_dir/$target/$file"
done
mark_current "$key" "${files[@]/#/$out_dir/$target/}"
say "$("$cached/qemu-system-x86_64" --version | head -n 1) is ready for the nested host"
