using Cnvm.Virtio.Block;
using Cnvm.Virtio.Block.Qcow2;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Block.Qcow2;

/// <summary>A folder for images, removed at the end.</summary>
internal sealed class ImageFolder : IDisposable
{
    // Memory, where there is a file system in it: images are flushed very often here.
    private const string Memory = "/dev/shm";

    private readonly DirectoryInfo _folder = Directory.CreateDirectory(
        Path.Combine(Directory.Exists(Memory) ? Memory : Path.GetTempPath(), $"cnvm-qcow2-{Guid.NewGuid():n}"));

    public string this[string name] => Path.Combine(_folder.FullName, name);

    /// <summary>A raw file with random stretches and holes.</summary>
    public byte[] MakeRaw(string name, int bytes, int seed)
    {
        byte[] content = new byte[bytes];
        Random random = new(seed);
        for (int at = 0; at < bytes;)
        {
            int length = Math.Min(random.Next(1, 200) * 512, bytes - at);
            Span<byte> part = content.AsSpan(at, length);
            switch (random.Next(3))
            {
                case 0:
                    random.NextBytes(part);
                    break;
                case 1:
                    // Something that compresses.
                    for (int i = 0; i < length; i++)
                    {
                        part[i] = (byte)(i / 64);
                    }

                    break;
            }

            at += length;
        }

        File.WriteAllBytes(this[name], content);
        return content;
    }

    public LayerImage Open(string name, bool readOnly = false, bool backing = true, bool direct = false) => ImageChain.OpenImage(
        new DiskImageOptions
        {
            File = new RawImageOptions { Path = this[name], IsReadOnly = readOnly, IsDirect = direct },
            AllowBackingFiles = backing,
        },
        NullLogger.Instance);

    /// <summary>Opens an image of any format, as a disk does.</summary>
    public IBlockImage OpenAs(ImageFormat format, string name, bool readOnly = false, bool direct = false) => DiskImage.Open(
        new DiskImageOptions { File = new RawImageOptions { Path = this[name], IsReadOnly = readOnly, IsDirect = direct, DisableIoUring = true }, Format = format },
        NullLogger.Instance,
        out _);

    public ImageDriver DriveAs(ImageFormat format, string name, byte[]? content = null, bool readOnly = false) =>
        new(OpenAs(format, name, readOnly), content);

    public ImageDriver Drive(string name, byte[]? content = null, bool readOnly = false) => new(Open(name, readOnly), content);

    public void Dispose() => _folder.Delete(recursive: true);
}
