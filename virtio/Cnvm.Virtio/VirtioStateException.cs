namespace Cnvm.Virtio;

/// <summary>A saved state does not fit the device that it was to be restored into. Nothing was changed.</summary>
public sealed class VirtioStateException : Exception
{
    public VirtioStateException(string message)
        : base(message)
    {
    }
}
