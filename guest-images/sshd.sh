#!/usr/bin/env bash
# Unpacks the SSH server of Debian's openssh-server without installing it: installed, it would begin to listen on this machine. The tests
# run it inside nested hosts. Its libraries come with packages that are needed anyway (openssh-client, socat).
#   sshd  the program
set -euo pipefail
script_name=sshd
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Client and server of one source package belong together: a newer client means a newer server, too.
key=$(hash_of "${BASH_SOURCE[0]}" "$(dpkg-query -W -f '${Version}' openssh-client)")
is_current "$key" "$out_dir/sshd" && exit 0

cached=$cache_dir/sshd-$key
lock_cache sshd
if [[ ! -x $cached/usr/sbin/sshd ]]; then
    rm -rf "$cached" "$cached.new"
    # As new as the package lists have it, not as an earlier download was.
    rm -f "$cache_dir"/packages/openssh-server_*.deb
    dpkg-deb -x "$(download_package openssh-server "$cache_dir/packages")" "$cached.new"
    mv "$cached.new" "$cached"
fi
missing=$(ldd "$cached/usr/sbin/sshd" | sed -n 's/^\s*\(.*\) => not found/\1/p' | tr '\n' ' ')
[[ -z $missing ]] || die "Debian's sshd needs libraries that are not installed: $missing"
install_file "$cached/usr/sbin/sshd" "$out_dir/sshd"
mark_current "$key" "$out_dir/sshd"
say "Debian's sshd is ready"
