using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>One request to the I/O threads; made once for each place in a queue and linked from list to list.</summary>
internal sealed unsafe class ThreadedRequest(ThreadedBlockQueue owner, int token)
{
    public readonly ThreadedBlockQueue Owner = owner;
    public readonly int Token = token;
    public BlockOperation Operation;
    public IoVec* Vectors;
    public int Count;
    public ulong Offset;
    public ulong Length;
    public int Result;
    public ThreadedRequest? Next;
}
