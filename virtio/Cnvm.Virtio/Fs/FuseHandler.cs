using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Cnvm.Devices.Bus;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Fs;

/// <summary>
/// Answers the FUSE requests of one queue, on the thread of its worker. A request of a wrong shape gets EINVAL; one that cannot even be
/// answered is dropped.
/// </summary>
internal sealed unsafe partial class FuseHandler : IDisposable
{
    /// <summary>Oldest minor version that is spoken: Linux 5.4, the first with virtio-fs.</summary>
    private const uint OldestMinor = 31;
    private const int HeaderBytes = 40;
    private const int ReplyHeaderBytes = 16;

    /// <summary>Most bytes of a READ or WRITE.</summary>
    private const uint MaxTransfer = 1 << 20;
    private const int PageBytes = 4096;
    private const int BufferBytes = 128 * 1024;

    /// <summary>Room for two names, or a name and a target.</summary>
    private const int TextBytes = 8 * 1024;
    private const int DescriptorPathBytes = 48;
    private const ushort MaxBackground = 64;
    private const uint WantedFlags = FuseAbi.FUSE_ASYNC_READ | FuseAbi.FUSE_BIG_WRITES | FuseAbi.FUSE_ASYNC_DIO
        | FuseAbi.FUSE_DO_READDIRPLUS | FuseAbi.FUSE_READDIRPLUS_AUTO | FuseAbi.FUSE_PARALLEL_DIROPS | FuseAbi.FUSE_MAX_PAGES;

    private readonly SharedFolder _folder;
    private readonly ILogger _logger;
    private readonly LogRateLimit _dropLimit = new();
    private readonly ulong _validSeconds;
    private IoVec* _vectors;
    private byte* _text;
    private byte* _buffer;
    private byte* _descriptorPath;
    private byte* _textAt;
    private byte* _textEnd;
    private DescriptorChain _chain = null!;
    private ulong _unique;
    private ulong _requests;
    private ulong _errors;
    private ulong _readOps;
    private ulong _readBytes;
    private ulong _writeOps;
    private ulong _writeBytes;

    public FuseHandler(SharedFolder folder, ILogger logger)
    {
        _folder = folder;
        _logger = logger;
        _validSeconds = folder.Cache switch { FsCacheMode.None => 0, FsCacheMode.Auto => 1, _ => 86400 };

        // SAFETY: freed in Dispose; untouched pages cost no memory.
        _vectors = (IoVec*)NativeMemory.Alloc(IoVec.MaxCount, (nuint)sizeof(IoVec));
        _text = (byte*)NativeMemory.Alloc(TextBytes);
        _buffer = (byte*)NativeMemory.Alloc(BufferBytes);
        _descriptorPath = (byte*)NativeMemory.AllocZeroed(DescriptorPathBytes);
        ProcSelfFd.CopyTo(new Span<byte>(_descriptorPath, DescriptorPathBytes));
    }

    private static ReadOnlySpan<byte> ProcSelfFd => "/proc/self/fd/"u8;

    /// <summary>Any thread; without nodes and handles, which belong to the folder.</summary>
    public FsCounters Counters => new(
        Volatile.Read(ref _requests),
        Volatile.Read(ref _errors),
        Volatile.Read(ref _readOps),
        Volatile.Read(ref _readBytes),
        Volatile.Read(ref _writeOps),
        Volatile.Read(ref _writeBytes),
        0,
        0);

