#!/bin/bash
# Measures cnvm and its peers side by side; the arguments are those of Cnvm.Bench (--filter TEXT, --runs N, --list, --json FILE).
set -euo pipefail
cd "$(dirname "$0")/.."

build() {
    local log="out/$1.log"
    mkdir -p out
    if ! dotnet build "bench/$1" -c Release -o "out/bench/$1" -v q --nologo >"$log" 2>&1; then
        grep -E 'error|warning' "$log" | sort -u >&2 || cat "$log" >&2
        exit 1
    fi
}

# BENCH_ARGS is how 'make bench' passes arguments on.
# shellcheck disable=SC2086
set -- "$@" ${BENCH_ARGS-}
build Cnvm.Bench
exec dotnet out/bench/Cnvm.Bench/Cnvm.Bench.dll "$@"
