namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>What user code can see: integer registers, status flags, vector registers.</summary>
internal sealed unsafe class ProcessorState
{
    public const ulong StatusFlags = 0x8d5;

    public ulong[] General { get; } = new ulong[16];

    public ulong Flags { get; set; }

    /// <summary>XMM0 to XMM15, then MM0 to MM7.</summary>
    public ulong[] Vectors { get; } = new ulong[40];

    public void Store(byte* context)
    {
        General.CopyTo(new Span<ulong>(context, 16));
        *(ulong*)(context + 128) = Flags | 0x202;
        Vectors.CopyTo(new Span<ulong>(context + 256, 40));
    }

    public void Load(byte* context)
    {
        new Span<ulong>(context, 16).CopyTo(General);
        Flags = *(ulong*)(context + 128) & StatusFlags;
        new Span<ulong>(context + 256, 40).CopyTo(Vectors);
    }

    public ProcessorState Copy()
    {
        ProcessorState s = new() { Flags = Flags };
        General.CopyTo(s.General, 0);
        Vectors.CopyTo(s.Vectors, 0);
        return s;
    }

    /// <summary>Differences in words; empty when there are none.</summary>
    public string Differences(ProcessorState other, ulong undefinedFlags)
    {
        List<string> list = [];
        for (int i = 0; i < 16; i++)
        {
            if (i != 4 && General[i] != other.General[i])
            {
                list.Add($"r{i}: native {General[i]:x16} soft {other.General[i]:x16}");
            }
        }

        if (((Flags ^ other.Flags) & StatusFlags & ~undefinedFlags) != 0)
        {
            list.Add($"flags: native {Flags:x} soft {other.Flags & StatusFlags:x} undefined {undefinedFlags:x}");
        }

        for (int i = 0; i < 40; i++)
        {
            if (Vectors[i] != other.Vectors[i])
            {
                list.Add($"xmm{i / 2}[{i % 2}]: native {Vectors[i]:x16} soft {other.Vectors[i]:x16}");
            }
        }

        return string.Join("\n", list);
    }
}
