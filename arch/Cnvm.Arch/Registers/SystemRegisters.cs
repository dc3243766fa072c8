namespace Cnvm.Arch.Registers;

/// <summary>Segments, descriptor tables and control registers of a vCPU.</summary>
public record struct SystemRegisters
{
    public SegmentRegister Cs { get; set; }
    public SegmentRegister Ds { get; set; }
    public SegmentRegister Es { get; set; }
    public SegmentRegister Fs { get; set; }
    public SegmentRegister Gs { get; set; }
    public SegmentRegister Ss { get; set; }
    public SegmentRegister Tr { get; set; }
    public SegmentRegister Ldt { get; set; }
    public DescriptorTable Gdt { get; set; }
    public DescriptorTable Idt { get; set; }
    public ulong Cr0 { get; set; }
    public ulong Cr2 { get; set; }
    public ulong Cr3 { get; set; }
    public ulong Cr4 { get; set; }
    public ulong Cr8 { get; set; }
    public ulong Efer { get; set; }

    /// <summary>IA32_APIC_BASE: base, enable (11), x2APIC (10), BSP (8).</summary>
    public ulong ApicBase { get; set; }
}
