#!/bin/bash
# containerd.sh DIRECTORY
#
# The first process of a mount and a process namespace of its own: a containerd with everything in DIRECTORY and with an image of busybox
# (local/busybox:latest). Prints READY when it answers, and runs until it is killed, with which everything in the namespaces ends.

set -eu
cd "$1"
mount -t tmpfs tmpfs /run/containerd

cat >config.toml <<EOF
version = 2
root = "$1/root"
state = "$1/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "$1/c.sock"
[ttrpc]
  address = "$1/c.sock.ttrpc"
EOF

# An OCI image layout of one layer (image-spec, image-layout.md).
mkdir -p layer/bin layer/dev layer/etc layer/proc layer/sys layer/tmp image/blobs/sha256
cp /bin/busybox layer/bin/busybox
ln -s busybox layer/bin/sh
tar --owner=0 --group=0 -C layer -cf layer.tar .
# descriptor FILE TYPE: makes the file a blob and prints its descriptor.
descriptor() {
    local digest size
    digest=$(sha256sum "$1" | cut -d ' ' -f 1)
    size=$(stat -c %s "$1")
    mv "$1" "image/blobs/sha256/$digest"
    printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%d' "$2" "$digest" "$size"
}
layer=$(descriptor layer.tar layer.v1.tar)
digest=${layer#*digest\":\"}
printf '{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["%s"]}}' "${digest%%\"*}" >config
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s},"layers":[%s}]}' "$(descriptor config config.v1+json)" "$layer" >manifest
printf '{"schemaVersion":2,"manifests":[%s,"annotations":{"org.opencontainers.image.ref.name":"latest"}}]}' "$(descriptor manifest manifest.v1+json)" >image/index.json
printf '{"imageLayoutVersion":"1.0.0"}' >image/oci-layout
tar -C image -cf image.tar .

containerd --config config.toml >log 2>&1 &
for try in $(seq 600); do
    ctr --address "$1/c.sock" version >/dev/null 2>&1 && break
    kill -0 $! || { tail log >&2; exit 1; }
    sleep 0.1
done
ctr --address "$1/c.sock" --namespace "${1##*/}" image import --base-name local/busybox image.tar >/dev/null
echo READY
wait $!
