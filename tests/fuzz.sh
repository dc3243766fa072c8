#!/usr/bin/env bash
# tests/fuzz.sh [TEXT...]   every randomised test, or those whose names contain one of the texts, one after the other for FUZZ_SECONDS (60) each
# Seeds differ from run to run; FUZZ_SEED=N begins with N. What each has run is added up in a ledger in the cache folder (CNVM_CACHE), which is
# printed at the end. Exit code 1: something was found, or a test could not be run; what it said is in out/fuzz/NAME.log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=guest-images/lib.sh
source guest-images/lib.sh
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

seconds=${FUZZ_SECONDS:-60}
seed=${FUZZ_SEED:-$(od -An -N4 -tu4 /dev/urandom | awk '{ print $1 % 1000000000 }')}
for value in "$seconds" "$seed"; do
    [[ $value =~ ^[0-9]{1,9}$ ]] || { echo "fuzz: FUZZ_SECONDS and FUZZ_SEED are numbers, not '$value'" >&2; exit 2; }
done

# Name, project of the tests, method, and for one of several cases a part of its name.
targets() {
    cat <<'END'
queue-rings            Virtio     QueueFuzzTests.Rings_of_noise
queue-model            Virtio     QueueFuzzTests.A_driver_model
queue-inflight         Virtio     InflightFuzzTests.Notes_of_noise
device-block-uring     Virtio     DeviceFuzzTests.Noise_does_no_harm                 block-uring
device-block-threads   Virtio     DeviceFuzzTests.Noise_does_no_harm                 block-threads
device-block-limited   Virtio     DeviceFuzzTests.Noise_does_no_harm                 block-limited
device-block-qcow2     Virtio     DeviceFuzzTests.Noise_does_no_harm                 block-qcow2
device-net             Virtio     DeviceFuzzTests.Noise_does_no_harm                 "net"
device-rng             Virtio     DeviceFuzzTests.Noise_does_no_harm                 "rng"
device-console         Virtio     DeviceFuzzTests.Noise_does_no_harm                 "console"
device-vsock           Virtio     DeviceFuzzTests.Noise_does_no_harm                 "vsock"
device-balloon         Virtio     DeviceFuzzTests.Noise_does_no_harm                 "balloon"
device-watchdog        Virtio     DeviceFuzzTests.Noise_does_no_harm                 "watchdog"
device-fs              Virtio     DeviceFuzzTests.Noise_does_no_harm                 "fs"
fuse-requests          Virtio     FuseHostileTests.Noise_does_no_harm                seed:.1
pci-registers          Virtio     PciTransportTests.Random_register_accesses
mmio-registers         Virtio     MmioFuzzTests.Random_register_accesses
vhost-user-front-ends  Virtio     VhostUserServerHostileTests.Noise_ends_connections
vhost-user-back-ends   Virtio     VhostUserHostileTests.Answers_of_noise
net-stream             Virtio     StreamFuzzTests.Noise_costs_the_connection
image-qcow2-zlib       Virtio     Qcow2.DamageTests.Damage_anywhere                  zlib
image-qcow2-zstd       Virtio     Qcow2.DamageTests.Damage_anywhere                  zstd
image-qcow2-chain      Virtio     ChainFuzzTests.A_damaged_header
image-vhdx             Virtio     BlockTableDamageTests.Damage_anywhere              vhdx
image-vhd              Virtio     BlockTableDamageTests.Damage_anywhere              vpc
image-vhdx-cut         Virtio     BlockTableDamageTests.A_file_cut_anywhere          vhdx
image-vhd-cut          Virtio     BlockTableDamageTests.A_file_cut_anywhere          vpc
image-vhdx-log         Virtio     VhdxLogTests.Damage_in_a_log
image-vhd-fixed        Virtio     FixedVhdDamageTests.Damage_in_a_footer
bus-registers          Devices    FuzzBusTests.Nothing_a_guest_accesses
kernel-file            Arch       BootLoaderTests.Mutated_kernels
kernel-lz4             Arch       Lz4LegacyStreamTests.Random_input
state-format           Hypervisor StateFormatTests.HostileBytesWithARightChecksum
state-machine          Vmm        MachineElementsTests.Hostile_bytes
state-restore          Vmm        RestoreRequestTests.Hostile_states
state-file             Vmm        HostFileFuzzTests.A_state_file
memory-file            Vmm        RestoreRequestTests.Damaged_memory                 False
memory-file-packed     Vmm        RestoreRequestTests.Damaged_memory                 True
cpu-profile            Vmm        HostFileFuzzTests.A_profile
host-capabilities      Vmm        HostFileFuzzTests.A_description_of_a_host
migration-stream       Vmm        StreamFuzzTests.A_target_refuses                   False
migration-postcopy     Vmm        StreamFuzzTests.A_target_refuses                   True
migration-source       Vmm        HostileSourceTests.No_page_comes_twice
migration-joins        Vmm        HostileSourceTests.Strangers_change_nothing
api-http-cuts          Api        HttpFuzzTests.A_head_is_parsed
api-http-answers       Api        HttpFuzzTests.Answers_are_the_same
api-http-clients       Api        HttpFuzzTests.Clients_of_every_bad_kind
api-json               Api        JsonFuzzTests.A_body_is_refused
api-calls              Api        CallFuzzTests.Calls_in_every_state
api-races              Api        CallFuzzTests.Calls_that_race
oci-layer              Sandbox    HostileImageTests.Damaged_archives
oci-layout             Sandbox    DocumentFuzzTests.The_documents_of_a_layout
docker-archive         Sandbox    DocumentFuzzTests.The_documents_of_an_archive
vmm-events             Sandbox    DocumentFuzzTests.Events_are_refused
oci-config             Ttrpc      OciConfigTests.Damaged_configurations
protobuf-damaged       Ttrpc      MessageTests.Damaged_messages
protobuf-noise         Ttrpc      MessageTests.Noise_is_read
ttrpc-frames           Ttrpc      ServerTests.Noise_ends
shim-config            Shim       ConfigurationTests.The_runtimes_file_is_refused_by_name_or_read
shim-bundle            Shim       ConfigurationTests.A_containers_configuration_is_refused
END
}

