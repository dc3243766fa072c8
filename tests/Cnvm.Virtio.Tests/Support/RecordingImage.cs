using Cnvm.Linux;
using Cnvm.Virtio.Block;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>An image in memory that can move a few bytes at a time and fail on demand.</summary>
internal sealed class RecordingImage(int bytes) : IBlockImage
{
    private readonly List<BlockOperation> _operations = [];

    public byte[] Content { get; } = new byte[bytes];

    public int MaxBytes { get; set; } = int.MaxValue;

    public int Error { get; set; }

    public ulong Size => (ulong)Content.Length;

    public bool IsReadOnly => false;

    public bool CanDiscard => true;

    public uint LogicalBlockSize => 512;

    public uint PhysicalBlockSize => 4096;

    public byte AlignmentOffset => 0;

    public ushort MinimumIoBlocks => 1;

    public uint OptimalIoBlocks => 0;

    public uint MemoryAlignment => 1;

    public IBlockQueue OpenQueue(int depth, string name) => new Queue(this);

    public IReadOnlyList<BlockOperation> Take()
    {
        lock (_operations)
        {
            BlockOperation[] taken = [.. _operations];
            _operations.Clear();
            return taken;
        }
    }

    public void Dispose()
    {
    }

    private sealed class Queue(RecordingImage image) : IBlockQueue
    {
        private readonly Queue<(int Token, int Result)> _done = new();

        public EventFd Completed { get; } = new();

        public unsafe void Submit(BlockOperation operation, IoVec* vectors, int count, ulong offset, ulong length, int token)
        {
            lock (image._operations)
            {
                image._operations.Add(operation);
            }

            int moved = 0;
            for (int i = 0; i < count && image.Error == 0; i++)
            {
                int part = Math.Min((int)vectors[i].Length, image.MaxBytes - moved);
                Span<byte> memory = new((void*)vectors[i].Base, part);
                Span<byte> disk = image.Content.AsSpan((int)offset + moved, part);
                if (operation == BlockOperation.Read)
                {
                    disk.CopyTo(memory);
                }
                else
                {
                    memory.CopyTo(disk);
                }

                moved += part;
            }

            _done.Enqueue((token, image.Error != 0 ? image.Error : moved));
            Completed.Signal();
        }

        public void Kick()
        {
        }

        public bool TryComplete(out int token, out int result)
        {
            bool any = _done.TryDequeue(out (int Token, int Result) done);
            (token, result) = done;
            return any;
        }

        public void Wait()
        {
        }

        public void Dispose() => Completed.Dispose();
    }
}
