using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>The permissions that new files of this process do not get (umask(2)).</summary>
[Abi("sched.h")]
public static partial class FileCreationMask
{
    private const int CLONE_FS = 0x200;

    /// <summary>Nobody but the owner gets any permission (octal 077).</summary>
    public const uint OwnerOnly = 0x3f;

    /// <summary>Sets the mask of the whole process; returns the one before.</summary>
    public static uint Set(uint mask) => umask(mask);

    /// <summary>
    /// Gives the calling thread a mask of its own, and with it a working directory of its own (unshare(2)). The thread belongs to the caller.
    /// </summary>
    /// <returns>False when the host does not allow it: the process's mask stays in force.</returns>
    public static bool TrySetForThread(uint mask)
    {
        if (unshare(CLONE_FS) != 0)
        {
            return false;
        }

        _ = umask(mask);
        return true;
    }

    [LibraryImport("libc")]
    private static partial int unshare(int flags);

    [LibraryImport("libc")]
    private static partial uint umask(uint mask);
}
