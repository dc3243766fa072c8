using System.Buffers;
using System.Buffers.Binary;

namespace Cnvm.Vmm.Migration;

/// <summary>Puts received blocks into disks that nobody uses yet. Whatever a message says is checked against those disks first.</summary>
internal sealed class DiskReceiver
{
    /// <summary>What may wait for its way to stable storage: a flush of more could keep the source waiting for too long.</summary>
    private const ulong MostUnflushed = 64 << 20;

    private readonly IReadOnlyList<IArrivingDisk> _disks;

    // Everything below has come at least once. The first time each disk comes in ascending order.
    private readonly ulong[] _covered;
    private readonly ulong[] _unflushed;
    private readonly ContentUnpacker? _unpacker;

    public DiskReceiver(IReadOnlyList<IArrivingDisk> disks)
    {
        _disks = disks;
        _covered = new ulong[disks.Count];
        _unflushed = new ulong[disks.Count];
        _unpacker = disks.Count > 0 ? new ContentUnpacker(MigrationWire.DiskBytesPerFrame) : null;
    }

    /// <summary>Bytes that have never come.</summary>
    public ulong Missing
    {
        get
        {
            ulong missing = 0;
            for (int i = 0; i < _disks.Count; i++)
            {
                missing += _disks[i].Size - _covered[i];
            }

            return missing;
        }
    }

    /// <exception cref="MigrationException">The message is malformed, is not of a disk, or the host cannot write.</exception>
    public void Take(in Frame frame)
    {
        if (frame.Type == FrameType.DiskZeros)
        {
            TakeZeros(frame.Payload);
        }
        else
        {
            TakeData(frame);
        }
    }

    /// <summary>Brings everything to stable storage.</summary>
    /// <exception cref="MigrationException">The host cannot.</exception>
    public void Flush()
    {
        for (int i = 0; i < _disks.Count; i++)
        {
            if (_unflushed[i] > 0)
            {
                _disks[i].Flush();
                _unflushed[i] = 0;
            }
        }
    }

    private void TakeData(in Frame frame)
    {
        Span<byte> header = stackalloc byte[MigrationWire.DiskDataHeaderBytes];
        if (frame.Payload.Length <= header.Length)
        {
            throw new MigrationException($"message DiskData has {frame.Payload.Length} bytes");
        }

        frame.Payload.Slice(0, header.Length).CopyTo(header);
        uint disk = BinaryPrimitives.ReadUInt32LittleEndian(header);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(header[sizeof(uint)..]);
        ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(header[(2 * sizeof(uint))..]);
        Check(disk, offset, length, MigrationWire.DiskBytesPerFrame);
        ReadOnlySpan<byte> data = _unpacker!.UnpackWhole(frame, frame.Payload.Slice(header.Length), (int)length);
        _disks[(int)disk].Write(offset, data);
        Cover(disk, offset + length);
        Note(disk, length);
    }

    /// <summary>Not all of it waits until the end of a round.</summary>
    private void Note(uint disk, ulong written)
    {
        _unflushed[disk] += written;
        if (_unflushed[disk] >= MostUnflushed)
        {
            _disks[(int)disk].Flush();
            _unflushed[disk] = 0;
        }
    }

    private void TakeZeros(ReadOnlySequence<byte> payload)
    {
        Span<byte> message = stackalloc byte[MigrationWire.DiskZerosBytes];
        if (payload.Length != message.Length)
        {
            throw new MigrationException($"message DiskZeros has {payload.Length} bytes");
        }

        payload.CopyTo(message);
        uint disk = BinaryPrimitives.ReadUInt32LittleEndian(message);
        ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(message[sizeof(uint)..]);
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(message[(sizeof(uint) + sizeof(ulong))..]);
        Check(disk, offset, length, MigrationWire.MostDiskZeros);

        // Where nothing has come yet the disk is a hole already.
        ulong covered = _covered[disk];
        if (offset < covered)
        {
            ulong bytes = Math.Min(length, covered - offset);
            _disks[(int)disk].Clear(offset, bytes);
            Note(disk, bytes);
        }

        Cover(disk, offset + length);
    }

    private void Check(uint disk, ulong offset, ulong length, ulong most)
    {
        if (disk >= (uint)_disks.Count)
        {
            throw new MigrationException($"disk number {disk} was not offered");
        }

        ulong size = _disks[(int)disk].Size;
        if (length == 0 || length > most || offset > size || length > size - offset)
        {
            throw new MigrationException($"{length} bytes at {offset} are not of disk number {disk}, which has {size}");
        }

        if (offset > _covered[disk])
        {
            throw new MigrationException($"byte {offset} of disk number {disk} comes while all from byte {_covered[disk]} on is missing");
        }
    }

    private void Cover(uint disk, ulong end) => _covered[disk] = Math.Max(_covered[disk], end);
}
