namespace Cnvm.Arch.Boot;

/// <summary>A kernel or initramfs as the loader reads it: by position, into guest memory. Its content is not trusted.</summary>
public interface IKernelFile
{
    /// <summary>Name for messages.</summary>
    string Name { get; }

    /// <summary>Size in bytes.</summary>
    long Length { get; }

    /// <summary>Reads up to <paramref name="destination"/>.Length bytes at <paramref name="offset"/>; 0 at the end of the file.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    int Read(Span<byte> destination, long offset);
}
