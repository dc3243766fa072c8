namespace Cnvm.Hypervisor.State.Format;

/// <summary>Numbers of the wire format (FORMAT.md).</summary>
public static class StateFormat
{
    /// <summary>The version that this program writes, and the newest it reads.</summary>
    public const uint Version = 1;

    /// <summary>Most bytes a state may have. 512 vCPUs with AVX-512 take about 20 MiB.</summary>
    public const int MaxBytes = 64 << 20;

    /// <summary>Deepest nesting of records.</summary>
    public const int MaxDepth = 16;

    /// <summary>
    /// Most elements that are taken apart for looking at: several times what the largest state of real machines has. A hostile one could
    /// have one for every four bytes.
    /// </summary>
    internal const int MaxNodes = 4 << 20;

    /// <summary>Magic, version, checksum, payload length.</summary>
    internal const int HeaderBytes = 24;

    internal const int VersionOffset = 8;
    internal const int ChecksumOffset = 12;
    internal const int LengthOffset = 16;

    /// <summary>Element flag: a reader that does not know the element must refuse the state.</summary>
    internal const byte Mandatory = 1;

    internal static ReadOnlySpan<byte> Magic => "CNVMSTAT"u8;

    /// <summary>Bytes of a number of this type; 0 for what has no fixed width.</summary>
    internal static int WidthOf(ElementType type) => type switch
    {
        ElementType.Bool or ElementType.U8 => 1,
        ElementType.U16 => 2,
        ElementType.U32 => 4,
        ElementType.U64 or ElementType.I64 => 8,
        _ => 0,
    };

    /// <summary>CRC-32C over the header but the checksum itself, and the payload.</summary>
    internal static uint Checksum(ReadOnlySpan<byte> state) =>
        Crc32C.Finish(Crc32C.Append(Crc32C.Append(Crc32C.Start, state[..ChecksumOffset]), state[LengthOffset..]));
}
