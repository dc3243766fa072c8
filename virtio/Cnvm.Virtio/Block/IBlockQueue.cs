using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>Asynchronous requests to an image. One thread; it takes the completions too.</summary>
public unsafe interface IBlockQueue : IDisposable
{
    /// <summary>Readable when completions may wait.</summary>
    EventFd Completed { get; }

    /// <summary>Queues a request; <see cref="Kick"/> starts it. Never more in flight than the depth.</summary>
    /// <param name="operation">What to do.</param>
    /// <param name="vectors">Memory of a read or write; valid until the completion.</param>
    /// <param name="count">Vectors; 0 for other operations.</param>
    /// <param name="offset">Bytes from the start of the image.</param>
    /// <param name="length">Bytes of the range.</param>
    /// <param name="token">Comes back with the completion.</param>
    void Submit(BlockOperation operation, IoVec* vectors, int count, ulong offset, ulong length, int token);

    /// <summary>Starts what was submitted.</summary>
    void Kick();

    /// <summary>Takes one completion.</summary>
    /// <param name="result">Bytes of a read or write, which may be fewer than asked; 0 for the rest; or a negative error number.</param>
    bool TryComplete(out int token, out int result);

    /// <summary>Blocks until a completion may wait. Only while a request is in flight.</summary>
    void Wait();
}
