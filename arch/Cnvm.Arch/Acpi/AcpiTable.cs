using System.Buffers.Binary;
using Cnvm.Arch.Firmware;

namespace Cnvm.Arch.Acpi;

/// <summary>Puts the common header (ACPI 6.5, 5.2.6) in front of a table's body.</summary>
internal static class AcpiTable
{
    public const int HeaderLength = 36;

    private const int LengthOffset = 4;
    private const int ChecksumOffset = 9;

    /// <summary>Starts a table; its length and checksum are zero until <see cref="Finish"/>.</summary>
    public static void WriteHeader(TableWriter writer, ReadOnlySpan<byte> signature, byte revision)
    {
        writer.FixedText(signature, 4, (byte)' ');
        writer.Dword(0);
        writer.Byte(revision);
        writer.Byte(0);
        writer.FixedText(AcpiIdentity.OemId, 6, (byte)' ');
        writer.FixedText(AcpiIdentity.OemTableId, 8, (byte)' ');
        writer.Dword(AcpiIdentity.OemRevision);
        writer.FixedText(AcpiIdentity.CreatorId, 4, (byte)' ');
        writer.Dword(AcpiIdentity.CreatorRevision);
    }

    /// <summary>Fills in length and checksum and returns the table.</summary>
    public static byte[] Finish(TableWriter writer)
    {
        var table = writer.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(LengthOffset), table.Length);
        table[ChecksumOffset] = Checksum.Of(table);
        return table;
    }
}
