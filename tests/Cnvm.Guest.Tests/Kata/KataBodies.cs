using System.Text.Json.Nodes;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests.Kata;

/// <summary>What Kata's drivers send, field by field. The serial port is the terminal, as with Kata's debug option; the rest is its default.</summary>
internal static class KataBodies
{
    public const long MemoryBytes = 256L << 20;

    /// <summary>All RAM of a host but the guest's, in units of 2 MiB: what the driver in Rust keeps room for.</summary>
    private const long HostBytes = (64L << 30) - MemoryBytes - (6L << 20);

    /// <summary>vm.create of the driver in Go (clh.go), with an initrd and a disk in place of the image.</summary>
    public static JsonObject Go(string folder, string disk, string fsSocket) => JsonNode.Parse(
        $$$"""
        {
          "cpus": {"boot_vcpus": 1, "max_vcpus": 2, "topology": {"threads_per_core": 1, "cores_per_die": 2, "dies_per_package": 1, "packages": 1}},
          "memory": {"size": {{{MemoryBytes}}}, "hotplug_size": 8589934592, "hotplug_method": "Acpi", "shared": true, "hugepages": false, "mergeable": false},
          "payload": {"kernel": "{{{Repository.Image("vmlinux-small")}}}", "initramfs": "{{{Repository.Image("initramfs.cpio")}}}",
                      "cmdline": "panic=1 no_timer_check noreplace-smp console=ttyS0,115200n8 systemd.log_target=console agent.log=debug quiet"},
          "disks": [{"path": "{{{disk}}}", "readonly": true, "image_type": "Raw", "num_queues": 1, "queue_size": 128, "vhost_user": false,
                     "rate_limiter_config": {"bandwidth": {"size": 1048576, "refill_time": 1000}} }],
          "rng": {"src": "/dev/urandom", "iommu": false},
          "balloon": {"size": 0, "free_page_reporting": true},
          "fs": [{"tag": "kataShared", "socket": "{{{fsSocket}}}", "num_queues": 1, "queue_size": 1024, "pci_segment": 1}],
          "serial": {"mode": "Tty"},
          "console": {"mode": "Off", "iommu": false},
          "vsock": {"cid": 3, "socket": "{{{folder}}}/clh.sock"},
          "platform": {"num_pci_segments": 2}
        }
        """)!.AsObject();

    /// <summary>The same when a template is made: all memory is a file that its clones map.</summary>
    public static JsonObject Template(string folder, string memoryFile) => JsonNode.Parse(
        $$$"""
        {
          "cpus": {"boot_vcpus": 1, "max_vcpus": 2, "topology": {"threads_per_core": 1, "cores_per_die": 2, "dies_per_package": 1, "packages": 1}},
          "memory": {"size": 0, "zones": [{"id": "mem0", "size": {{{MemoryBytes}}}, "file": "{{{memoryFile}}}", "shared": true}]},
          "payload": {"kernel": "{{{Repository.Image("vmlinux-small")}}}", "initramfs": "{{{Repository.Image("initramfs.cpio")}}}", "cmdline": "panic=1 console=ttyS0,115200n8 quiet"},
          "rng": {"src": "/dev/urandom", "iommu": false},
          "serial": {"mode": "Tty"},
          "console": {"mode": "Off", "iommu": false},
          "vsock": {"cid": 3, "socket": "{{{folder}}}/clh.sock"},
          "platform": {"num_pci_segments": 2}
        }
        """)!.AsObject();

    /// <summary>vm.create of the driver in Rust (runtime-rs, ch_api.rs), which writes what it does not have as null.</summary>
    public static JsonObject Rust(string folder, string disk, string fsSocket) => JsonNode.Parse(
        $$$"""
        {
          "cpus": {"boot_vcpus": 1, "max_vcpus": 4, "topology": {"threads_per_core": 1, "cores_per_die": 4, "dies_per_package": 1, "packages": 1},
                   "kvm_hyperv": false, "max_phys_bits": 46, "affinity": null, "features": {"amx": false}},
          "memory": {"size": {{{MemoryBytes}}}, "mergeable": false, "hotplug_method": "Acpi", "hotplug_size": {{{HostBytes}}}, "hotplugged_size": null,
                     "shared": true, "hugepages": false, "hugepage_size": null, "prefault": false, "zones": null, "thp": false},
          "payload": {"firmware": null, "kernel": "{{{Repository.Image("vmlinux-small")}}}", "initramfs": "{{{Repository.Image("initramfs.cpio")}}}",
                      "cmdline": "reboot=k panic=1 systemd.unit=kata-containers.target no_timer_check noreplace-smp console=ttyS0 quiet", "mrconfigid": null, "host_data": null},
          "disks": [{"path": "{{{disk}}}", "readonly": true, "direct": false, "iommu": false, "num_queues": 1, "queue_size": 128,
                     "vhost_user": false, "vhost_socket": null, "rate_limiter_config": null, "id": null, "disable_io_uring": false,
                     "pci_segment": 0, "image_type": "Unknown"}],
          "net": null, "balloon": null, "pmem": null, "devices": null, "user_devices": null, "vdpa": null, "numa": null, "platform": null,
          "rng": {"src": "/dev/urandom", "iommu": false},
          "fs": [{"tag": "kataShared", "socket": "{{{fsSocket}}}", "num_queues": 1, "queue_size": 1024, "id": null, "pci_segment": 0}],
          "serial": {"file": null, "mode": "Tty", "iommu": false},
          "console": {"file": null, "mode": "Null", "iommu": false},
          "vsock": {"cid": 3, "socket": "{{{folder}}}/ch-vm.sock", "iommu": false, "id": null, "pci_segment": 0},
          "iommu": false, "sgx_epc": null, "watchdog": false
        }
        """)!.AsObject();

    /// <summary>vm.add-net of both; the TAP interface comes along as a descriptor.</summary>
    public static string Net(string mac) =>
        $$"""{"ip":"192.168.249.1","mask":"255.255.255.0","mac":"{{mac}}","iommu":false,"num_queues":2,"queue_size":256,"vhost_user":false,"vhost_mode":"Client","offload_tso":true,"offload_ufo":true,"offload_csum":true}""";

    /// <summary>vm.add-disk of a container's disk, by the driver in Go.</summary>
    public static string GoDisk(string path) =>
        $$"""{"path":"{{path}}","readonly":true,"image_type":"Raw","direct":false,"num_queues":1,"queue_size":1024,"vhost_user":false,"iommu":false}""";

    /// <summary>vm.add-disk of a container's disk, by the driver in Rust.</summary>
    public static string RustDisk(string path) =>
        $$"""{ "path": "{{path}}", "readonly": true, "num_queues": 1, "queue_size": 128, "sparse": false, "image_type": "Raw", "direct": false, "id": null }""";
}
