using System.Buffers.Binary;
using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>States that somebody has changed on purpose.</summary>
internal static class HostileState
{
    /// <summary>A state with a few other bytes and a checksum that is right.</summary>
    public static byte[] Mutate(byte[] state, Random random)
    {
        byte[] bytes = [.. state];
        for (int i = random.Next(1, 5); i > 0; i--)
        {
            bytes[random.Next(24, bytes.Length)] = random.Next(3) switch { 0 => 0xff, 1 => 0, _ => (byte)random.Next(256) };
        }

        uint crc = Crc32C.Append(Crc32C.Append(Crc32C.Start, bytes.AsSpan(0, 12)), bytes.AsSpan(16));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), Crc32C.Finish(crc));
        return bytes;
    }
}
