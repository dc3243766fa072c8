#!/usr/bin/env bash
# The QEMU that emulates nested KVM hosts. Before 8.1 one emulated processor may go on with a stale translation of code that another has
# rewritten: hosts freeze, and guests in them reset themselves. Where Debian's own is older, that of its backports is unpacked beside it.
#   nested-qemu  a script that runs it; absent where the installed one is good enough, or no newer one is to be had
set -euo pipefail
script_name=nested-qemu
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

needed=1:8.1
installed=$(dpkg-query -W -f '${Version}' qemu-system-x86)
if dpkg --compare-versions "$installed" ge "$needed"; then
    rm -f "$out_dir/nested-qemu"
    exit 0
fi
key=$(hash_of "${BASH_SOURCE[0]}" "$installed")
is_current "$key" "$out_dir/nested-qemu" && exit 0

cached=$cache_dir/nested-qemu-$key
lock_cache nested-qemu

# apt in a directory of its own: the machine's package sources stay as they are.
apt_dir=$cached.apt
apt_here=(-qq -o APT::Sandbox::User=root -o "Dir::Etc::sourcelist=$apt_dir/sources" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$apt_dir/lists" -o "Dir::Cache=$apt_dir/cache")

# The archive that this machine's packages come from has the backports of its release, too.
fetch() {
    local release archive
    release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    archive=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(ORIGIN)' 'Created-By: Packages' \
        | awk -v release="$release" '$2 == release && $3 == "Debian" { print $1; exit }')
    [[ -n $archive ]] || { say "no Debian archive among apt's sources"; return 1; }
    rm -rf "$apt_dir" "$cached.new"
    mkdir -p "$apt_dir"/{lists,cache/archives}/partial "$apt_dir/packages"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $release-backports main" >"$apt_dir/sources"
    say "downloading QEMU from $release-backports"
    apt-get "${apt_here[@]}" update >&2 || return 1
    (cd "$apt_dir/packages" && apt-get "${apt_here[@]}" download -t "$release-backports" qemu-system-x86 qemu-system-data seabios >&2) || return 1
    local package
    for package in "$apt_dir"/packages/*.deb; do
        dpkg-deb -x "$package" "$cached.new" || return 1
    done
    rm -rf "$apt_dir"
    local missing
    missing=$(ldd "$cached.new/usr/bin/qemu-system-x86_64" | sed -n 's/^\s*\(.*\) => not found/\1/p' | tr '\n' ' ')
    [[ -z $missing ]] || { say "it needs libraries that are not installed: $missing"; return 1; }
    mv "$cached.new" "$cached"
}

if [[ ! -x $cached/usr/bin/qemu-system-x86_64 ]] && ! fetch; then
    rm -rf "$apt_dir" "$cached.new"
    rm -f "$out_dir/nested-qemu"
    say "nested hosts run on the installed QEMU $installed"
    exit 0
fi
cat >"$cached/nested-qemu" <<END
#!/bin/sh
exec $cached/usr/bin/qemu-system-x86_64 -L $cached/usr/share/qemu -L $cached/usr/share/seabios "\$@"
END
chmod +x "$cached/nested-qemu"
install_file "$cached/nested-qemu" "$out_dir/nested-qemu"
mark_current "$key" "$out_dir/nested-qemu"
say "$("$out_dir/nested-qemu" --version | head -n 1) is ready"
