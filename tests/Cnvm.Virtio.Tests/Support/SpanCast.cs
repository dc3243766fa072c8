using System.Runtime.InteropServices;

namespace Cnvm.Virtio.Tests.Support;

internal static class SpanCast
{
    /// <summary>The bytes as one value in place.</summary>
    public static ref T As<T>(this Span<byte> bytes)
        where T : unmanaged => ref MemoryMarshal.AsRef<T>(bytes);
}
