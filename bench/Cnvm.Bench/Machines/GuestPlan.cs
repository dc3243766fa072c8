namespace Cnvm.Bench.Machines;

/// <summary>The machine that every VMM is asked for, and whatever the guest writes to port 0xe9 on standard output.</summary>
internal sealed record GuestPlan
{
    /// <summary>Guest memory unless it is said otherwise. Most figures are about everything else, so it is small.</summary>
    public const int MemoryMiB = 128;

    /// <summary>The guest's number among those with a virtio socket device.</summary>
    public const int ContextId = 3;

    /// <summary>vCPUs.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>Guest memory in MiB.</summary>
    public int Memory { get; init; } = MemoryMiB;

    /// <summary>Kernel with a PVH entry; null: only the control socket, no machine runs.</summary>
    public string? Kernel { get; init; }

    public string CommandLine { get; init; } = "";

    public string? Initramfs { get; init; }

    /// <summary>Raw image for a virtio disk.</summary>
    public string? Disk { get; init; }

    /// <summary>qcow2 image for one more virtio disk, behind the raw one.</summary>
    public string? Qcow2 { get; init; }

    /// <summary>An existing TAP for a virtio network device.</summary>
    public string? Tap { get; init; }

    /// <summary>A shared folder.</summary>
    public FolderShare? Share { get; init; }

    /// <summary>A virtio socket device; cnvm's end on the host is this Unix socket.</summary>
    public string? VsockSocket { get; init; }

    /// <summary>Unix socket to be controlled by.</summary>
    public string? ControlSocket { get; init; }

    /// <summary>The guest's memory is a memory file, which has a name in /proc/PID/smaps.</summary>
    public bool NamedMemory { get; init; }

    /// <summary>What the guest writes to its first serial port goes to standard output, instead of port 0xe9.</summary>
    public bool SerialOutput { get; init; }

    /// <summary>Nothing boots: the machine comes from another process, as the control socket is told.</summary>
    public bool Arrives { get; init; }

    /// <summary>cnvm says on standard error what it does.</summary>
    public bool Verbose { get; init; }
}
