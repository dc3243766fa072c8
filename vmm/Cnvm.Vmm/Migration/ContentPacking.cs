using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

/// <summary>How contents of memory and disks are compressed on their way.</summary>
internal static class ContentPacking
{
    /// <summary>Compresses contents; 0 if that saves less than an eighth, because unpacking has its price too.</summary>
    /// <param name="room">At least as large as <paramref name="data"/>; not the same memory.</param>
    /// <returns>Bytes written to <paramref name="room"/>.</returns>
    public static int TryPack(ReadOnlySpan<byte> data, Span<byte> room) => Lz4.Compress(data, room[..(data.Length - (data.Length / 8))]);
}