    /// <summary>Answers one request.</summary>
    /// <returns>Bytes written at the start of the chain's writable part; nothing counts if <see cref="TakeWait"/> then has something.</returns>
    public uint Handle(DescriptorChain chain)
    {
        _chain = chain;
        Volatile.Write(ref _requests, _requests + 1);
        ChainReader reader = new(chain);
        if (!reader.TryRead(out fuse_in_header header))
        {
            return Drop("a request without a header");
        }

        _unique = header.unique;
        if (header.len < HeaderBytes || header.len > chain.ReadableBytes)
        {
            return Fail(-Errno.EINVAL);
        }

        FuseArguments arguments = new(reader, header.len - HeaderBytes);
        switch (header.opcode)
        {
            case FuseAbi.FUSE_INIT:
                return Initialise(arguments);
            case FuseAbi.FUSE_FORGET:
                return Forget(header, arguments);
            case FuseAbi.FUSE_BATCH_FORGET:
                return ForgetMany(arguments);
            case FuseAbi.FUSE_INTERRUPT:
                return Interrupt(arguments);
            default:
                return _folder.IsInitialised ? Dispatch(header, arguments) : Fail(-Errno.EPROTO);
        }
    }

    public void Dispose()
    {
        NativeMemory.Free(_vectors);
        NativeMemory.Free(_text);
        NativeMemory.Free(_buffer);
        NativeMemory.Free(_descriptorPath);
        _vectors = null;
        _text = null;
        _buffer = null;
        _descriptorPath = null;
    }

    /// <summary>0 if a name stands for an entry of a directory and nothing else; otherwise minus the error number.</summary>
    public static int CheckName(ReadOnlySpan<byte> name) =>
        name.Length > 255 ? -Errno.ENAMETOOLONG
        : name.IsEmpty || name.ContainsAny((byte)'/', (byte)0) || name.SequenceEqual("."u8) || name.SequenceEqual(".."u8) ? -Errno.EINVAL
        : 0;

    private uint Dispatch(in fuse_in_header header, FuseArguments arguments)
    {
        if (_folder.IsReadOnly && IsChange(header.opcode))
        {
            return Fail(-Errno.EROFS);
        }

        return header.opcode switch
        {
            FuseAbi.FUSE_LOOKUP => LookUp(header, arguments),
            FuseAbi.FUSE_GETATTR => GetAttributes(header),
            FuseAbi.FUSE_SETATTR => SetAttributes(header, arguments),
            FuseAbi.FUSE_READLINK => ReadLink(header),
            FuseAbi.FUSE_SYMLINK or FuseAbi.FUSE_MKNOD or FuseAbi.FUSE_MKDIR => Make(header, arguments),
            FuseAbi.FUSE_UNLINK => Unlink(header, arguments, 0),
            FuseAbi.FUSE_RMDIR => Unlink(header, arguments, FileCalls.AT_REMOVEDIR),
            FuseAbi.FUSE_RENAME or FuseAbi.FUSE_RENAME2 => Rename(header, arguments),
            FuseAbi.FUSE_LINK => Link(header, arguments),
            FuseAbi.FUSE_OPEN => Open(header, arguments, isDirectory: false),
            FuseAbi.FUSE_OPENDIR => Open(header, arguments, isDirectory: true),
            FuseAbi.FUSE_CREATE => Create(header, arguments),
            FuseAbi.FUSE_TMPFILE => CreateNameless(header, arguments),
            FuseAbi.FUSE_READ => Read(arguments),
            FuseAbi.FUSE_WRITE => Write(arguments),
            FuseAbi.FUSE_RELEASE or FuseAbi.FUSE_RELEASEDIR => Release(arguments),
            FuseAbi.FUSE_FLUSH => Flush(arguments),
            FuseAbi.FUSE_FSYNC => Synchronise(arguments, isDirectory: false),
            FuseAbi.FUSE_FSYNCDIR => Synchronise(arguments, isDirectory: true),
            FuseAbi.FUSE_FALLOCATE => Allocate(arguments),
            FuseAbi.FUSE_LSEEK => Seek(arguments),
            FuseAbi.FUSE_COPY_FILE_RANGE => CopyRange(arguments),
            FuseAbi.FUSE_STATFS => GetFileSystem(header),
            FuseAbi.FUSE_SYNCFS => SynchroniseAll(header),
            FuseAbi.FUSE_ACCESS => Access(header, arguments),
            FuseAbi.FUSE_READDIR => ReadDirectory(arguments, plus: false),
            FuseAbi.FUSE_READDIRPLUS => ReadDirectory(arguments, plus: true),
            FuseAbi.FUSE_SETXATTR => SetExtended(header, arguments),
            FuseAbi.FUSE_GETXATTR => GetExtended(header, arguments),
            FuseAbi.FUSE_LISTXATTR => ListExtended(header, arguments),
            FuseAbi.FUSE_REMOVEXATTR => RemoveExtended(header, arguments),
            FuseAbi.FUSE_GETLK => GetLock(arguments),
            FuseAbi.FUSE_SETLK => SetLock(arguments, waits: false),
            FuseAbi.FUSE_SETLKW => SetLock(arguments, waits: true),
            FuseAbi.FUSE_DESTROY => Destroy(),
            _ => Fail(-Errno.ENOSYS),
        };
    }

