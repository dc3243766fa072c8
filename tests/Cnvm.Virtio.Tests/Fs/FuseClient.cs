using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Fs;

/// <summary>A folder, a server on it, and requests as a kernel builds them: in pieces of memory, without queues.</summary>
internal sealed unsafe class FuseClient : IDisposable
{
    public const int HeaderBytes = 40;
    private const int AreaBytes = 4 << 20;
    private readonly byte* _area = (byte*)NativeMemory.AllocZeroed(AreaBytes);
    private readonly DescriptorChain _chain = new(1024);
    private ulong _unique;

    public FuseClient(bool readOnly = false, FsCacheMode cache = FsCacheMode.Auto, int descriptors = 4000, string? folder = null, IReadOnlyList<IdRange>? users = null, bool locks = false)
    {
        Folder = folder ?? Directory.CreateTempSubdirectory("cnvm-fs-").FullName;
        Options = new FsOptions { Id = "_fs0", Tag = "t", Path = Folder, IsReadOnly = readOnly, Cache = cache, MaxDescriptors = descriptors, Users = users ?? [], SharesLocks = locks };
        Shared = new SharedFolder(Options);
        Handler = new FuseHandler(Shared, NullLogger.Instance);
    }

    public string Folder { get; }

    public FsOptions Options { get; }

    public SharedFolder Shared { get; }

    public FuseHandler Handler { get; }

    /// <summary>Who asks.</summary>
    public uint User { get; set; }

    public uint Group { get; set; }

    public static byte[] Text(params string[] texts) => Encoding.UTF8.GetBytes(string.Concat(texts.Select(t => t + '\0')));

    public static byte[] Bytes<T>(T value)
        where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();

    public static T Get<T>(ReadOnlySpan<byte> bytes)
        where T : unmanaged
    {
        Assert.True(bytes.Length >= Unsafe.SizeOf<T>(), $"{bytes.Length} bytes for a {typeof(T).Name}");
        return MemoryMarshal.Read<T>(bytes);
    }

    public string Path(string name) => System.IO.Path.Combine(Folder, name);

    public fuse_init_out Begin(uint flags = uint.MaxValue) =>
        Get<fuse_init_out>(Ask(FuseAbi.FUSE_INIT, 0, [.. Bytes(new fuse_init_in { major = 7, minor = 38, max_readahead = 131072, flags = flags }), .. new byte[48]]));

    /// <summary>A request that must succeed; gives what follows the answer's header.</summary>
    public byte[] Ask(uint operation, ulong node, params byte[][] arguments)
    {
        (int error, byte[] body) = Try(operation, node, arguments);
        Assert.True(error == 0, $"operation {operation} of node {node}: error {error}");
        return body;
    }

    /// <summary>A request that must fail; gives the error number.</summary>
    public int Refused(uint operation, ulong node, params byte[][] arguments)
    {
        (int error, byte[] body) = Try(operation, node, arguments);
        Assert.Empty(body);
        Assert.True(error < 0, $"operation {operation} of node {node} went through");
        return -error;
    }

    public (int Error, byte[] Body) Try(uint operation, ulong node, params byte[][] arguments)
    {
        byte[] all = [.. arguments.SelectMany(a => a)];
        byte[] request = [.. Bytes(Header(operation, node, (uint)(HeaderBytes + all.Length))), .. all];
        byte[]? answer = Send(request, 64 * 1024 + 300_000, [HeaderBytes, 7]);
        Assert.NotNull(answer);
        fuse_out_header header = Get<fuse_out_header>(answer);
        Assert.Equal(_unique, header.unique);
        Assert.Equal((uint)answer.Length, header.len);
        return (header.error, answer[16..]);
    }

    public fuse_in_header Header(uint operation, ulong node, uint length) =>
        new() { len = length, opcode = operation, unique = ++_unique, nodeid = node, uid = User, gid = Group, pid = 1 };

    /// <summary>Sends bytes as they are, cut into pieces of the given sizes (the last as long as needed).</summary>
    /// <returns>The answer; null if there is none, or a lock is waited for.</returns>
    public byte[]? Send(byte[] request, int room, params int[] cuts)
    {
        _chain.Begin(0);
        request.CopyTo(new Span<byte>(_area, AreaBytes));
        int at = 0;
        foreach (int cut in cuts.Where(c => c > 0))
        {
            if (at + cut < request.Length)
            {
                Assert.True(_chain.TryAdd((ulong)at, (nint)(_area + at), (uint)cut, false));
                at += cut;
            }
        }

        if (at < request.Length)
        {
            Assert.True(_chain.TryAdd((ulong)at, (nint)(_area + at), (uint)(request.Length - at), false));
        }

        // Header and data of an answer lie apart, as Linux has them.
        int start = (request.Length + 4095) & ~4095;
        int first = Math.Min(16, room);
        if (first > 0)
        {
            Assert.True(_chain.TryAdd((ulong)start, (nint)(_area + start), (uint)first, true));
        }

        if (room > first)
        {
            Assert.True(_chain.TryAdd((ulong)(start + first), (nint)(_area + start + first), (uint)(room - first), true));
        }

        uint written = Handler.Handle(_chain);
        if (Handler.TakeWait() is { } wait)
        {
            wait.GiveUp();
            return null;
        }

        Assert.True(written <= room, $"{written} bytes into {room}");
        return written == 0 ? null : new ReadOnlySpan<byte>(_area + start, (int)written).ToArray();
    }

