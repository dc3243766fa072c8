namespace Cnvm.Nested;

/// <summary>What a nested KVM host looks like. All values have defaults that fit a test.</summary>
public sealed record NestedHostOptions
{
    /// <summary>Processors of the host, 1 to 64. Each one is a thread of QEMU.</summary>
    public int Cpus { get; init; } = 2;

    /// <summary>Memory of the host in MiB. Whatever is written to its file system lives in it as well.</summary>
    public int MemoryMiB { get; init; } = 2048;

    /// <summary>Disks of the host, in order /dev/vda, /dev/vdb, ...</summary>
    public IReadOnlyList<NestedHostDrive> Drives { get; init; } = [];

    /// <summary>TCP ports of the host that are reachable from the start; see <see cref="NestedHost.ForwardAsync"/> for later ones.</summary>
    public IReadOnlyList<int> ForwardedPorts { get; init; } = [];

    /// <summary>One end of a cable to another nested host, as eth1, or null.</summary>
    public NestedHostLinkEnd? Link { get; init; }

    /// <summary>A directory of the build machine that is writable in the host too, at the same path and without caching, or null.</summary>
    public string? SharedDirectory { get; init; }

    /// <summary>
    /// The emulator is the installed QEMU and not a newer one of the backports: that of Debian 12 is the more exact processor, but only one
    /// emulated processor at a time is safe there (guest-images/nested-emulator.sh).
    /// </summary>
    public bool UsesInstalledEmulator { get; init; }

    /// <summary>QEMU's processor model; must have SVM.</summary>
    public string CpuModel { get; init; } = "EPYC,+svm,+npt";

    /// <summary>
    /// TSC frequency in kHz that the host's kernel takes as given; 0: it measures. The processors of all hosts on this machine have the same one, and
    /// measured on a busy machine it differs by more than a guest may find between two hosts.
    /// </summary>
    public uint TscKhz { get; init; }

    /// <summary>Further arguments for QEMU, such as an emulated device to pass through.</summary>
    public IReadOnlyList<string> QemuArguments { get; init; } = [];

    /// <summary>How long the host may take until it runs commands.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(120);
}
