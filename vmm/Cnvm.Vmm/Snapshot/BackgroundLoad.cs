using Cnvm.Linux;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Snapshot;

/// <summary>
/// Reads the memory of a machine that was restored on demand, from front to back, while the guest runs: pages that it has not touched yet
/// are then there when it does. They stay the file's until the guest writes them, so that machines from one snapshot share them. Holes are
/// left out.
/// </summary>
internal sealed partial class BackgroundLoad : IDisposable
{
    // A piece is read in one go; the guest's own faults come in between.
    private const long PieceBytes = 2 << 20;

    // The guest's first steps, and what it asks for itself, come before the rest: at most 2 GiB a second.
    private const int DelayMilliseconds = 200;
    private const int RestMilliseconds = 1;
    private const int StackBytes = 128 << 10;
    private readonly string _path;
    private readonly IReadOnlyList<Piece> _pieces;
    private readonly ILogger _logger;
    private readonly Thread _thread;
    private bool _isStarted;
    private readonly ManualResetEventSlim _ends = new(initialState: false, spinCount: 0);
    private long _loaded;

    /// <param name="path">The memory file.</param>
    /// <param name="pieces">Where it is mapped.</param>
    public BackgroundLoad(string path, IReadOnlyList<Piece> pieces, ILogger logger)
    {
        _path = path;
        _pieces = pieces;
        _logger = logger;
        _thread = new Thread(Run, StackBytes) { Name = "memory-load", IsBackground = true, Priority = ThreadPriority.BelowNormal };
    }

    /// <summary>Bytes of the file that have been mapped so far.</summary>
    public long Loaded => Interlocked.Read(ref _loaded);

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
            using SafeFileHandle file = File.OpenHandle(_path);
            var extents = new DataExtents(file);
            foreach (Piece piece in _pieces)
            {
                if (!Load(extents, piece))
                {
                    return;
                }
            }

            LogDone(Loaded >> 20);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or LinuxException)
        {
            // The guest's own accesses still find what they need.
            LogGivenUp(e, _path);
        }
    }

    /// <returns>False when it shall end.</returns>
    private bool Load(DataExtents extents, Piece piece)
    {
        long end = piece.Offset + piece.Bytes;
        for (long at = piece.Offset; extents.TryFind(at, end, out long start, out long length); at = start + length)
        {
            length = Math.Min(length, PieceBytes);
            if (Libc.madvise(piece.Address + (nint)(start - piece.Offset), (nuint)length, Libc.MADV_POPULATE_READ) != 0)
            {
                // EINVAL: Linux before 5.14.
                throw new LinuxException("madvise(MADV_POPULATE_READ)", LinuxError.Last);
            }

            Interlocked.Add(ref _loaded, length);
            if (_ends.Wait(RestMilliseconds))
            {
                return false;
            }
        }

        return true;
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "the snapshot's memory has been loaded: {MiB} MiB")]
    private partial void LogDone(long miB);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Path} is not loaded in the background; pages come as the guest touches them")]
    private partial void LogGivenUp(Exception exception, string path);

    /// <summary>A part of the file that is mapped.</summary>
    /// <param name="Address">Where, in this process.</param>
    /// <param name="Offset">Of the file, in bytes.</param>
    internal readonly record struct Piece(nint Address, long Offset, long Bytes);
}
