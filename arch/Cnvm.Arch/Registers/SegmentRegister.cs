namespace Cnvm.Arch.Registers;

/// <summary>A segment register with its hidden part (SDM vol. 3 §3.4.3).</summary>
public readonly record struct SegmentRegister
{
    /// <summary>Linear base address.</summary>
    public ulong Base { get; init; }

    /// <summary>Limit in bytes, after granularity has been applied.</summary>
    public uint Limit { get; init; }

    public ushort Selector { get; init; }

    /// <summary>
    /// Attributes in the layout of descriptor bits 55:40: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15;
    /// bit 16 set means unusable (a null selector), as VMX and SVM hosts report it.
    /// </summary>
    public uint Attributes { get; init; }

    /// <summary>Bit of <see cref="Attributes"/>: the segment is unusable.</summary>
    public const uint Unusable = 1u << 16;

    public byte Type => (byte)(Attributes & 0xf);
    public bool NonSystem => (Attributes & 0x10) != 0;
    public byte Dpl => (byte)((Attributes >> 5) & 3);
    public bool Present => (Attributes & 0x80) != 0;
    public bool Available => (Attributes & 0x1000) != 0;
    public bool Long => (Attributes & 0x2000) != 0;
    public bool Default => (Attributes & 0x4000) != 0;
    public bool Granularity => (Attributes & 0x8000) != 0;
    public bool IsUnusable => (Attributes & Unusable) != 0;
}
