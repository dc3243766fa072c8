namespace Cnvm.Arch.Cpuid;

/// <summary>Feature bits that a guest is not shown although the hypervisor has them.</summary>
public sealed record CpuidMask
{
    /// <summary>The leaf.</summary>
    public required uint Leaf { get; init; }

    /// <summary>The subleaf, for leaves that have them.</summary>
    public uint Subleaf { get; init; }

    /// <summary>Bits to clear in EAX.</summary>
    public uint Eax { get; init; }

    /// <summary>Bits to clear in EBX.</summary>
    public uint Ebx { get; init; }

    /// <summary>Bits to clear in ECX.</summary>
    public uint Ecx { get; init; }

    /// <summary>Bits to clear in EDX.</summary>
    public uint Edx { get; init; }
}
