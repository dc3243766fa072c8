using System.Buffers.Binary;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>The headers of a VHDX image (MS-VHDX §2.2.2): two, of which the valid one with the higher number counts.</summary>
internal sealed class VhdxHeader
{
    private readonly IImageFile _file;
    private byte[] _bytes;
    private ulong _place;

    private VhdxHeader(IImageFile file, byte[] bytes, ulong place)
    {
        _file = file;
        _bytes = bytes;
        _place = place;
    }

    /// <summary>Of entries in the log that count; empty: none do.</summary>
    public Guid LogGuid => new(_bytes.AsSpan(VhdxSpec.HeaderLogGuid, 16));

    /// <summary>Bytes; whole MiB.</summary>
    public uint LogLength => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(VhdxSpec.HeaderLogLength));

    /// <summary>Offset in the file; whole MiB.</summary>
    public ulong LogOffset => BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(VhdxSpec.HeaderLogOffset));

    private ulong Sequence => BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(VhdxSpec.HeaderSequence));

    /// <exception cref="BlockImageException">None of the two can be, or they are of a version that is not supported.</exception>
    public static VhdxHeader Read(IImageFile file)
    {
        VhdxHeader? first = TryRead(file, VhdxSpec.Header1);
        VhdxHeader? second = TryRead(file, VhdxSpec.Header2);
        VhdxHeader header = (first, second) switch
        {
            (null, null) => throw VhdxSpec.Wrong(file.Path, "has no valid header: it is damaged, or was not copied whole"),
            (null, _) => second,
            (_, null) => first,
            _ when first.Sequence == second.Sequence && !first._bytes.AsSpan().SequenceEqual(second._bytes) =>
                throw VhdxSpec.Wrong(file.Path, "has two headers that both say that they count: it is damaged"),
            _ => first.Sequence >= second.Sequence ? first : second,
        };
        header.Check();
        return header;
    }

    /// <summary>Says in both headers, one after the other, that the file is about to change. Returns 0 or a negative error number.</summary>
    /// <param name="changesDisk">What the disk has, too.</param>
    /// <param name="logGuid"><inheritdoc cref="LogGuid" path="/summary"/></param>
    public int Update(bool changesDisk, Guid logGuid)
    {
        byte[] bytes = (byte[])_bytes.Clone();
        Guid.NewGuid().TryWriteBytes(bytes.AsSpan(VhdxSpec.HeaderFileWriteGuid));
        if (changesDisk)
        {
            Guid.NewGuid().TryWriteBytes(bytes.AsSpan(VhdxSpec.HeaderDataWriteGuid));
        }

        logGuid.TryWriteBytes(bytes.AsSpan(VhdxSpec.HeaderLogGuid));
        int result = Replace(bytes);
        return result < 0 ? result : Replace(bytes);
    }

    private static VhdxHeader? TryRead(IImageFile file, ulong place)
    {
        byte[] bytes = new byte[VhdxSpec.HeaderBytes];
        int result = file.ReadAll(place, bytes);
        if (result < 0)
        {
            throw VhdxSpec.Wrong(file.Path, $"cannot be read: {new LinuxException("read", -result).Message}");
        }

        return bytes.AsSpan().StartsWith(VhdxSpec.HeaderSignature) && VhdxChecksum.IsRight(bytes) ? new VhdxHeader(file, bytes, place) : null;
    }

    private void Check()
    {
        int version = BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(VhdxSpec.HeaderVersion));
        int logVersion = BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(VhdxSpec.HeaderLogVersion));
        if (version != 1 || logVersion != 0)
        {
            throw VhdxSpec.Wrong(_file.Path, $"is of version {version} with a log of version {logVersion}, which is not supported (1 and 0 are)");
        }

        if (Sequence > long.MaxValue)
        {
            throw VhdxSpec.Wrong(_file.Path, $"has header number {Sequence}, which cannot be");
        }

        if (LogOffset % VhdxSpec.MiB != 0 || LogLength % VhdxSpec.MiB != 0 || LogOffset > VhdxSpec.MaxFile || (LogLength > 0 && LogOffset < VhdxSpec.MiB))
        {
            throw VhdxSpec.Wrong(_file.Path, $"has a log of {LogLength} bytes at {LogOffset}, which cannot be");
        }
    }

    /// <summary>Writes the header that does not count, which then does.</summary>
    private int Replace(byte[] bytes)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(VhdxSpec.HeaderSequence), Sequence + 1);
        VhdxChecksum.Set(bytes);
        ulong other = _place == VhdxSpec.Header1 ? VhdxSpec.Header2 : VhdxSpec.Header1;
        int result = _file.WriteAll(other, bytes);
        result = result < 0 ? result : _file.DataSync();
        if (result == 0)
        {
            _bytes = (byte[])bytes.Clone();
            _place = other;
        }

        return result;
    }
}
