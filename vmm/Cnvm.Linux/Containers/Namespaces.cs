using System.Runtime.InteropServices;
using System.Text;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>Namespaces of the calling thread (unshare(2), setns(2)): threads of one process can have different ones.</summary>
[Abi("sched.h")]
public static unsafe partial class Namespaces
{
    public const int CLONE_FS = 0x200;
    public const int CLONE_NEWNS = 0x20000;
    public const int CLONE_NEWCGROUP = 0x2000000;
    public const int CLONE_NEWUTS = 0x4000000;
    public const int CLONE_NEWIPC = 0x8000000;
    public const int CLONE_NEWPID = 0x20000000;
    public const int CLONE_NEWNET = 0x40000000;

    /// <summary>Gives the calling thread namespaces of its own. With <see cref="CLONE_NEWPID"/> it is its next child that has them, and the
    /// thread can start no other threads any more.</summary>
    /// <exception cref="LinuxException">The kernel lacks them, or the process may not.</exception>
    public static void Unshare(int kinds) => LinuxError.Check(unshare(kinds), $"unshare of namespaces 0x{kinds:x}");

    /// <summary>Moves the calling thread into a namespace.</summary>
    /// <param name="fd">The namespace's file in /proc.</param>
    /// <param name="kind">Which kind it has to be.</param>
    /// <exception cref="LinuxException">It is another kind, has ended, or the process may not.</exception>
    public static void Enter(int fd, int kind) => LinuxError.Check(setns(fd, kind), $"enter namespace of kind 0x{kind:x}");

    /// <summary>Names the machine, in the calling thread's UTS namespace.</summary>
    /// <exception cref="LinuxException">Longer than 64 bytes, or the process may not.</exception>
    public static void SetHostName(string name)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(name);
        fixed (byte* p = bytes)
        {
            // SAFETY: the kernel reads the pinned bytes.
            LinuxError.Check(sethostname(p, (nuint)bytes.Length), $"set the host name '{name}'");
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int unshare(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(int fd, int kind);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int sethostname(byte* name, nuint length);
}
