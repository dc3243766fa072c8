namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>A raw file that an image builds on.</summary>
internal sealed class RawLayer(IImageFile file, Action? unlock = null, Action? relock = null) : IBackingLayer
{
    public ulong Size { get; } = file.Size;

    public int Read(ref VectorCursor cursor, ulong offset, ulong length) => cursor.ReadFrom(file, offset, length);

    public void Unlock() => unlock?.Invoke();

    public void Lock() => relock?.Invoke();

    public void Dispose() => file.Dispose();
}
