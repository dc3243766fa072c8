# Shared by the scripts of this folder; sourced, never run. Progress goes to stderr, one line a step.
# shellcheck shell=bash

images_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo_dir=$(dirname "$images_dir")
out_dir=${CNVM_IMAGES:-$repo_dir/out/images}
cache_dir=${CNVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cnvm}
export LC_ALL=C.UTF-8
# modprobe, depmod, mke2fs and ip live where an ordinary user does not look.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s: %s\n' "${script_name:-images}" "$*" >&2; }
die() { say "$*"; exit 1; }

# Hash of the content of the given files and of every further word that is not a file.
hash_of() {
    local item
    for item in "$@"; do
        if [[ -f $item ]]; then cat -- "$item"; else printf '%s\n' "$item"; fi
    done | sha256sum | cut -c1-16
}

# is_current KEY FILE...: every FILE exists and was made from KEY.
is_current() {
    local key=$1 file
    shift
    for file in "$@"; do
        [[ -e $file && -f $out_dir/.stamps/$(basename "$file") ]] || return 1
        [[ $(<"$out_dir/.stamps/$(basename "$file")") == "$key" ]] || return 1
    done
}

# mark_current KEY FILE...
mark_current() {
    local key=$1 file
    shift
    mkdir -p "$out_dir/.stamps"
    for file in "$@"; do
        printf '%s\n' "$key" >"$out_dir/.stamps/$(basename "$file")"
    done
}

# Puts a file in place in one step, so that nobody ever sees half of it. Holes stay holes.
install_file() {
    mkdir -p "$(dirname "$2")"
    cp --reflink=auto --sparse=always -- "$1" "$2.new.$$"
    mv -f -- "$2.new.$$" "$2"
}

# One builder at a time for each cached thing: two checkouts share the cache.
lock_cache() {
    mkdir -p "$cache_dir"
    exec 9>"$cache_dir/$1.lock"
    if ! flock -n 9; then
        say "another build of $1 is running; waiting for it"
        flock 9
    fi
}

# download_package NAME DIRECTORY: leaves exactly one NAME_*.deb there, without installing it.
download_package() {
    local name=$1 dir=$2 deb
    mkdir -p "$dir"
    deb=$(find "$dir" -maxdepth 1 -name "${name}_*.deb" -print -quit)
    if [[ -n $deb ]]; then
        printf '%s\n' "$deb"
        return
    fi
    rm -rf "$dir/partial"
    mkdir -p "$dir/partial"
    say "downloading package $name"
    if ! (cd "$dir/partial" && apt-get -qq -o APT::Sandbox::User=root download "$name" >/dev/null 2>apt.log); then
        # Stale or absent package lists are the usual cause, so refresh them once.
        as_root apt-get -qq update >&2
        (cd "$dir/partial" && apt-get -qq -o APT::Sandbox::User=root download "$name" >/dev/null 2>apt.log) \
            || { cat "$dir/partial/apt.log" >&2; die "cannot download $name: check /etc/apt/sources.list"; }
    fi
    mv "$dir"/partial/*.deb "$dir/"
    rm -rf "$dir/partial"
    find "$dir" -maxdepth 1 -name "${name}_*.deb" -print -quit
}

# The real package behind a meta package such as linux-image-cloud-amd64.
dependency_of() {
    apt-cache depends --important "$1" 2>/dev/null | sed -n 's/^ *Depends: *//p' | grep -m1 "$2" || true
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "root is needed for '$*' and there is no sudo; run as root"
    fi
}
