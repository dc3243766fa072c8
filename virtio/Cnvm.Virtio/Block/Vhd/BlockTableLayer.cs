using Cnvm.Linux;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>
/// A disk in blocks that come to be when they are first written (VHDX, dynamic VHD). Any number of threads: the table and new blocks are under
/// one lock, data of blocks that exist moves outside of it, as they never move. Results are 0 or negative error numbers.
/// </summary>
/// <remarks>
/// Whenever the host dies, the image is whole and has what was flushed. A new block lies at the file's end, where nothing else is, and its data is
/// on stable storage before an entry that refers to it is written; an entry only ever goes from "nowhere" to its block, and lies in one sector,
/// which is written as a whole or not at all. So a table with any part of the changes is right, and the log that VHDX has for updates of
/// several sectors that belong together (MS-VHDX §2.3) has nothing to do: after a crash it is empty, and no reader needs to replay anything.
/// A block that no entry came to refer to is lost space. Discards make holes in the file and leave the blocks where they are.
/// </remarks>
internal sealed unsafe partial class BlockTableLayer : IImageLayer
{
    /// <summary>Most that slices of the table take: the table of 8 TiB in blocks of 32 MiB. Memory comes when it is needed.</summary>
    private const int CacheBytes = 2 * 1024 * 1024;

    private readonly IImageFile _file;
    private readonly IImageFile _data;
    private readonly Func<IBlockTable> _load;
    private readonly LayerOptions _options;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private readonly TableCache _entries;
    private IBlockTable _table;
    private bool _hasBegun;
    private bool _isCorrupt;
    private bool _isUnlocked;

    /// <summary>A block at the end of the file that could not be filled, and is for the next one; 0: none.</summary>
    private ulong _spare;

    /// <summary>Opens an image; owns the files once it has returned.</summary>
    /// <param name="file">The image's file.</param>
    /// <param name="data">The same file for data, where that differs (O_DIRECT).</param>
    /// <param name="load">Reads what the file says of its table.</param>
    /// <exception cref="BlockImageException">The image is damaged or not supported.</exception>
    public BlockTableLayer(IImageFile file, IImageFile? data, Func<IBlockTable> load, LayerOptions options, ILogger logger)
    {
        _file = file;
        _data = data ?? file;
        _load = load;
        _options = options;
        _logger = logger;
        _table = load();
        _entries = new TableCache(file, _table.TableAlignment, CacheBytes);
    }

    public ulong Size => _table.Size;

    public uint SectorBytes => _table.SectorBytes;

    public uint PhysicalSectorBytes => _table.PhysicalSectorBytes;

    /// <summary>Any whole page of the host's file can become a hole.</summary>
    public uint DiscardGranularity => 4096;

    public bool HasUnwrittenTables
    {
        get
        {
            // Somebody who writes them just now holds the lock until they are written.
            lock (_gate)
            {
                return _entries.IsDirty;
            }
        }
    }

    private ulong BlockMask => _table.BlockBytes - 1;

    public int Read(ref VectorCursor cursor, ulong offset, ulong length)
    {
        while (length > 0)
        {
            int result = Map(offset, length, out ulong host, out ulong run);
            if (result < 0)
            {
                return result;
            }

            if (host == 0)
            {
                cursor.Clear(run);
            }
            else
            {
                result = cursor.ReadFrom(_data, host, run);
                if (result < 0)
                {
                    return result;
                }
            }

            offset += run;
            length -= run;
        }

        return 0;
    }

    public int Write(ref VectorCursor cursor, ulong offset, ulong length)
    {
        while (length > 0)
        {
            int result = PrepareWrite(ref cursor, offset, length, out ulong host, out ulong run);
            if (result == 0 && host != 0)
            {
                result = cursor.WriteTo(_data, host, run);
            }

            if (result < 0)
            {
                return result;
            }

            offset += run;
            length -= run;
        }

        return 0;
    }

    public int Discard(ulong offset, ulong length)
    {
        int result = _options.GivesBack ? Zero(offset, length, mayFree: true, mayWrite: false) : 0;
        return result == -Errno.EOPNOTSUPP ? 0 : result;
    }

    public int WriteZeroes(ulong offset, ulong length, bool mayFree) => Zero(offset, length, mayFree && _options.GivesBack, mayWrite: true);

    public int Flush(bool settle)
    {
        if (_options.IsReadOnly)
        {
            return 0;
        }

        lock (_gate)
        {
            if (_isCorrupt)
            {
                return -Errno.EIO;
            }

            if (_entries.IsDirty)
            {
                return Commit();
            }
        }

        return _file.DataSync();
    }

    public void Grow(ulong size)
    {
        if (size != Size)
        {
            throw new BlockImageException(
                $"disk {_file.Path}: a dynamic VHD or a VHDX image cannot be given another size while it is a disk (qemu-img convert makes a larger one)");
        }
    }

    public void CopyTo(SafeFileHandle file) => _file.CopyTo(file);

    public void Unlock()
    {
        _isUnlocked = true;
        _options.Unlock?.Invoke();
    }

    /// <summary>Takes the image again and reads its table anew: somebody else may have had it.</summary>
    public void Lock()
    {
        _options.Relock?.Invoke();
        lock (_gate)
        {
            IBlockTable table = _load();
            if (table.Size != _table.Size || table.BlockBytes != _table.BlockBytes || table.SectorBytes != _table.SectorBytes)
            {
                throw new BlockImageException($"disk {_file.Path}: the image is another one than before");
            }

            _entries.Clear();
            _table = table;
            _hasBegun = false;
            _isCorrupt = false;
            _isUnlocked = false;
            _spare = 0;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_entries.IsDirty && !_isCorrupt && !_isUnlocked)
            {
                int result = Commit();
                if (result < 0)
                {
                    LogNotWritten(_logger, _file.Path, -result);
                }
            }

            _entries.Dispose();
        }

