using System.Runtime.InteropServices;
using BenchmarkDotNet.Attributes;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Fs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Micro;

/// <summary>A FUSE request through virtio-fs to a folder of the host, its thread included.</summary>
[MemoryDiagnoser]
public class FolderTraffic : IDisposable
{
    private const int HeaderBytes = 40;
    private const int AnswerBytes = 16;
    private const int Bytes = 4096;
    private const int Queue = 1;
    private const ulong Request = 0x10_0000;
    private const ulong RequestData = 0x11_0000;
    private const ulong AnswerHeader = 0x12_0000;
    private const ulong Answer = 0x13_0000;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-fs-bench-").FullName;
    private DeviceRings _rings = null!;
    private ulong _node;
    private ulong _file;
    private ulong _directory;

    [GlobalSetup]
    public void SetUp()
    {
        File.WriteAllBytes(Path.Combine(_folder, "f"), new byte[Bytes]);
        _rings = new DeviceRings(
            new FsDevice(new FsOptions { Id = "_fs0", Tag = "t", Path = _folder, QueueSize = 16 }, NullLogger.Instance), queues: 2);
        Ask(FuseAbi.FUSE_INIT, 0, new fuse_init_in { major = 7, minor = 38, flags = ~0u });
        LookUp();
        _node = _rings.Read<fuse_entry_out>(Answer).nodeid;
        Ask(FuseAbi.FUSE_OPEN, _node, new fuse_open_in { flags = 2 });
        _file = _rings.Read<fuse_open_out>(Answer).fh;
        Ask(FuseAbi.FUSE_OPENDIR, FuseAbi.FUSE_ROOT_ID, default(fuse_open_in));
        _directory = _rings.Read<fuse_open_out>(Answer).fh;
    }

    [Benchmark]
    public void LookUp() => Ask(FuseAbi.FUSE_LOOKUP, FuseAbi.FUSE_ROOT_ID, (ushort)'f');

    [Benchmark]
    public void GetAttributes() => Ask(FuseAbi.FUSE_GETATTR, _node, default(fuse_getattr_in));

    [Benchmark]
    public void SetTimes() => Ask(FuseAbi.FUSE_SETATTR, _node, new fuse_setattr_in { valid = FuseAbi.FATTR_ATIME | FuseAbi.FATTR_ATIME_NOW });

    [Benchmark]
    public void Read() => Ask(FuseAbi.FUSE_READ, _node, new fuse_read_in { fh = _file, size = Bytes });

    [Benchmark]
    public void Write() => Ask(FuseAbi.FUSE_WRITE, _node, new fuse_write_in { fh = _file, size = Bytes }, Bytes);

    [Benchmark]
    public void ReadDirectory() => Ask(FuseAbi.FUSE_READDIRPLUS, FuseAbi.FUSE_ROOT_ID, new fuse_read_in { fh = _directory, size = Bytes });

    [Benchmark]
    public void Flush() => Ask(FuseAbi.FUSE_FLUSH, _node, new fuse_flush_in { fh = _file });

    [Benchmark]
    public void GetFileSystem() => Ask(FuseAbi.FUSE_STATFS, FuseAbi.FUSE_ROOT_ID, default(byte));

    [GlobalCleanup]
    public void Dispose()
    {
        _rings?.Dispose();
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    private void Ask<T>(uint operation, ulong node, T body, int dataBytes = 0)
        where T : unmanaged
    {
        int bytes = HeaderBytes + Marshal.SizeOf<T>();
        _rings.Write(Request, new fuse_in_header { len = (uint)(bytes + dataBytes), opcode = operation, unique = 7, nodeid = node });
        _rings.Write(Request + HeaderBytes, body);
        int index = 0;
        _rings.Describe(Queue, index++, Request, bytes, isWritable: false, isLast: false);
        if (dataBytes > 0)
        {
            _rings.Describe(Queue, index++, RequestData, dataBytes, isWritable: false, isLast: false);
        }

        _rings.Describe(Queue, index++, AnswerHeader, AnswerBytes, isWritable: true, isLast: false);
        _rings.Describe(Queue, index, Answer, Bytes, isWritable: true, isLast: true);
        _rings.Offer(Queue);
        _rings.Await(Queue);
        int error = _rings.Read<fuse_out_header>(AnswerHeader).error;
        if (error != 0)
        {
            throw new InvalidOperationException($"operation {operation} failed with {error}");
        }
    }
}
