#!/usr/bin/env bash
# All guest images. The small kernel takes minutes when it is not cached, so it is built beside the others.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

"$here/small-kernel.sh" &
small_kernel=$!
trap 'kill "$small_kernel" 2>/dev/null || true' EXIT
"$here/initramfs.sh"
"$here/debian-kernel.sh"
"$here/debian-kernel.sh" --nested
"$here/nested-emulator.sh"
"$here/sshd.sh"
"$here/containerd.sh"
"$here/debian-root.sh"
"$here/payload.sh"
trap - EXIT
wait "$small_kernel"
# It names the kernel that it goes with.
"$here/sandbox-initramfs.sh"
