namespace Cnvm.Hypervisor;

/// <summary>What a hypervisor on this host can do. Quirks are data here; nothing above a backend asks which backend it is.</summary>
public sealed record HypervisorCapabilities
{
    /// <summary>Most vCPUs one partition may have.</summary>
    public required int MaxVcpus { get; init; }

    /// <summary>Width of guest-physical addresses in bits.</summary>
    public required int PhysicalAddressBits { get; init; }

    /// <summary>Most RAM regions that can be mapped at once.</summary>
    public required int MaxMemoryRegions { get; init; }

    /// <summary>An ordinary operating system runs here: supervisor code, system calls, exceptions.</summary>
    public required bool RunsOrdinaryGuests { get; init; }

    /// <summary>Why <see cref="RunsOrdinaryGuests"/> is false, and what to do; null when it is true.</summary>
    public string? OrdinaryGuestsObstacle { get; init; }

    public bool DirtyLog { get; init; }
    public bool DirtyRing { get; init; }

    /// <summary>A guest may be given another TSC frequency than the host's.</summary>
    public bool TscScaling { get; init; }

    /// <summary>Host TSC frequency in kHz; 0 if unknown.</summary>
    public uint TscKhz { get; init; }

    public bool X2Apic { get; init; }
    public bool GuestDebug { get; init; }

    /// <summary><see cref="PartitionOptions.HiddenMsrs"/> has an effect.</summary>
    public bool MsrFilter { get; init; }

    public bool ReadOnlyMemory { get; init; }
}
