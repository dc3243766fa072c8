#!/usr/bin/env bash
# The bare-metal payload: payload/build.sh FILE makes it.
set -euo pipefail
script_name=payload
# shellcheck source=guest-images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -x $images_dir/payload/build.sh ]] || exit 0
mapfile -t inputs < <(find "$images_dir/payload" -type f | sort)
key=$(hash_of "${inputs[@]}")
is_current "$key" "$out_dir/payload" && exit 0
mkdir -p "$out_dir"
"$images_dir/payload/build.sh" "$out_dir/payload.new"
mv "$out_dir/payload.new" "$out_dir/payload"
mark_current "$key" "$out_dir/payload"
say "payload is ready"
