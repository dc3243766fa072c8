using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>openat2(2) below a folder that is the root for every name: neither <c>..</c> nor any link leads out of it.</summary>
[Abi("linux/openat2.h")]
internal static unsafe partial class RootedOpen
{
    private const ulong RESOLVE_NO_MAGICLINKS = 0x02;
    private const ulong RESOLVE_IN_ROOT = 0x10;
    private const long OpenAt2 = 437;

    /// <summary>A walk over <c>..</c> starts anew when something was renamed meanwhile, and who renames without a pause could have it do so for ever.</summary>
    private const int Attempts = 128;

    /// <summary>Opens what has the name.</summary>
    /// <param name="name">Ends with null.</param>
    /// <param name="flags">O_CLOEXEC is added.</param>
    /// <returns>A new descriptor, or minus the error number; -EAGAIN when folders were renamed whenever it was tried.</returns>
    public static int Open(FileDescriptor root, ReadOnlySpan<byte> name, int flags, uint mode)
    {
        var how = new open_how
        {
            flags = (ulong)(uint)(flags | Libc.O_CLOEXEC),
            mode = mode,
            resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
        };
        int error = 0;
        for (int i = 0; i < Attempts; i++)
        {
            fixed (byte* n = name)
            {
                // SAFETY: the kernel reads a string that ends with null and a local of the size that is given.
                long fd = syscall(OpenAt2, root.Value, n, &how, (nuint)sizeof(open_how));
                if (fd >= 0)
                {
                    return (int)fd;
                }
            }

            error = LinuxError.Last;
            if (error is not (Errno.EAGAIN or Errno.EINTR))
            {
                break;
            }
        }

        return -error;
    }

    /// <summary>What to say of an error of <see cref="Open"/>.</summary>
    public static LinuxException Failure(string what, int error) => error == Errno.EAGAIN
        ? new LinuxException($"{what}: somebody renames files there so fast that it cannot be found ({Attempts} attempts)", error)
        : new LinuxException(what, error);

    // syscall is variadic in C; on x86-64 a variadic call passes integers and pointers as an ordinary one does.
    [LibraryImport("libc", SetLastError = true)]
    private static partial long syscall(long number, long directory, byte* path, open_how* how, nuint size);

    /// <summary>struct open_how.</summary>
    [Abi("linux/openat2.h", "struct open_how")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct open_how
    {
        public ulong flags;
        public ulong mode;
        public ulong resolve;
    }
}
