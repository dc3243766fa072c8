using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Tests.Block.Qcow2;

/// <summary>A file in memory that remembers each write, fails on demand, and tells what a host that died would find.</summary>
internal sealed unsafe class MemoryFile(byte[] content) : IImageFile
{
    private const int Sector = 512;
    private readonly byte[] _first = content;
    private readonly List<(long Offset, byte[] Data)> _log = [];
    private readonly List<int> _syncs = [];
    private byte[] _now = content;

    public string Path => "memory";

    public ulong Size => (ulong)_now.Length;

    public bool GrowsWithZeroes => true;

    /// <summary>Writes and holes so far.</summary>
    public int Writes => _log.Count;

    /// <summary>How many writes there had been at each flush.</summary>
    public IReadOnlyList<int> Flushes => _syncs;

    public byte[] Content => _now;

    /// <summary>Asked before each write; a negative error number makes it fail.</summary>
    public Func<ulong, int>? OnWrite { get; set; }

    /// <summary>Asked before each flush.</summary>
    public Func<int>? OnSync { get; set; }

    /// <summary>
    /// What is on the disk when the host dies after some writes: all that was flushed, and of what came after the last flush any sectors.
    /// </summary>
    /// <param name="inFlush">A flush that came after the last of the writes had not been done.</param>
    public byte[] CutAfter(int writes, Random random, bool inFlush = false)
    {
        int flushed = _syncs.LastOrDefault(s => inFlush ? s < writes : s <= writes);
        byte[] disk = _first;
        for (int i = 0; i < writes; i++)
        {
            (long offset, byte[] data) = _log[i];
            bool isWhole = i < flushed || random.Next(2) == 0;
            for (int at = 0; at < data.Length;)
            {
                int part = (int)Math.Min(Sector - ((offset + at) % Sector), data.Length - at);
                if (isWhole || random.Next(2) == 0)
                {
                    disk = Put(disk, offset + at, data.AsSpan(at, part), copy: disk == _first);
                }

                at += part;
            }
        }

        return disk;
    }

    public nint Read(IoVec* vectors, int count, ulong offset)
    {
        nint moved = 0;
        for (int i = 0; i < count; i++)
        {
            long at = (long)offset + moved;
            int part = (int)Math.Min((long)vectors[i].Length, Math.Max(0, _now.Length - at));
            _now.AsSpan((int)Math.Min(at, _now.Length), part).CopyTo(new Span<byte>((void*)vectors[i].Base, part));
            moved += part;
            if (part < (long)vectors[i].Length)
            {
                break;
            }
        }

        return moved;
    }

    public nint Write(IoVec* vectors, int count, ulong offset)
    {
        int error = OnWrite?.Invoke(offset) ?? 0;
        if (error < 0)
        {
            return error;
        }

        nint moved = 0;
        for (int i = 0; i < count; i++)
        {
            byte[] data = new Span<byte>((void*)vectors[i].Base, (int)vectors[i].Length).ToArray();
            Add((long)offset + moved, data);
            moved += data.Length;
        }

        return moved;
    }

    public int DataSync()
    {
        int error = OnSync?.Invoke() ?? 0;
        if (error == 0)
        {
            _syncs.Add(_log.Count);
        }

        return error;
    }

    public int PunchHole(ulong offset, ulong length)
    {
        int inside = (int)Math.Min((long)length, Math.Max(0, _now.Length - (long)offset));
        if (inside > 0)
        {
            Add((long)offset, new byte[inside]);
        }

        return 0;
    }

    public int ZeroRange(ulong offset, ulong length) => PunchHole(offset, length);

    public void CopyTo(SafeFileHandle file) => RandomAccess.Write(file, _now, 0);

    public void Dispose()
    {
    }

    private void Add(long offset, byte[] data)
    {
        _log.Add((offset, data));
        _now = Put(_now, offset, data, copy: _now == _first);
    }

    private static byte[] Put(byte[] disk, long offset, ReadOnlySpan<byte> data, bool copy)
    {
        Assert.True(offset + data.Length < 64 * 1024 * 1024, $"a write of {data.Length} bytes at {offset}");
        if (copy || offset + data.Length > disk.Length)
        {
            Array.Resize(ref disk, (int)Math.Max(disk.Length, offset + data.Length));
            disk = copy ? (byte[])disk.Clone() : disk;
        }

        data.CopyTo(disk.AsSpan((int)offset));
        return disk;
    }
}
