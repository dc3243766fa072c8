using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Random bytes from getrandom(2) or from a file such as a hardware generator. One thread.</summary>
[Abi("fcntl.h")]
public sealed unsafe partial class EntropySource : IDisposable
{
    private const int O_CLOEXEC = 0x80000;
    private readonly FileDescriptor? _file;

    /// <param name="path">A file to read from; /dev/urandom means the kernel's generator without a descriptor.</param>
    /// <exception cref="LinuxException">The file cannot be opened.</exception>
    public EntropySource(string path)
    {
        if (path != "/dev/urandom")
        {
            _file = new FileDescriptor(LinuxError.Check(open(path, O_CLOEXEC, 0), $"open {path}"));
        }
    }

    /// <summary>Fills from the start of <paramref name="buffer"/>. Returns bytes, perhaps fewer than asked, or a negative error number.</summary>
    public nint Read(Span<byte> buffer)
    {
        fixed (byte* p = buffer)
        {
            // SAFETY: the kernel writes at most the pinned span.
            nint n = _file is null ? getrandom(p, (nuint)buffer.Length, 0) : Libc.read(_file.Value, p, (nuint)buffer.Length);
            return n < 0 ? -LinuxError.Last : n;
        }
    }

    public void Dispose() => _file?.Dispose();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint getrandom(void* buffer, nuint length, uint flags);
}
