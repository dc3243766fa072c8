namespace Cnvm.Virtio.Tests.Support;

/// <summary>A file with a pattern in it, removed at the end.</summary>
internal sealed class ScratchDisk : IDisposable
{
    public ScratchDisk(int bytes)
    {
        Path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"cnvm-virtio-{Guid.NewGuid():n}.img");
        byte[] content = new byte[bytes];
        for (int i = 0; i < bytes; i++)
        {
            content[i] = Pattern(i);
        }

        File.WriteAllBytes(Path, content);
    }

    public string Path { get; }

    public static byte Pattern(long offset) => (byte)((offset / 512 * 7) + (offset % 251) + 1);

    public byte[] Content => ReadShared();

    public void Dispose() => File.Delete(Path);

    private byte[] ReadShared()
    {
        using FileStream stream = new(Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
