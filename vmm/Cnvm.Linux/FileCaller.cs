using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// As whom the calling thread makes files. Only a process of root can be somebody else; for others every method does nothing, and files
/// belong to the process's user. The right to pass permission bits (CAP_DAC_OVERRIDE) stays: who serves a guest leaves them to the guest.
/// </summary>
[Abi("linux/capability.h")]
public static unsafe partial class FileCaller
{
    private const uint _LINUX_CAPABILITY_VERSION_3 = 0x20080522;
    private const int CAP_DAC_OVERRIDE = 1;

    /// <summary>Files of other owners can be made.</summary>
    public static bool CanChange { get; } = PrivateDirectory.UserId == 0;

    /// <summary>From now on new files belong to this user and group. The numbers of root give everything back.</summary>
    public static void Become(uint user, uint group)
    {
        if (!CanChange)
        {
            return;
        }

        // The group first: without root's file capabilities it cannot be chosen freely. Both calls give the former number and never fail
        // for root; they concern this thread alone (setfsuid(2)).
        _ = setfsgid(group);
        _ = setfsuid(user);
        if (user != 0)
        {
            Regain(CAP_DAC_OVERRIDE);
        }
    }

    /// <summary>Takes one permitted capability into effect again that setfsuid(2) took away.</summary>
    private static void Regain(int capability)
    {
        var header = new capability_header { version = _LINUX_CAPABILITY_VERSION_3 };
        capability_data* data = stackalloc capability_data[2];

        // SAFETY: version 3 has two elements (capget(2)). If a container withholds the capability, permission bits count.
        if (capget(&header, data) == 0 && (data[0].permitted & (1u << capability)) != 0)
        {
            data[0].effective |= 1u << capability;
            _ = capset(&header, data);
        }
    }

    [LibraryImport("libc")]
    private static partial int setfsuid(uint user);

    [LibraryImport("libc")]
    private static partial int setfsgid(uint group);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int capget(capability_header* header, capability_data* data);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int capset(capability_header* header, capability_data* data);

    [Abi("linux/capability.h", "struct __user_cap_header_struct")]
    [StructLayout(LayoutKind.Sequential)]
    private struct capability_header
    {
        public uint version;
        public int pid;
    }

    [Abi("linux/capability.h", "struct __user_cap_data_struct")]
    [StructLayout(LayoutKind.Sequential)]
    private struct capability_data
    {
        public uint effective;
        public uint permitted;
        public uint inheritable;
    }
}
