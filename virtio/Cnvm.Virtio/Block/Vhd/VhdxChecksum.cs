using System.Buffers.Binary;
using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>CRC-32C of VHDX structures: of all their bytes, with the checksum's own four taken for zero.</summary>
internal static class VhdxChecksum
{
    public static bool IsRight(ReadOnlySpan<byte> bytes) =>
        BinaryPrimitives.ReadUInt32LittleEndian(bytes[VhdxSpec.Checksum..]) == Of(bytes);

    public static void Set(Span<byte> bytes) => BinaryPrimitives.WriteUInt32LittleEndian(bytes[VhdxSpec.Checksum..], Of(bytes));

    private static uint Of(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> zeroes = stackalloc byte[sizeof(uint)];
        uint crc = Crc32C.Append(Crc32C.Start, bytes[..VhdxSpec.Checksum]);
        crc = Crc32C.Append(crc, zeroes);
        return Crc32C.Finish(Crc32C.Append(crc, bytes[(VhdxSpec.Checksum + sizeof(uint))..]));
    }
}
