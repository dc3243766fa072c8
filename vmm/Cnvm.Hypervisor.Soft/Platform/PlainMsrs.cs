namespace Cnvm.Hypervisor.Soft.Platform;

/// <summary>Registers that only hold a value: memory types, machine check, microcode, AMD configuration.</summary>
internal static class PlainMsrs
{
    public const uint MicrocodeRevision = 0x8b;

    private const uint MtrrCap = 0xfe;
    private const uint VmHsavePa = 0xc001_0117;
    private const uint MtrrDefaultType = 0x2ff;
    private const uint Pat = 0x277;
    private const uint McgCap = 0x179;
    private const uint McgStatus = 0x17a;

    /// <summary>Index and reset value.</summary>
    public static IReadOnlyList<(uint Index, ulong Value)> Defaults { get; } = Build();

    /// <summary>Of <see cref="Defaults"/>.</summary>
    public static IEnumerable<uint> Indices
    {
        get
        {
            foreach ((uint index, _) in Defaults)
            {
                yield return index;
            }
        }
    }

    /// <summary>
    /// What KVM lists with values of its own although nothing in a guest's CPUID leads to it: feature control, platform information,
    /// VMX-independent capabilities, and KVM's halt-polling switch.
    /// </summary>
    public static IReadOnlyList<uint> Dispensable { get; } = [0x3a, 0xce, 0x10a, 0x345, 0x4b56_4d05];

    /// <inheritdoc cref="Dispensable"/>
    public static bool IsDispensable(uint index) => Dispensable.Contains(index);

    /// <summary>Value after a reset.</summary>
    public static ulong DefaultOf(uint index)
    {
        foreach ((uint known, ulong value) in Defaults)
        {
            if (known == index)
            {
                return value;
            }
        }

        return 0;
    }

    public static bool IsReadOnly(uint index) => index is MtrrCap or McgCap or 0x00 or 0x01 or 0x17 or 0x2a;

    /// <summary>False for values that are #GP: memory types that do not exist, and reserved bits (APM vol. 2 §7.7 and §7.8).</summary>
    public static bool Takes(uint index, ulong value, int physicalBits)
    {
        ulong beyond = ~((1ul << physicalBits) - 1);
        return index switch
        {
            VmHsavePa => (value & (beyond | 0xfff)) == 0,
            Pat => AreTypes(value, 0xf3),
            MtrrDefaultType => (value & ~0xcfful) == 0 && IsType((byte)value, 0x73),
            >= 0x200 and < 0x210 when index % 2 == 0 => (value & (beyond | 0xf00)) == 0 && IsType((byte)value, 0x73),
            >= 0x200 and < 0x210 => (value & (beyond | 0x7ff)) == 0,
            >= 0x250 and <= 0x26f => AreTypes(value, 0x73),
            _ => true,
        };
    }

    /// <param name="type">A memory type.</param>
    /// <param name="known">A bit for each type that exists.</param>
    private static bool IsType(byte type, uint known) => type < 8 && (known & (1u << type)) != 0;

    private static bool AreTypes(ulong value, uint known)
    {
        for (int i = 0; i < 8; i++)
        {
            if (!IsType((byte)(value >> (i * 8)), known))
            {
                return false;
            }
        }

        return true;
    }

    private static List<(uint Index, ulong Value)> Build()
    {
        List<(uint, ulong)> list =
        [
            (0x00, 0), (0x01, 0), (0x17, 0), (0x2a, 0), (0x3b, 0), (0x48, 0), (MicrocodeRevision, 0x0a10_1148), (MtrrCap, 0x508),
                (McgCap, 0),
            (McgStatus, 0), (0x1a0, 1), (0x1d9, 0), (0x1db, 0), (0x1dc, 0), (0x1dd, 0), (0x1de, 0), (0x277, 0x0007_0406_0007_0406),
            (0x2ff, 0xc06), (0xd90, 0), (0xda0, 0),
            (0xc001_0010, 0), (0xc001_0015, 0x0100_0000), (0xc001_001f, 0), (0xc001_0055, 0), (0xc001_0058, 0), (0xc001_0112, 0),
            (0xc001_0113, 0), (0xc001_0114, 0), (VmHsavePa, 0), (0xc001_0131, 0), (0xc001_0140, 0), (0xc001_0141, 0), (0xc001_1022, 0),
            (0xc001_1029, 2), (0xc001_102a, 0), (0xc001_1020, 0), (0xc001_102b, 0), (0x140, 0),
        ];
        for (uint i = 0; i < 16; i++)
        {
            list.Add((0x200 + i, 0));
        }

        foreach (uint fixedRange in (ReadOnlySpan<uint>)[0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f])
        {
            list.Add((fixedRange, 0x0606_0606_0606_0606));
        }

        list.Sort(static (a, b) => a.Item1.CompareTo(b.Item1));
        return list;
    }
}