    /// <summary>Requests that change the folder whatever their arguments are; opening for writing is refused where files are opened.</summary>
    private static bool IsChange(uint operation) => operation is FuseAbi.FUSE_SETATTR or FuseAbi.FUSE_SYMLINK or FuseAbi.FUSE_MKNOD
        or FuseAbi.FUSE_MKDIR or FuseAbi.FUSE_UNLINK or FuseAbi.FUSE_RMDIR or FuseAbi.FUSE_RENAME or FuseAbi.FUSE_RENAME2
        or FuseAbi.FUSE_LINK or FuseAbi.FUSE_CREATE or FuseAbi.FUSE_TMPFILE or FuseAbi.FUSE_WRITE or FuseAbi.FUSE_FALLOCATE
        or FuseAbi.FUSE_COPY_FILE_RANGE or FuseAbi.FUSE_SETXATTR or FuseAbi.FUSE_REMOVEXATTR;

    private uint Initialise(FuseArguments arguments)
    {
        if (!arguments.TryRead(out fuse_init_in request))
        {
            return Fail(-Errno.EINVAL);
        }

        fuse_init_out answer = default;
        answer.major = FuseAbi.FUSE_KERNEL_VERSION;
        answer.minor = Math.Min(request.minor, FuseAbi.FUSE_KERNEL_MINOR_VERSION);
        if (request.major > FuseAbi.FUSE_KERNEL_VERSION)
        {
            // The driver begins anew with this version.
            answer.minor = FuseAbi.FUSE_KERNEL_MINOR_VERSION;
            return Answer(answer);
        }

        if (request.major < FuseAbi.FUSE_KERNEL_VERSION || request.minor < OldestMinor)
        {
            return Fail(-Errno.EPROTO);
        }

        // Not among them: HANDLE_KILLPRIV, as the host does not strip set-user-id bits from what root
        // writes, but the guest's kernel does so when it is not told otherwise; POSIX_ACL.
        uint wanted = _folder.Cache switch
        {
            FsCacheMode.Always => WantedFlags | FuseAbi.FUSE_WRITEBACK_CACHE | FuseAbi.FUSE_CACHE_SYMLINKS,
            FsCacheMode.Auto => WantedFlags | FuseAbi.FUSE_AUTO_INVAL_DATA,
            _ => WantedFlags,
        };
        wanted |= _folder.SharesLocks ? SharedFolder.LockFlags : 0;
        answer.flags = request.flags & wanted;
        answer.max_readahead = request.max_readahead;
        answer.max_background = MaxBackground;
        answer.congestion_threshold = MaxBackground * 3 / 4;
        answer.max_write = MaxTransfer;
        answer.max_pages = (ushort)(MaxTransfer / PageBytes);
        answer.time_gran = 1;
        _folder.Begin(answer.minor, answer.flags);
        return Answer(answer);
    }

    private uint Destroy()
    {
        _folder.Clear();
        return Answer();
    }

    private uint Forget(in fuse_in_header header, FuseArguments arguments)
    {
        if (arguments.TryRead(out fuse_forget_in request))
        {
            _folder.Forget(header.nodeid, request.nlookup);
        }

        return 0;
    }

