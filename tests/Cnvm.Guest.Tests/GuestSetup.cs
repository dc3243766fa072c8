using System.Globalization;

namespace Cnvm.Guest.Tests;

/// <summary>What a test wants to boot.</summary>
public sealed record GuestSetup
{
    /// <summary>Value of --disk for the host's Debian root file system.</summary>
    private const string RootDisk = "path=@root,image_type=raw";

    private const int MaxPulseMiB = 512;
    private readonly bool? _pulses;

    /// <summary>The small kernel with busybox in its initramfs.</summary>
    public static GuestSetup Small { get; } = new();

    /// <summary>Debian's cloud kernel with the host's Debian root file system on its first disk.</summary>
    public static GuestSetup Debian { get; } = new()
    {
        Kernel = "vmlinux-debian",
        Initramfs = "initramfs-debian.cpio",
        Cmdline = "console=ttyS0 quiet panic=-1 root=/dev/vda rw",
        Disks = [RootDisk],
    };

    /// <summary>Names of guest images.</summary>
    public string Kernel { get; init; } = "vmlinux-small";

    public string Initramfs { get; init; } = "initramfs.cpio";

    public string Cmdline { get; init; } = "console=ttyS0 quiet panic=-1";

    public int Cpus { get; init; } = 1;

    /// <summary>Further keys of --cpus, with a comma before each.</summary>
    public string CpuKeys { get; init; } = "";

    public int MemoryMiB { get; init; } = 256;

    /// <summary>Further keys of --memory, with a comma before each.</summary>
    public string MemoryKeys { get; init; } = "";

    /// <summary>cloud or microvm.</summary>
    public string Machine { get; init; } = "cloud";

    /// <summary>Values of --disk. @root stands for the host's Debian root disk.</summary>
    public IReadOnlyList<string> Disks { get; init; } = [];

    /// <summary>Value of --net, or null.</summary>
    public string? Net { get; init; }

    /// <summary>A network namespace of the host that the VMM runs in, or null.</summary>
    public string? NetworkNamespace { get; init; }

    /// <summary>Further flags, as a shell takes them. The working directory is the guest's own.</summary>
    public string Flags { get; init; } = "";

    /// <summary>
    /// The guest goes through save, reset and restore right after it has booted. Not by default with much memory: two copies of it would
    /// have to fit into the host beside it.
    /// </summary>
    public bool Pulses
    {
        get => _pulses ?? MemoryMiB <= MaxPulseMiB;
        init => _pulses = value;
    }

    /// <summary>If it <see cref="Pulses"/>, it does so where processors are emulated too, in short runs.</summary>
    public bool PulsesEverywhere { get; init; }

    public bool IsDebian => Kernel.EndsWith("-debian", StringComparison.Ordinal);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Kernel} {Machine} {Cpus} vCPUs {MemoryMiB} MiB {Cmdline}");
}
