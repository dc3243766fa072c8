using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>
/// Reads the memory of a machine that was restored on demand, from front to back, while the guest runs: pages that it has not touched yet
/// are then there when it does, and all have been compared with their checksums, which would take too long before. They stay the file's
/// until the guest writes them, so that machines from one snapshot share them. Holes are left out.
/// </summary>
internal sealed partial class BackgroundLoad : IDisposable
{
    // A piece is read in one go; the guest's own faults come in between.
    private const long PieceBytes = 2 << 20;

    // The guest's first steps, and what it asks for itself, come before the rest: at most 2 GiB a second.
    private const int DelayMilliseconds = 200;
    private const int RestMilliseconds = 1;
    private const int StackBytes = 128 << 10;
    private const int BufferBytes = 64 << 10;
    private readonly SafeFileHandle _file;
    private readonly string _path;
    private readonly IReadOnlyList<Piece> _pieces;
    private readonly ulong _chunkBytes;
    private readonly Action<string> _onDamage;
    private readonly ILogger _logger;
    private readonly Thread _thread;
    private bool _isStarted;
    private bool _maps;
    private readonly ManualResetEventSlim _ends = new(initialState: false, spinCount: 0);
    private long _loaded;
    private long _verified;

    /// <param name="file">The memory file, from now on this one's: whatever stands under its name later is another one.</param>
    /// <param name="path">Its name, for messages.</param>
    /// <param name="pieces">Where it is mapped.</param>
    /// <param name="chunkBytes">Of guest RAM to a checksum.</param>
    /// <param name="maps">False: all pages are there already, and are only compared.</param>
    /// <param name="onDamage">Told once, on this thread, what is wrong with the file; nothing is read any more.</param>
    public BackgroundLoad(
        SafeFileHandle file, string path, IReadOnlyList<Piece> pieces, ulong chunkBytes, bool maps, Action<string> onDamage, ILogger logger)
    {
        _file = file;
        _path = path;
        _pieces = pieces;
        _chunkBytes = chunkBytes;
        _maps = maps;
        _onDamage = onDamage;
        _logger = logger;
        _thread = new Thread(Run, StackBytes) { Name = "memory-load", IsBackground = true, Priority = ThreadPriority.BelowNormal };
    }

    /// <summary>Bytes of the file that have been mapped so far.</summary>
    public long Loaded => Interlocked.Read(ref _loaded);

    /// <summary>Bytes of guest RAM that have been found to be what was saved.</summary>
    public long Verified => Interlocked.Read(ref _verified);

    /// <summary>It has come to its end, or given up.</summary>
    public bool HasEnded => _isStarted && !_thread.IsAlive;

    /// <summary>Begins; once.</summary>
    public void Start()
    {
        _isStarted = true;
        _thread.Start();
    }

    /// <summary>Stops. The memory must be mapped until then.</summary>
    public void Dispose()
    {
        _ends.Set();
        if (_isStarted)
        {
            _thread.Join();
        }

        _ends.Dispose();
        _file.Dispose();
    }

    private void Run()
    {
        NativeThread.ShowName();
        if (_ends.Wait(DelayMilliseconds))
        {
            return;
        }

        try
        {
            var extents = new DataExtents(_file);
            byte[] buffer = new byte[BufferBytes];
            foreach (Piece piece in _pieces)
            {
                for (int i = 0; i < piece.Checksums.Length; i++)
                {
                    if (!Load(extents, piece, i, buffer))
                    {
                        return;
                    }
                }
            }

            LogDone(Loaded >> 20, Verified >> 20);
        }
        catch (IOException e)
        {
            // The guest's own accesses still find what they need.
            LogGivenUp(e, _path);
        }
    }

    /// <summary>Brings a chunk and compares it.</summary>
    /// <returns>False when it shall end.</returns>
    private bool Load(DataExtents extents, Piece piece, int chunk, byte[] buffer)
    {
        long from = piece.Offset + (long)((ulong)chunk * _chunkBytes);
        long end = (long)Math.Min((ulong)(piece.Offset + piece.Bytes), (ulong)from + _chunkBytes);
        long at = from;
        uint crc = Crc32C.Start;
        while (extents.TryFind(at, end, out long start, out long length))
        {
            length = Math.Min(length, PieceBytes);
            crc = ZeroChecksum.Append(crc, start - at);
            Map(piece.Address + (nint)(start - piece.Offset), length);
            if (!TrySum(start, length, buffer, ref crc))
            {
                _onDamage($"{_path} is cut off at byte 0x{start:x} or soon behind it");
                return false;
            }

            at = start + length;
            if (_ends.Wait(RestMilliseconds))
            {
                return false;
            }
        }

        if (Crc32C.Finish(ZeroChecksum.Append(crc, end - at)) != piece.Checksums[chunk])
        {
            _onDamage($"{_path} is damaged: the checksum of bytes 0x{from:x} to 0x{end:x} is wrong");
            return false;
        }

        Interlocked.Add(ref _verified, end - from);
        return true;
    }

    private void Map(nint address, long length)
    {
        if (!_maps)
        {
            return;
        }

        if (Libc.madvise(address, (nuint)length, Libc.MADV_POPULATE_READ) == 0)
        {
            Interlocked.Add(ref _loaded, length);
            return;
        }

        // EINVAL: Linux before 5.14. What is compared is then in the page cache at least.
        var refusal = new LinuxException("madvise(MADV_POPULATE_READ)", LinuxError.Last);
        _maps = false;
        LogNotMapped(refusal, _path);
    }

    /// <summary>From the file, and not from where it is mapped: the guest may have written there.</summary>
    private bool TrySum(long offset, long length, byte[] buffer, ref uint crc)
    {
        for (long done = 0; done < length;)
        {
            int read = RandomAccess.Read(_file, buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - done)), offset + done);
            if (read == 0)
            {
                return false;
            }

            crc = Crc32C.Append(crc, buffer.AsSpan(0, read));
            done += read;
        }

        return true;
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "the snapshot's memory has been loaded, {MiB} MiB, and compared, {Compared} MiB")]
    private partial void LogDone(long miB, long compared);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Path} is not mapped in the background; pages come as the guest touches them")]
    private partial void LogNotMapped(Exception exception, string path);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Path} is not loaded and compared in the background any more; pages come as the guest touches them")]
    private partial void LogGivenUp(Exception exception, string path);

    /// <summary>A part of the file that is mapped.</summary>
    /// <param name="Address">Where, in this process.</param>
    /// <param name="Offset">Of the file, in bytes.</param>
    /// <param name="Checksums">Of its chunks.</param>
    internal readonly record struct Piece(nint Address, long Offset, long Bytes, ulong[] Checksums);
}
