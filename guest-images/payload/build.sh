#!/bin/sh
# Builds the bare-metal payload with gcc and ld alone.
#   guest-images/payload/build.sh [OUTPUT]     default: out/images/payload in the checkout
set -eu

here=$(cd "$(dirname "$0")" && pwd)
output=${1:-${CNVM_IMAGES:-$here/../../out/images}/payload}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

flags='-m64 -O2 -std=gnu11 -Wall -Wextra -Werror -ffreestanding -fno-pic -mno-red-zone -mcmodel=small
    -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns'
objects=
for source in entry.S main.c modes.c machine.c console.c options.c block.c; do
    object=$work/${source%.*}.o
    # shellcheck disable=SC2086
    gcc $flags -c -o "$object" "$here/$source"
    objects="$objects $object"
done

mkdir -p "$(dirname "$output")"
# shellcheck disable=SC2086
ld -m elf_x86_64 -nostdlib -static --build-id=none -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments \
    -T "$here/payload.ld" -o "$work/payload" $objects
mv "$work/payload" "$output"
