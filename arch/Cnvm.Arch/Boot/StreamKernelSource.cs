using System.Buffers;

namespace Cnvm.Arch.Boot;

/// <summary>What a decompressor yields: read forwards only, so that the unpacked kernel never lies in memory beside its guest.</summary>
internal sealed class StreamKernelSource(string name, Stream stream) : KernelSource(name)
{
    private const int SkipBuffer = 16 << 10;

    private long _position;

    public override long? Length => null;

    protected override int Read(Span<byte> destination, long offset)
    {
        if (offset < _position)
        {
            throw new KernelLoadException(
                $"The kernel inside '{Name}' has parts out of order (offset {offset} after {_position}). Unpack it to an ELF file first.");
        }

        SkipTo(offset);
        var count = stream.Read(destination);
        _position += count;
        return count;
    }

    private void SkipTo(long offset)
    {
        if (offset == _position)
        {
            return;
        }

        var buffer = ArrayPool<byte>.Shared.Rent(SkipBuffer);
        try
        {
            while (_position < offset)
            {
                var count = stream.Read(buffer, 0, (int)Math.Min(buffer.Length, offset - _position));
                if (count <= 0)
                {
                    throw new KernelLoadException($"The kernel inside '{Name}' ends at offset {_position}, before a part at {offset}.");
                }

                _position += count;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
