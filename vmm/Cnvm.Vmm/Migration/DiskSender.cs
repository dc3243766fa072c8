using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Cnvm.Virtio.Block;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Sends blocks of disks: stretches with their contents, compressed where both sides can and it helps, and those that are zeros without.
/// One thread; the guest may write meanwhile, which its disk then has marked anew.
/// </summary>
internal sealed class DiskSender
{
    /// <summary>Direct I/O asks for no more than this of offsets, lengths and addresses.</summary>
    private const int Alignment = 4096;

    private readonly FrameWriter _writer;
    private readonly bool _compress;
    private readonly byte[] _data;
    private readonly int _first;
    private int _zeroDisk;
    private ulong _zeroStart;
    private ulong _zeroLength;

    public DiskSender(FrameWriter writer, bool compress)
    {
        _writer = writer;
        _compress = compress;
        _data = GC.AllocateUninitializedArray<byte>(MigrationWire.DiskBytesPerFrame + Alignment, pinned: true);
        nint rest = Marshal.UnsafeAddrOfPinnedArrayElement(_data, 0) % Alignment;
        _first = rest == 0 ? 0 : Alignment - (int)rest;
    }

    /// <summary>Bytes sent with their contents so far.</summary>
    public ulong DataBytes { get; private set; }

    /// <summary>Bytes named as zeros so far.</summary>
    public ulong ZeroBytes { get; private set; }

    /// <summary>Sends the marked blocks of a disk and unmarks them.</summary>
    /// <param name="index">The disk's place in the offer.</param>
    /// <param name="goesOn">Asked after every stretch; false leaves the rest marked.</param>
    public void Send(int index, IDepartingDisk disk, DirtyBlocks blocks, Func<bool> goesOn)
    {
        ulong end = 0;
        while (blocks.TryTake(end, MigrationWire.MostDiskZeros, out ulong start, out ulong length))
        {
            end = start + length;
            ulong sent = SendRange(index, disk, start, end, goesOn);
            if (sent < end)
            {
                blocks.Mark(sent, end - sent);
                break;
            }

            if (!goesOn())
            {
                break;
            }
        }

        FlushZeros();
    }

    /// <summary>Returns up to where it has come.</summary>
    private ulong SendRange(int index, IDepartingDisk disk, ulong start, ulong end, Func<bool> goesOn)
    {
        while (start < end)
        {
            if (!disk.TryFindData(start, end, out ulong data, out ulong length))
            {
                AddZeros(index, start, end - start);
                return end;
            }

            ulong dataEnd = Math.Min((data + length + (Alignment - 1)) & ~(Alignment - 1UL), end);
            data = Math.Max(data & ~(Alignment - 1UL), start);
            if (data > start)
            {
                AddZeros(index, start, data - start);
            }

            for (start = data; start < dataEnd;)
            {
                int bytes = (int)Math.Min(MigrationWire.DiskBytesPerFrame, dataEnd - start);
                Span<byte> contents = _data.AsSpan(_first, bytes);
                disk.Read(start, contents);
                SendContents(index, start, contents);
                start += (ulong)bytes;
                if (!goesOn())
                {
                    return start;
                }
            }
        }

        return end;
    }

    /// <summary>Blocks that are zeros are left out, though the host's file system has given them space.</summary>
    private void SendContents(int index, ulong offset, ReadOnlySpan<byte> contents)
    {
        int pending = 0;
        int at = 0;
        while (at < contents.Length)
        {
            int block = (int)Math.Min(DirtyBlocks.BlockBytes - ((offset + (ulong)at) % DirtyBlocks.BlockBytes), (ulong)(contents.Length - at));
            if (!contents.Slice(at, block).ContainsAnyExcept((byte)0))
            {
                SendData(index, offset + (ulong)pending, contents[pending..at]);
                AddZeros(index, offset + (ulong)at, (ulong)block);
                pending = at + block;
            }

            at += block;
        }

        SendData(index, offset + (ulong)pending, contents[pending..]);
    }

    private void SendData(int index, ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
        {
            return;
        }

        // First, so that a disk comes in ascending order.
        FlushZeros();
        Span<byte> payload = _writer.Begin(MigrationWire.DiskDataHeaderBytes + data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(payload, (uint)index);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[sizeof(uint)..], (uint)data.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[(2 * sizeof(uint))..], offset);
        Span<byte> room = payload[MigrationWire.DiskDataHeaderBytes..];
        int packed = _compress ? ContentPacking.TryPack(data, room) : 0;
        if (packed == 0)
        {
            data.CopyTo(room);
        }

        _writer.End(
            FrameType.DiskData, MigrationWire.DiskDataHeaderBytes + (packed == 0 ? data.Length : packed), packed == 0 ? (ushort)0 : MigrationWire.FlagLz4);
        DataBytes += (ulong)data.Length;
    }

    private void AddZeros(int index, ulong offset, ulong length)
    {
        ZeroBytes += length;
        if (_zeroLength > 0 && _zeroDisk == index && _zeroStart + _zeroLength == offset && _zeroLength + length <= MigrationWire.MostDiskZeros)
        {
            _zeroLength += length;
            return;
        }

        FlushZeros();
        (_zeroDisk, _zeroStart, _zeroLength) = (index, offset, length);
    }

    private void FlushZeros()
    {
        if (_zeroLength == 0)
        {
            return;
        }

        Span<byte> payload = stackalloc byte[MigrationWire.DiskZerosBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, (uint)_zeroDisk);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[sizeof(uint)..], _zeroStart);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[(sizeof(uint) + sizeof(ulong))..], _zeroLength);
        _writer.Write(FrameType.DiskZeros, payload);
        _zeroLength = 0;
    }
}