    private uint ForgetMany(FuseArguments arguments)
    {
        if (arguments.TryRead(out fuse_batch_forget_in request))
        {
            // Bounded by what the chain has, whatever the count says.
            for (uint i = 0; i < request.count && arguments.TryRead(out fuse_forget_one one); i++)
            {
                _folder.Forget(one.nodeid, one.nlookup);
            }
        }

        return 0;
    }

    private uint Answer() => Reply(0, default);

    private uint Answer<T>(in T body)
        where T : unmanaged => Reply(0, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in body)));

    /// <summary>Nothing but an error, or success where <paramref name="result"/> is not negative.</summary>
    private uint Finish(int result) => result < 0 ? Fail(result) : Answer();

    /// <param name="error">Minus the error number.</param>
    private uint Fail(int error)
    {
        Volatile.Write(ref _errors, _errors + 1);
        return Reply(error, default);
    }

    private uint Reply(int error, scoped ReadOnlySpan<byte> body)
    {
        uint length = (uint)(ReplyHeaderBytes + body.Length);
        if (!PutHeader(length, error, out ChainWriter writer))
        {
            // The answer does not fit: say so, if that fits.
            return error != 0 || !PutHeader(ReplyHeaderBytes, -Errno.EINVAL, out _) ? Drop("a request without room for its answer") : ReplyHeaderBytes;
        }

        writer.Write(body);
        return length;
    }

    /// <summary>Writes an answer's header; false when the answer does not fit into the chain.</summary>
    private bool PutHeader(uint length, int error, out ChainWriter writer)
    {
        writer = new ChainWriter(_chain);
        if (_chain.WritableBytes < length)
        {
            return false;
        }

        var header = new fuse_out_header { len = length, error = error, unique = _unique };
        writer.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<fuse_out_header>(in header)));
        return true;
    }

    private uint Drop(string reason)
    {
        if (_dropLimit.TryTake(out long suppressed))
        {
            LogDropped(_logger, reason, suppressed);
        }

        return 0;
    }

    /// <summary>Reads all that is left as text, of which the Take methods then give the parts.</summary>
    private int LoadText(scoped ref FuseArguments arguments)
    {
        if (arguments.Remaining > TextBytes)
        {
            return -Errno.ENAMETOOLONG;
        }

        _textAt = _text;
        _textEnd = _text + arguments.Read(new Span<byte>(_text, TextBytes));
        return 0;
    }

    /// <summary>The next text up to a null byte, which stays behind it.</summary>
    private int TakeText(out byte* text)
    {
        text = _textAt;
        int length = new ReadOnlySpan<byte>(_textAt, (int)(_textEnd - _textAt)).IndexOf((byte)0);
        if (length <= 0)
        {
            return -Errno.EINVAL;
        }

        _textAt += length + 1;
        return length;
    }

    /// <summary>The next text, which is to name an entry of a directory.</summary>
    private int TakeName(out byte* name)
    {
        int length = TakeText(out name);
        return length < 0 ? length : CheckName(new ReadOnlySpan<byte>(name, length));
    }

    /// <summary>Reads the name of an entry of a directory; fails with the directory's error where there is none.</summary>
    private int LoadName(in FileUse directory, scoped ref FuseArguments arguments, out byte* name)
    {
        name = null;
        int error = directory.Error != 0 ? directory.Error : LoadText(ref arguments);
        return error < 0 ? error : TakeName(out name);
    }

    /// <summary>A descriptor's entry in /proc/self/fd, by absolute path.</summary>
    private byte* DescriptorPath(int fd)
    {
        SharedFolder.FormatNumber(fd, _descriptorPath + ProcSelfFd.Length);
        return _descriptorPath;
    }

    /// <summary>The same relative to <see cref="SharedFolder.Descriptors"/>.</summary>
    private byte* DescriptorName(int fd) => DescriptorPath(fd) + ProcSelfFd.Length;

    [LoggerMessage(Level = LogLevel.Warning, Message = "virtio-fs dropped {Reason} ({Suppressed} more not shown)")]
    private static partial void LogDropped(ILogger logger, string reason, long suppressed);
}
