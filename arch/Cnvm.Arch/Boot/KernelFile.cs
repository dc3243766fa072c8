using Microsoft.Win32.SafeHandles;

namespace Cnvm.Arch.Boot;

/// <summary>A kernel or initramfs on disk. Owns the handle.</summary>
public sealed class KernelFile : IKernelFile, IDisposable
{
    private readonly SafeFileHandle _handle;

    private KernelFile(string name, SafeFileHandle handle)
    {
        Name = name;
        _handle = handle;
        Length = RandomAccess.GetLength(handle);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public long Length { get; }

    /// <summary>Opens a file for reading.</summary>
    /// <param name="path">Path of a regular file.</param>
    /// <param name="role">What it is for, to stand in messages: "kernel", "initramfs".</param>
    /// <exception cref="KernelLoadException">It is missing, not readable, or not a regular file.</exception>
    public static KernelFile Open(string path, string role)
    {
        SafeFileHandle? handle = null;
        try
        {
            if (Directory.Exists(path))
            {
                throw new KernelLoadException($"The {role} '{path}' is a directory.");
            }

            handle = File.OpenHandle(path);
            return new KernelFile(path, handle);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new KernelLoadException($"The {role} '{path}' does not exist.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            handle?.Dispose();
            throw new KernelLoadException($"The {role} '{path}' cannot be read: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public int Read(Span<byte> destination, long offset) => RandomAccess.Read(_handle, destination, offset);

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();
}
