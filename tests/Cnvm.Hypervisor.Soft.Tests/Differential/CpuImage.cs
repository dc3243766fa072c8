using System.Text;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>What user code can see, and how it ended: integer registers, flags, the XSAVE area, and the exception if there was
/// one.</summary>
internal sealed class CpuImage
{
    public const ulong ComparedFlags = 0xcd5;
    public const int XsaveBytes = 832;

    /// <summary>In the encoding's order: RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.</summary>
    public ulong[] General { get; } = new ulong[16];

    public ulong Rip { get; set; }

    public ulong Flags { get; set; }

    /// <summary>Standard format: x87, SSE and AVX.</summary>
    public byte[] Xsave { get; } = new byte[XsaveBytes];

    /// <summary>Exception that ended the run; -1: it came to the end.</summary>
    public int Vector { get; set; } = -1;

    public uint Error { get; set; }

    /// <summary>Linear address of a page fault.</summary>
    public ulong Cr2 { get; set; }

    public CpuImage Copy()
    {
        CpuImage c = new() { Rip = Rip, Flags = Flags, Vector = Vector, Error = Error, Cr2 = Cr2 };
        General.CopyTo(c.General, 0);
        Xsave.CopyTo(c.Xsave, 0);
        return c;
    }

    /// <summary>Differences in words; empty when there are none.</summary>
    public string Differences(CpuImage other, ulong undefinedFlags)
    {
        StringBuilder b = new();
        if (Vector != other.Vector || Error != other.Error || Cr2 != other.Cr2 || Rip != other.Rip)
        {
            b.Append($"end: native vector {Vector} error {Error:x} cr2 {Cr2:x} rip {Rip:x}, soft {other.Vector} {other.Error:x} {other.Cr2:x} {other.Rip:x}\n");
        }

        for (int i = 0; i < 16; i++)
        {
            if (General[i] != other.General[i])
            {
                b.Append($"r{i}: native {General[i]:x16} soft {other.General[i]:x16}\n");
            }
        }

        if (((Flags ^ other.Flags) & ComparedFlags & ~undefinedFlags) != 0)
        {
            b.Append($"flags: native {Flags & ComparedFlags:x} soft {other.Flags & ComparedFlags:x} undefined {undefinedFlags:x}\n");
        }

        Field(b, other, "fcw", 0, 2);
        Field(b, other, "fsw", 2, 2);
        Field(b, other, "ftw", 4, 1);
        Field(b, other, "mxcsr", 24, 4);
        for (int i = 0; i < 8; i++)
        {
            Field(b, other, $"st{i}", 32 + (i * 16), 10);
        }

        for (int i = 0; i < 16; i++)
        {
            Field(b, other, $"xmm{i}", 160 + (i * 16), 16);
            Field(b, other, $"ymm{i}.high", 576 + (i * 16), 16);
        }

        return b.ToString();
    }

    private void Field(StringBuilder b, CpuImage other, string name, int at, int length)
    {
        ReadOnlySpan<byte> mine = Xsave.AsSpan(at, length);
        ReadOnlySpan<byte> its = other.Xsave.AsSpan(at, length);
        if (!mine.SequenceEqual(its))
        {
            b.Append($"{name}: native {Number(mine)} soft {Number(its)}\n");
        }
    }

    private static string Number(ReadOnlySpan<byte> bytes)
    {
        byte[] reversed = bytes.ToArray();
        Array.Reverse(reversed);
        return Convert.ToHexStringLower(reversed);
    }

    /// <summary>A digest (FNV-1a) of everything that <see cref="Differences"/> looks at.</summary>
    public ulong Digest(ulong undefinedFlags, ReadOnlySpan<byte> memory)
    {
        ulong hash = 0xcbf2_9ce4_8422_2325;
        void Add(ReadOnlySpan<byte> bytes)
        {
            foreach (byte v in bytes)
            {
                hash = (hash ^ v) * 0x100_0000_01b3;
            }
        }

        Add(System.Runtime.InteropServices.MemoryMarshal.AsBytes(General.AsSpan()));
        Add(System.Runtime.InteropServices.MemoryMarshal.AsBytes<ulong>(
            [Rip, Flags & ComparedFlags & ~undefinedFlags, (ulong)(long)Vector, Error, Cr2]));
        Add(Xsave.AsSpan(0, 5));
        Add(Xsave.AsSpan(24, 4));
        for (int i = 0; i < 8; i++)
        {
            Add(Xsave.AsSpan(32 + (i * 16), 10));
        }

        Add(Xsave.AsSpan(160, 256));
        Add(Xsave.AsSpan(576, 256));
        Add(memory);
        return hash;
    }
}
