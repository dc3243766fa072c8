namespace Cnvm.Arch.Registers;

/// <summary>Where and in which mode a boot protocol enters the kernel: what it changes of a vCPU that was just reset.</summary>
public sealed record VcpuEntry
{
    public required GeneralRegisters General { get; init; }

    /// <summary>
    /// Segments, tables, CR0, CR3, CR4 and EFER as the protocol asks. <see cref="SystemRegisters.ApicBase"/> and CR8 are
    /// ignored: those keep their reset values.
    /// </summary>
    public required SystemRegisters System { get; init; }
}