    public fuse_entry_out LookUp(ulong parent, string name) => Get<fuse_entry_out>(Ask(FuseAbi.FUSE_LOOKUP, parent, Text(name)));

    public ulong Open(ulong node, int flags = 2) =>
        Get<fuse_open_out>(Ask(FuseAbi.FUSE_OPEN, node, Bytes(new fuse_open_in { flags = (uint)flags }))).fh;

    public ulong OpenDirectory(ulong node) => Get<fuse_open_out>(Ask(FuseAbi.FUSE_OPENDIR, node, Bytes(default(fuse_open_in)))).fh;

    public (ulong Node, ulong Handle) Create(ulong parent, string name, uint mode = 0x1a4, int flags = 2)
    {
        byte[] body = Ask(FuseAbi.FUSE_CREATE, parent, Bytes(new fuse_create_in { flags = (uint)flags | 0x40, mode = mode | 0x8000 }), Text(name));
        return (Get<fuse_entry_out>(body).nodeid, Get<fuse_open_out>(body.AsSpan(Unsafe.SizeOf<fuse_entry_out>())).fh);
    }

    public int Write(ulong handle, long offset, byte[] data) => (int)Get<fuse_write_out>(Ask(
        FuseAbi.FUSE_WRITE, 0, Bytes(new fuse_write_in { fh = handle, offset = (ulong)offset, size = (uint)data.Length }), data)).size;

    public byte[] Read(ulong handle, long offset, int size) =>
        Ask(FuseAbi.FUSE_READ, 0, Bytes(new fuse_read_in { fh = handle, offset = (ulong)offset, size = (uint)size }));

    public void Release(ulong handle) => Ask(FuseAbi.FUSE_RELEASE, 0, Bytes(new fuse_release_in { fh = handle }));

    public void Forget(ulong node, ulong lookups = 1) => Assert.Null(Send(
        [.. Bytes(Header(FuseAbi.FUSE_FORGET, node, HeaderBytes + 8)), .. Bytes(new fuse_forget_in { nlookup = lookups })], 0));

    public fuse_attr Attributes(ulong node) =>
        Get<fuse_attr_out>(Ask(FuseAbi.FUSE_GETATTR, node, Bytes(default(fuse_getattr_in)))).attr;

    public fuse_attr Change(ulong node, fuse_setattr_in change) => Get<fuse_attr_out>(Ask(FuseAbi.FUSE_SETATTR, node, Bytes(change))).attr;

    /// <summary>A whole directory, in requests of the given size.</summary>
    public List<(string Name, ulong Node, uint Type)> List(ulong node, bool plus, int size = 4096)
    {
        ulong handle = OpenDirectory(node);
        List<(string, ulong, uint)> found = [];
        ulong offset = 0;
        while (true)
        {
            byte[] body = Ask(
                plus ? FuseAbi.FUSE_READDIRPLUS : FuseAbi.FUSE_READDIR, node, Bytes(new fuse_read_in { fh = handle, offset = offset, size = (uint)size }));
            Assert.True(body.Length <= size);
            if (body.Length == 0)
            {
                break;
            }

            for (int at = 0; at < body.Length;)
            {
                int head = plus ? Unsafe.SizeOf<fuse_entry_out>() : 0;
                fuse_dirent dirent = Get<fuse_dirent>(body.AsSpan(at + head));
                string name = Encoding.UTF8.GetString(body.AsSpan(at + head + 24, (int)dirent.namelen));
                found.Add((name, plus ? Get<fuse_entry_out>(body.AsSpan(at)).nodeid : dirent.ino, dirent.type));
                offset = dirent.off;
                at += head + ((24 + (int)dirent.namelen + 7) & ~7);
            }
        }

        Ask(FuseAbi.FUSE_RELEASEDIR, node, Bytes(new fuse_release_in { fh = handle }));
        return found;
    }

    public void Dispose()
    {
        Handler.Dispose();
        Shared.Dispose();
        _chain.Dispose();
        NativeMemory.Free(_area);
        if (Directory.Exists(Folder))
        {
            Directory.Delete(Folder, recursive: true);
        }
    }
}
