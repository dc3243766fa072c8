namespace Cnvm.Arch.Cpuid;

/// <summary>One CPUID leaf (and subleaf, where the leaf has them).</summary>
public readonly record struct CpuidEntry
{
    /// <summary>EAX on input.</summary>
    public uint Leaf { get; init; }

    /// <summary>ECX on input; meaningful only with <see cref="HasSubleaf"/>.</summary>
    public uint Subleaf { get; init; }

    /// <summary>The leaf's answer depends on ECX.</summary>
    public bool HasSubleaf { get; init; }

    public uint Eax { get; init; }
    public uint Ebx { get; init; }
    public uint Ecx { get; init; }
    public uint Edx { get; init; }
}
