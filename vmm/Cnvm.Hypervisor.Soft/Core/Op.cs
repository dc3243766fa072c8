using System.Runtime.InteropServices;

namespace Cnvm.Hypervisor.Soft.Core;

/// <summary>
/// One operation of a translated block: what to call and its operands. Register operands are byte offsets into <see cref="Cpu"/>,
/// so every register file is reached in the same way. Operations of a block lie one after another.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal unsafe struct Op
{
    /// <summary>Executes the operation and, in tail position, the one after it; the result is an <see cref="Exit"/> code.</summary>
    [FieldOffset(0)]
    public delegate*<Cpu*, Op*, nint> Fn;

    [FieldOffset(8)]
    public ushort Dst;

    [FieldOffset(10)]
    public ushort Src;

    /// <summary>Byte offsets of the registers that make up a memory operand's address; <see cref="Cpu.ZeroSlot"/> for none.</summary>
    [FieldOffset(12)]
    public byte Base;

    [FieldOffset(13)]
    public byte Index;

    /// <summary>Byte offset of the segment base register slot.</summary>
    [FieldOffset(14)]
    public byte Seg;

    /// <summary>log2 of the index scale.</summary>
    [FieldOffset(15)]
    public byte Scale;

    [FieldOffset(16)]
    public int Disp;

    /// <summary>Offset of the guest instruction from the start of the block.</summary>
    [FieldOffset(20)]
    public ushort RipDelta;

    /// <summary>Guest instructions of the block up to and including this one.</summary>
    [FieldOffset(22)]
    public byte Count;

    /// <summary>Bits 3:0 length of the guest instruction; bit 7: first operation of its instruction.</summary>
    [FieldOffset(23)]
    public byte LengthAndStart;

    [FieldOffset(24)]
    public long Imm;

    /// <summary>First operation of the block that a direct branch leads to; null until resolved.</summary>
    [FieldOffset(24)]
    public Op* Target;

    public readonly int Length => LengthAndStart & 15;

    /// <summary>Offset of the next guest instruction from the start of the block.</summary>
    public readonly uint NextDelta => (uint)(RipDelta + (LengthAndStart & 15));
}
