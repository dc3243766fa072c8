namespace Cnvm.Arch.Boot;

/// <summary>A kernel, initramfs or command line cannot be booted. The message says which file and field, and what to do about it.</summary>
public sealed class KernelLoadException : Exception
{
    /// <summary>States the reason.</summary>
    public KernelLoadException(string message) : base(message)
    {
    }

    /// <summary>States the reason, with the failure below it.</summary>
    public KernelLoadException(string message, Exception innerException) : base(message, innerException)
    {
    }
}