        if (_data != _file)
        {
            _data.Dispose();
        }

        _file.Dispose();
    }

    /// <summary>Finds where the bytes at an offset are, and how many more of the block are there.</summary>
    /// <param name="host">Offset in the file; 0: they are zero.</param>
    private int Map(ulong offset, ulong length, out ulong host, out ulong run)
    {
        lock (_gate)
        {
            return MapEntry(offset, length, out host, out run, out _, out _);
        }
    }

    /// <inheritdoc cref="Map"/>
    private int MapEntry(ulong offset, ulong length, out ulong host, out ulong run, out byte* entry, out int slot)
    {
        ulong block = offset / _table.BlockBytes;
        ulong at = _table.EntryOffset(block);
        ulong inSlice = at & (ulong)(_entries.SliceBytes - 1);
        run = Math.Min(length, _table.BlockBytes - (offset & BlockMask));
        host = 0;
        entry = null;
        int result = _entries.Get(at - inSlice, out byte* slice, out slot);
        if (result < 0)
        {
            return result;
        }

        // SAFETY: entries do not cross slices, as both are powers of two.
        entry = slice + inSlice;
        if (!_table.TryLocate(block, entry, out host))
        {
            return Corrupt($"the table's entry for block {block} says what cannot be");
        }

        host += host == 0 ? 0 : offset & BlockMask;
        return 0;
    }

    /// <summary>Finds the block that is to be written; a new one is written at once.</summary>
    /// <param name="host">Where to write; 0: all is done.</param>
    private int PrepareWrite(ref VectorCursor cursor, ulong offset, ulong length, out ulong host, out ulong run)
    {
        lock (_gate)
        {
            host = 0;
            run = 0;
            int result = MakeRoom();
            byte* entry = null;
            int slot = 0;
            result = result < 0 ? result : MapEntry(offset, length, out host, out run, out entry, out slot);
            if (result < 0 || host != 0)
            {
                return result < 0 ? result : _table.PrepareWrite(offset / _table.BlockBytes, host - (offset & BlockMask));
            }

            result = WriteNew(ref cursor, offset & BlockMask, run, out ulong block);
            if (result == 0)
            {
                _table.SetEntry(entry, block);
                _entries.MarkDirty(slot);
            }

            return result;
        }
    }

    /// <summary>What comes before a change: the image may be written, its headers say so, and the cache has room. Under the lock.</summary>
    private int MakeRoom()
    {
        if (_isCorrupt || _options.IsReadOnly)
        {
            return -Errno.EIO;
        }

        if (!_hasBegun)
        {
            int result = _table.Begin();
            if (result < 0)
            {
                return result;
            }

            _hasBegun = true;
        }

        return _entries.IsCrowded ? Commit() : 0;
    }

    /// <summary>Writes a part of a new block; the rest of it is zero. Under the lock.</summary>
    private int WriteNew(ref VectorCursor cursor, ulong inBlock, ulong length, out ulong host)
    {
        host = _spare;
        int result = _spare == 0 ? _table.Append(out host) : FillZero(host, _table.BlockBytes, mayFree: true, mayWrite: true);
        if (result < 0)
        {
            return result;
        }

        _spare = host;
        result = cursor.WriteTo(_file, host + inBlock, length);
        if (result == 0)
        {
            _spare = 0;
        }

        return result;
    }

    /// <summary>Makes what there is of a range zero.</summary>
    private int Zero(ulong offset, ulong length, bool mayFree, bool mayWrite)
    {
        while (length > 0)
        {
            ulong host, run;
            lock (_gate)
            {
                int result = MapEntry(offset, length, out host, out run, out _, out _);
                result = result < 0 || host == 0 ? result : MakeRoom();
                if (result < 0)
                {
                    return result;
                }
            }

            int zeroed = host == 0 ? 0 : FillZero(host, run, mayFree, mayWrite);
            if (zeroed < 0)
            {
                return zeroed;
            }

            offset += run;
            length -= run;
        }

        return 0;
    }

    private int FillZero(ulong host, ulong length, bool mayFree, bool mayWrite)
    {
        int result = mayFree ? _file.PunchHole(host, length) : _file.ZeroRange(host, length);
        return result == -Errno.EOPNOTSUPP && mayWrite ? ZeroFill.Write(_file, host, length) : result;
    }

    /// <summary>Writes changed entries, once what they refer to is on stable storage. Under the lock.</summary>
    private int Commit()
    {
        int result = _file.DataSync();
        result = result < 0 ? result : _entries.Write();
        return result < 0 ? result : _file.DataSync();
    }

    /// <summary>Notes that the image is damaged: it is not written any more.</summary>
    private int Corrupt(string why)
    {
        if (!_isCorrupt)
        {
            _isCorrupt = true;
            LogCorrupt(_logger, _file.Path, why);
        }

        return -Errno.EIO;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "disk {Path}: the image is damaged and is not written any more: {Why}. Run qemu-img check")]
    private static partial void LogCorrupt(ILogger logger, string path, string why);

    [LoggerMessage(Level = LogLevel.Error, Message = "disk {Path}: the image's table could not be written at its end: errno {Errno}")]
    private static partial void LogNotWritten(ILogger logger, string path, int errno);
}
