namespace Cnvm.Virtio.Net;

/// <summary>Counts frames in one direction of one queue. Written by the queue's worker alone; read by anyone.</summary>
internal sealed class FrameCounter
{
    private ulong _bytes;
    private ulong _frames;

    public ulong Bytes => Volatile.Read(ref _bytes);

    public ulong Frames => Volatile.Read(ref _frames);

    public void Add(uint bytes)
    {
        Volatile.Write(ref _bytes, _bytes + bytes);
        Volatile.Write(ref _frames, _frames + 1);
    }
}
