using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Guest.Tests.Kata;

/// <summary>A TAP interface as Kata's shim makes it for a pod: in the pod's network namespace, opened there, and handed over as a descriptor.</summary>
internal static partial class KataTap
{
    private const int CLONE_NEWNET = 0x40000000;

    /// <summary>Makes an interface that answers at an address; it goes away with its last descriptor, here or elsewhere.</summary>
    public static TapQueue Open(NetworkNamespace pod, string address)
    {
        TapQueue? tap = null;
        ExceptionDispatchInfo? failure = null;

        // The thread stays in the pod's network namespace, and so it ends here.
        Thread thread = new(() =>
        {
            try
            {
                using SafeFileHandle space = File.OpenHandle($"/run/netns/{pod.Name}");
                Assert.Equal(0, setns(space, CLONE_NEWNET));
                tap = TapQueue.Open("kata%d", multiQueue: false);
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
        GuestPrograms.Output("ip", "-n", pod.Name, "address", "add", address, "dev", tap!.Name);
        GuestPrograms.Output("ip", "-n", pod.Name, "link", "set", tap.Name, "up");
        return tap;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(SafeFileHandle descriptor, int kind);
}
