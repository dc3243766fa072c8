namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>An image that others build on: read only. Any thread.</summary>
internal interface IBackingLayer : IDisposable
{
    /// <summary>Bytes; what lies behind them reads as zeroes.</summary>
    ulong Size { get; }

    /// <summary>Reads into the next bytes of a transfer. Returns 0 or a negative error number.</summary>
    int Read(ref VectorCursor cursor, ulong offset, ulong length);

    /// <inheritdoc cref="IBlockImage.Unlock"/>
    void Unlock();

    /// <inheritdoc cref="IBlockImage.Lock"/>
    void Lock();
}
