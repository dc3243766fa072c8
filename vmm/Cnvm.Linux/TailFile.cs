using Microsoft.Win32.SafeHandles;

namespace Cnvm.Linux;

/// <summary>
/// A file that keeps the end of what is written to it: when it is full, its older half goes, up to the end of a line. One thread at a time; allocates
/// nothing once it is open.
/// </summary>
public sealed class TailFile : IDisposable
{
    /// <summary>The smallest limit.</summary>
    public const long LeastLimit = 64 << 10;

    private const int PartBytes = 32 << 10;
    private readonly FileStream _stream;
    private readonly SafeFileHandle _file;
    private readonly long _limit;
    private readonly byte[] _part = new byte[PartBytes];
    private long _length;

    /// <param name="path">A regular file; made if it is missing.</param>
    /// <param name="limit">Most bytes that it has, from <see cref="LeastLimit"/>.</param>
    /// <param name="keep">What is in it stays; otherwise it is emptied.</param>
    /// <param name="mode">Of a file that is made.</param>
    /// <exception cref="IOException">It cannot be opened, or is something else than a regular file.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public TailFile(
        string path, long limit, bool keep = false,
        UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, LeastLimit);
        _limit = limit;
        _stream = new FileStream(path, new FileStreamOptions
        {
            Mode = keep ? FileMode.OpenOrCreate : FileMode.Create,
            Access = FileAccess.ReadWrite,
            Share = FileShare.ReadWrite | FileShare.Delete,
            BufferSize = 0,
            UnixCreateMode = mode,
        });
        if (!_stream.CanSeek)
        {
            _stream.Dispose();
            throw new IOException($"{path} is no regular file, so that its size cannot be limited");
        }

        _file = _stream.SafeFileHandle;
        _length = RandomAccess.GetLength(_file);
    }

    /// <summary>The open file, for waiting; this object's.</summary>
    public SafeFileHandle Handle => _file;

    /// <summary>Writes at the end; of more than half of the limit only the end is written.</summary>
    /// <exception cref="IOException">The host refuses: the disk is full, for example. What is there stays.</exception>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        long half = _limit / 2;
        if (bytes.Length > half)
        {
            bytes = bytes[^(int)half..];
        }

        if (_length + bytes.Length > _limit)
        {
            DropBefore(Math.Max(_length - half, 0));
        }

        RandomAccess.Write(_file, bytes, _length);
        _length += bytes.Length;
    }

    public void Dispose() => _stream.Dispose();

    private void DropBefore(long from)
    {
        int count = RandomAccess.Read(_file, _part, from);
        from += _part.AsSpan(0, count).IndexOf((byte)'\n') + 1;
        long to = 0;
        while ((count = RandomAccess.Read(_file, _part, from)) > 0)
        {
            RandomAccess.Write(_file, _part.AsSpan(0, count), to);
            from += count;
            to += count;
        }

        RandomAccess.SetLength(_file, to);
        _length = to;
    }
}
