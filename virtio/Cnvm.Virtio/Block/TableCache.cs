using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>
/// Slices of tables that lie in a file: bounded, written back when the owner says so. A slice is replaced only while it is as in the file.
/// Pointers hold until the next call that loads. Not thread-safe.
/// </summary>
internal sealed unsafe class TableCache : IDisposable
{
    private const int MaxSliceBytes = 4096;

    private readonly IImageFile _file;
    private readonly Dictionary<ulong, int> _index = [];
    private readonly nint[] _memory;
    private readonly ulong[] _offsets;
    private readonly bool[] _dirty;
    private readonly bool[] _recent;
    private int _count;
    private int _dirtyCount;
    private int _hand;
    private int _last = -1;

    /// <param name="clusterBytes">A table's alignment.</param>
    /// <param name="bytes">Most that the slices take.</param>
    public TableCache(IImageFile file, int clusterBytes, int bytes)
    {
        _file = file;
        SliceBytes = Math.Min(clusterBytes, MaxSliceBytes);
        int slots = bytes / SliceBytes;
        _memory = new nint[slots];
        _offsets = new ulong[slots];
        _dirty = new bool[slots];
        _recent = new bool[slots];
    }

    public int SliceBytes { get; }

    public bool IsDirty => _dirtyCount > 0;

    /// <summary>So much waits to be written that the owner should do so before it goes on.</summary>
    public bool IsCrowded => _dirtyCount > _memory.Length / 2;

    /// <summary>Finds the slice at an offset, reading it if need be. Returns 0 or a negative error number.</summary>
    /// <param name="offset">A multiple of <see cref="SliceBytes"/>.</param>
    public int Get(ulong offset, out byte* slice, out int slot)
    {
        if (_last >= 0 && _offsets[_last] == offset)
        {
            slot = _last;
            slice = (byte*)_memory[slot];
            return 0;
        }

        if (_index.TryGetValue(offset, out slot))
        {
            _recent[slot] = true;
            _last = slot;
            slice = (byte*)_memory[slot];
            return 0;
        }

        slice = null;
        slot = FindPlace();
        if (slot < 0)
        {
            return -Errno.ENOMEM;
        }

        IoVec v = new() { Base = _memory[slot], Length = (nuint)SliceBytes };
        int result = new VectorCursor(&v, 1).ReadFrom(_file, offset, (ulong)SliceBytes);
        if (result < 0)
        {
            return result;
        }

        _offsets[slot] = offset;
        _index.Add(offset, slot);
        _recent[slot] = true;
        _last = slot;
        slice = (byte*)_memory[slot];
        return 0;
    }

    public void MarkDirty(int slot)
    {
        if (!_dirty[slot])
        {
            _dirty[slot] = true;
            _dirtyCount++;
        }
    }

    /// <summary>Writes what has changed. Returns 0 or a negative error number; what could not be written stays changed.</summary>
    public int Write()
    {
        for (int i = 0; i < _count && _dirtyCount > 0; i++)
        {
            if (!_dirty[i])
            {
                continue;
            }

            IoVec v = new() { Base = _memory[i], Length = (nuint)SliceBytes };
            int result = new VectorCursor(&v, 1).WriteTo(_file, _offsets[i], (ulong)SliceBytes);
            if (result < 0)
            {
                return result;
            }

            _dirty[i] = false;
            _dirtyCount--;
        }

        return 0;
    }

    /// <summary>Forgets the slices of a range, whatever was in them: it is no table any more, or is one again with other contents.</summary>
    public void Forget(ulong offset, ulong length)
    {
        for (ulong at = offset; at < offset + length; at += (ulong)SliceBytes)
        {
            if (_index.Remove(at, out int slot))
            {
                Release(slot);
            }
        }
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        _index.Clear();
        for (int i = 0; i < _count; i++)
        {
            Release(i);
        }
    }

    public void Dispose()
    {
        for (int i = 0; i < _count; i++)
        {
            NativeMemory.AlignedFree((void*)_memory[i]);
        }

        _count = 0;
    }

    public static ulong Entry(byte* slice, int index) => BinaryPrimitives.ReverseEndianness(((ulong*)slice)[index]);

    public static void SetEntry(byte* slice, int index, ulong value) => ((ulong*)slice)[index] = BinaryPrimitives.ReverseEndianness(value);

    private void Release(int slot)
    {
        if (_dirty[slot])
        {
            _dirty[slot] = false;
            _dirtyCount--;
        }

        // No table begins there.
        _offsets[slot] = ulong.MaxValue;
        _recent[slot] = false;
        _last = -1;
    }

    /// <summary>A place for another slice, by the clock algorithm; -1 when all wait to be written.</summary>
    private int FindPlace()
    {
        if (_count < _memory.Length)
        {
            // SAFETY: freed in Dispose.
            _memory[_count] = (nint)NativeMemory.AlignedAlloc((nuint)SliceBytes, MaxSliceBytes);
            _offsets[_count] = ulong.MaxValue;
            return _count++;
        }

        for (int i = 0; i < 2 * _memory.Length; i++)
        {
            int slot = _hand;
            _hand = (_hand + 1) % _memory.Length;
            if (_dirty[slot])
            {
                continue;
            }

            if (_recent[slot])
            {
                _recent[slot] = false;
                continue;
            }

            _index.Remove(_offsets[slot]);
            _offsets[slot] = ulong.MaxValue;
            _last = -1;
            return slot;
        }

        return -1;
    }
}
