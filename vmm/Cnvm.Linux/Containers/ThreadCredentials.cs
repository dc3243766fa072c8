using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// Identity and rights of the calling thread, by the kernel's own calls: the C library's would change every thread, which a process that is
/// about to become another program neither needs nor can wait for.
/// </summary>
[Abi("sys/prctl.h linux/capability.h")]
public static unsafe partial class ThreadCredentials
{
    private const long SetGroups = 116;
    private const long SetResUid = 117;
    private const long SetResGid = 119;
    private const long CapSet = 126;
    private const uint _LINUX_CAPABILITY_VERSION_3 = 0x20080522;
    private const int PR_CAPBSET_READ = 23;
    private const int PR_CAPBSET_DROP = 24;
    private const int PR_SET_KEEPCAPS = 8;
    private const int PR_SET_DUMPABLE = 4;
    private const int PR_SET_NO_NEW_PRIVS = 38;
    private const int PR_CAP_AMBIENT = 47;
    private const int PR_CAP_AMBIENT_RAISE = 2;
    private const int PR_CAP_AMBIENT_CLEAR_ALL = 4;
    private const int CapabilityCount = 64;

    /// <summary>Becomes another user with other groups, keeping permitted capabilities until <see cref="SetCapabilities"/>.</summary>
    /// <exception cref="LinuxException">The thread may not.</exception>
    public static void Become(uint user, uint group, ReadOnlySpan<uint> otherGroups)
    {
        LinuxError.Check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl(PR_SET_KEEPCAPS)");
        fixed (uint* groups = otherGroups)
        {
            // SAFETY: the kernel reads as many numbers as the span has.
            LinuxError.Check((nint)call(SetGroups, otherGroups.Length, (nint)groups, 0), "setgroups");
        }

        LinuxError.Check((nint)call(SetResGid, (nint)group, (nint)group, (nint)group), $"setresgid {group}");
        LinuxError.Check((nint)call(SetResUid, (nint)user, (nint)user, (nint)user), $"setresuid {user}");
    }

    /// <summary>Takes from the bounding set what is not in <paramref name="keep"/> (bit n is capability n).</summary>
    /// <exception cref="LinuxException">The thread may not.</exception>
    public static void BoundCapabilities(ulong keep)
    {
        for (int i = 0; i < CapabilityCount; i++)
        {
            // The kernel does not know the capabilities from here on.
            if (prctl(PR_CAPBSET_READ, (nuint)i, 0, 0, 0) < 0)
            {
                break;
            }

            if ((keep & (1UL << i)) == 0)
            {
                LinuxError.Check(prctl(PR_CAPBSET_DROP, (nuint)i, 0, 0, 0), $"drop capability {i} from the bounding set");
            }
        }
    }

    /// <summary>Capabilities that the running kernel has, as bits.</summary>
    public static ulong KnownCapabilities
    {
        get
        {
            ulong known = 0;
            for (int i = 0; i < CapabilityCount && prctl(PR_CAPBSET_READ, (nuint)i, 0, 0, 0) >= 0; i++)
            {
                known |= 1UL << i;
            }

            return known;
        }
    }

    /// <summary>Sets the thread's capability sets; ambient ones are those of <paramref name="ambient"/> that the others allow.</summary>
    /// <exception cref="LinuxException">The thread does not have them.</exception>
    public static void SetCapabilities(ulong effective, ulong permitted, ulong inheritable, ulong ambient)
    {
        uint* header = stackalloc uint[2];
        uint* data = stackalloc uint[6];
        header[0] = _LINUX_CAPABILITY_VERSION_3;
        header[1] = 0;
        for (int half = 0; half < 2; half++)
        {
            data[half * 3] = (uint)(effective >> (32 * half));
            data[(half * 3) + 1] = (uint)(permitted >> (32 * half));
            data[(half * 3) + 2] = (uint)(inheritable >> (32 * half));
        }

        // SAFETY: version 3 has a header of two words and two elements of three (capset(2)).
        LinuxError.Check((nint)call(CapSet, (nint)header, (nint)data, 0), "capset");
        LinuxError.Check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "clear the ambient capabilities");
        for (int i = 0; i < CapabilityCount; i++)
        {
            if ((ambient & permitted & inheritable & (1UL << i)) != 0)
            {
                LinuxError.Check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, (nuint)i, 0, 0), $"raise ambient capability {i}");
            }
        }
    }

    /// <summary>Programs that are executed from now on give no more rights than there are.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static void ForbidNewPrivileges() => LinuxError.Check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)");

    /// <summary>Other processes of the same user cannot look into this one, nor at its files in /proc.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static void HideProcess() => LinuxError.Check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl(PR_SET_DUMPABLE)");

    [LibraryImport("libc", SetLastError = true)]
    private static partial int prctl(int option, nuint argument2, nuint argument3, nuint argument4, nuint argument5);

    // syscall is variadic in C; on x86-64 a variadic call passes integers and pointers as an ordinary one does.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long call(long number, nint first, nint second, nint third);
}
