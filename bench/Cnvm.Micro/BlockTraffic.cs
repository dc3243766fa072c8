using System.Buffers.Binary;
using System.ComponentModel;
using System.Diagnostics;
using BenchmarkDotNet.Attributes;
using Cnvm.Virtio.Block;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Micro;

/// <summary>A request of 4 KiB through virtio-blk to an image in the host's page cache, its thread included.</summary>
[MemoryDiagnoser]
public class BlockTraffic : IDisposable
{
    private const int Bytes = 4096;
    private const int ImageBytes = 1 << 20;
    private const ulong Header = 0x10_0000;
    private const ulong Data = 0x11_0000;
    private const ulong Status = 0x12_0000;
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-block-bench-").FullName;
    private DeviceRings _rings = null!;
    private ulong _sector;

    [Params(ImageFormat.Raw, ImageFormat.Qcow2)]
    public ImageFormat Format { get; set; }

    /// <summary>False: images of this kind are made by a program that is not installed.</summary>
    public bool IsAvailable { get; private set; } = true;

    [GlobalSetup]
    public void SetUp()
    {
        string path = Path.Combine(_folder, "raw");
        byte[] content = new byte[ImageBytes];
        Random.Shared.NextBytes(content);
        File.WriteAllBytes(path, content);
        if (Format == ImageFormat.Qcow2)
        {
            string raw = path;
            path = Path.Combine(_folder, "qcow2");
            if (!TryConvert(raw, path))
            {
                IsAvailable = false;
                return;
            }
        }

        var options = new DiskImageOptions { File = new RawImageOptions { Path = path }, Format = Format };
        IBlockImage image = DiskImage.Open(options, NullLogger.Instance, out _);
        _rings = new DeviceRings(new BlockDevice(new BlockOptions { Id = "_disk0" }, image, NullLogger.Instance), queues: 1);
    }

    [Benchmark]
    public void Read() => Ask(0, isRead: true);

    [Benchmark]
    public void Write() => Ask(1, isRead: false);

    [GlobalCleanup]
    public void Dispose()
    {
        _rings?.Dispose();
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    private static bool TryConvert(string raw, string path)
    {
        try
        {
            using var convert = Process.Start("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, path]);
            convert.WaitForExit();
            return convert.ExitCode == 0 ? true : throw new InvalidOperationException("qemu-img convert failed");
        }
        catch (Win32Exception)
        {
            return false;
        }
    }

    private void Ask(uint type, bool isRead)
    {
        // Another place each time.
        _sector = (_sector + (37 * Bytes / 512)) % (ImageBytes / 512);
        Span<byte> header = _rings[Header, 16];
        header.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], _sector);
        _rings.Describe(0, 0, Header, 16, isWritable: false, isLast: false);
        _rings.Describe(0, 1, Data, Bytes, isRead, isLast: false);
        _rings.Describe(0, 2, Status, 1, isWritable: true, isLast: true);
        _rings.Offer(0);
        _rings.Await(0);
        if (_rings[Status, 1][0] != 0)
        {
            throw new InvalidOperationException("the request failed");
        }
    }
}
