namespace Cnvm.Virtio.Block;

/// <summary>A disk image cannot be used as configured; the message says why and what to do.</summary>
public sealed class BlockImageException : Exception
{
    public BlockImageException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
