namespace Cnvm.Arch.Boot;

/// <summary>The bytes of an image, wherever they come from. Short input ends in a <see cref="KernelLoadException"/>.</summary>
internal abstract class KernelSource(string name)
{
    /// <summary>Name for messages.</summary>
    public string Name { get; } = name;

    /// <summary>Size in bytes, or null while it is unknown.</summary>
    public abstract long? Length { get; }

    /// <summary>Fills <paramref name="destination"/> from <paramref name="offset"/> on.</summary>
    public void ReadExactly(Span<byte> destination, long offset)
    {
        while (destination.Length > 0)
        {
            int count;
            try
            {
                count = Read(destination, offset);
            }
            catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
            {
                throw new KernelLoadException($"'{Name}' cannot be read at offset {offset}: {e.Message}", e);
            }

            if (count <= 0)
            {
                throw new KernelLoadException(
                    $"'{Name}' ends at offset {offset}, {destination.Length} bytes before its headers say. The file is truncated.");
            }

            destination = destination[count..];
            offset += count;
        }
    }

    /// <summary>Copies into guest memory, in pieces that a span can describe.</summary>
    public void CopyTo(IPhysicalMemory memory, ulong gpa, long offset, ulong length)
    {
        const int Piece = 1 << 28;
        while (length > 0)
        {
            var count = (int)Math.Min(length, Piece);
            ReadExactly(memory.GetSpan(gpa, count), offset);
            gpa += (ulong)count;
            offset += count;
            length -= (ulong)count;
        }
    }

    protected abstract int Read(Span<byte> destination, long offset);
}
