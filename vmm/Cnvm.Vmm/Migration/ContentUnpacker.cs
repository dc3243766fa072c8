using System.Buffers;
using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

/// <summary>Unpacks contents of memory and disks that came in messages. One thread; what it gives is valid until the next call.</summary>
/// <param name="mostBytes">Most bytes of contents that a message has.</param>
internal sealed class ContentUnpacker(int mostBytes)
{
    // Made when they are needed: most connections carry contents as they are.
    private byte[]? _packed;
    private byte[]? _data;

    /// <param name="frame">Whose contents they are.</param>
    /// <param name="contents">What of its payload they are.</param>
    /// <param name="bytes">How many they must be; at most what this object was made for.</param>
    /// <exception cref="MigrationException">They are more, fewer, or no LZ4 block.</exception>
    public ReadOnlySequence<byte> Unpack(in Frame frame, ReadOnlySequence<byte> contents, int bytes)
    {
        if ((frame.Flags & MigrationWire.FlagLz4) == 0)
        {
            return contents.Length == bytes
                ? contents
                : throw new MigrationException($"message {frame.Type} has {contents.Length} bytes of data instead of {bytes}");
        }

        if (!Lz4.IsAvailable || contents.Length > Lz4.Bound(mostBytes))
        {
            throw new MigrationException($"message {frame.Type} has an LZ4 block of {contents.Length} bytes that was not agreed on");
        }

        _packed ??= new byte[Lz4.Bound(mostBytes)];
        _data ??= new byte[mostBytes];
        contents.CopyTo(_packed);
        return Lz4.TryDecompress(_packed.AsSpan(0, (int)contents.Length), _data.AsSpan(0, bytes))
            ? new ReadOnlySequence<byte>(_data, 0, bytes)
            : throw new MigrationException($"message {frame.Type} has an LZ4 block that does not give {bytes} bytes");
    }

    /// <summary>The same in one piece.</summary>
    /// <inheritdoc cref="Unpack"/>
    public ReadOnlySpan<byte> UnpackWhole(in Frame frame, ReadOnlySequence<byte> contents, int bytes)
    {
        ReadOnlySequence<byte> data = Unpack(frame, contents, bytes);
        if (data.IsSingleSegment)
        {
            return data.FirstSpan;
        }

        _data ??= new byte[mostBytes];
        data.CopyTo(_data);
        return _data.AsSpan(0, bytes);
    }
}
