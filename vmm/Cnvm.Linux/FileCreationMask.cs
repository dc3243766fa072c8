using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>The permissions that new files of this process do not get (umask(2)).</summary>
public static partial class FileCreationMask
{
    /// <summary>Nobody but the owner gets any permission (octal 077).</summary>
    public const uint OwnerOnly = 0x3f;

    /// <summary>Sets the mask of the whole process; returns the one before.</summary>
    public static uint Set(uint mask) => umask(mask);

    [LibraryImport("libc")]
    private static partial uint umask(uint mask);
}
