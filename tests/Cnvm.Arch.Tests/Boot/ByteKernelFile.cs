using Cnvm.Arch.Boot;

namespace Cnvm.Arch.Tests.Boot;

/// <summary>A kernel file in an array.</summary>
internal sealed class ByteKernelFile(byte[] bytes, string name = "test-kernel") : IKernelFile
{
    public string Name => name;

    public long Length => bytes.Length;

    public int Read(Span<byte> destination, long offset)
    {
        var count = (int)Math.Clamp(bytes.Length - offset, 0, destination.Length);
        bytes.AsSpan((int)Math.Min(offset, bytes.Length), count).CopyTo(destination);
        return count;
    }
}
