using System.Globalization;
using System.Runtime.InteropServices;

namespace Cnvm.Linux;

/// <summary>A system call failed for a reason that lies with the host or its configuration.</summary>
public sealed class LinuxException : IOException
{
    public LinuxException(string operation, int errno)
        : base(string.Create(CultureInfo.InvariantCulture, $"{operation}: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})"))
    {
        Operation = operation;
        Errno = errno;
    }

    /// <summary>What was tried: the call, and on which object.</summary>
    public string Operation { get; }

    /// <summary>The kernel's error number, for example <see cref="Linux.Errno.ENOENT"/>.</summary>
    public int Errno { get; }
}
