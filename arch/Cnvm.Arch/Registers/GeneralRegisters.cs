namespace Cnvm.Arch.Registers;

/// <summary>The integer registers of a vCPU.</summary>
public record struct GeneralRegisters
{
    public ulong Rax { get; set; }
    public ulong Rbx { get; set; }
    public ulong Rcx { get; set; }
    public ulong Rdx { get; set; }
    public ulong Rsi { get; set; }
    public ulong Rdi { get; set; }
    public ulong Rsp { get; set; }
    public ulong Rbp { get; set; }
    public ulong R8 { get; set; }
    public ulong R9 { get; set; }
    public ulong R10 { get; set; }
    public ulong R11 { get; set; }
    public ulong R12 { get; set; }
    public ulong R13 { get; set; }
    public ulong R14 { get; set; }
    public ulong R15 { get; set; }
    public ulong Rip { get; set; }

    /// <summary>RFLAGS; bit 1 always reads as one.</summary>
    public ulong Rflags { get; set; }
}