wanted() {
    (($# > 1)) || return 0
    local name=$1 text
    shift
    for text; do
        [[ $name == *"$text"* ]] && return 0
    done
    return 1
}

chosen=()
while read -r name project test part; do
    if wanted "$name" "$@"; then chosen+=("$name $project $test $part"); fi
done < <(targets)
((${#chosen[@]})) || { echo "fuzz: there is no target with such a name; they are: $(targets | awk '{ printf "%s ", $1 }')" >&2; exit 2; }

out=out/fuzz
ledger=$cache_dir/fuzz/ledger
mkdir -p "$out" "${ledger%/*}"
touch "$ledger"
# Left over from a run that was ended: a result is this run's or there is none.
rm -rf "${out:?}/results"
for project in $(printf '%s\n' "${chosen[@]}" | awk '!seen[$2]++ { print $2 }'); do
    echo "fuzz: building the tests of $project" >&2
    dotnet build "tests/Cnvm.$project.Tests" -v q --nologo >"$out/build.log" 2>&1 || { grep -E 'error|warning' "$out/build.log" | sort -u >&2; exit 1; }
done

echo "fuzz: ${#chosen[@]} targets, $seconds s each, seeds from $seed on (FUZZ_SEED=$seed begins with them again)" >&2
found=0
for target in "${chosen[@]}"; do
    read -r name project test part <<<"$target"
    status=0
    CNVM_FUZZ_SECONDS=$seconds CNVM_FUZZ_SEED=$seed dotnet test "tests/Cnvm.$project.Tests" --no-build --nologo \
        --filter "FullyQualifiedName~$test${part:+&DisplayName~${part//./ }}" --results-directory "$out/results/$name" --logger trx \
        --logger 'console;verbosity=normal' --blame-hang-timeout "$((seconds + 900))s" --blame-hang-dump-type none >"$out/$name.log" 2>&1 || status=$?

    # How it ended, and how long it took, of <UnitTestResult ... duration="hh:mm:ss.fff" outcome="Passed">.
    read -r outcome took < <(find "$out/results/$name" -name '*.trx' -exec grep -ho '<UnitTestResult [^>]*>' {} + 2>/dev/null | awk '
        function value(name, text) {
            text = $0
            return sub(".* " name "=\"", "", text) && sub("\".*", "", text) ? text : ""
        }
        { outcome = value("outcome"); split(value("duration"), t, ":"); all += t[1] * 3600 + t[2] * 60 + t[3] }
        END { print outcome ? outcome : "none", int(all + 0.5) }')
    case $outcome:$status in
        Passed:0) word=clean ;;
        NotExecuted:*) word=skipped took=0 ;;
        none:0) word='no such test' took=0 found=1 ;;
        *) word=FOUND found=1 ;;
    esac
    printf '%s\t%s\t%s\t%s\t%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$name" "$seed" "$took" "$word" >>"$ledger"
    printf 'fuzz: %-24s %5d s  %s\n' "$name" "$took" "$word" >&2
    if [[ $word == FOUND ]]; then
        grep -E -m1 'seed [0-9]+, after' "$out/$name.log" | cut -c1-300 >&2 || true
        echo "fuzz:   all of it: $out/$name.log" >&2
    fi
done

awk -F '\t' '
    FNR == NR { split($0, w, " "); if (!(w[1] in place)) { place[w[1]] = ++count; names[count] = w[1] } next }
    $2 in place { total[$2] += $4; runs[$2]++; bad[$2] += $5 == "FOUND" }
    END {
        printf "%-24s %10s %7s %6s %6s\n", "target", "seconds", "hours", "runs", "found"
        for (i = 1; i <= count; i++) printf "%-24s %10d %7.2f %6d %6d\n", names[i], total[names[i]], total[names[i]] / 3600, runs[names[i]], bad[names[i]]
    }' <(targets) "$ledger"
echo "fuzz: the ledger is $ledger" >&2
((found == 0))
