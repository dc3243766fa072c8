using System.Runtime.InteropServices;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>Runs a test on a thread of its own in a fresh network namespace, which goes away with it.</summary>
internal static partial class NetworkNamespace
{
    private const int CLONE_NEWNET = 0x40000000;

    public static void Run(Action test)
    {
        Skip.IfNot(File.Exists("/dev/net/tun"), "there is no /dev/net/tun");
        Exception? failure = null;
        bool allowed = true;
        Thread thread = new(() =>
        {
            allowed = unshare(CLONE_NEWNET) == 0;
            if (allowed)
            {
                try
                {
                    test();
                }
                catch (Exception e)
                {
                    failure = e;
                }
            }
        });
        thread.Start();
        thread.Join();
        Skip.IfNot(allowed, "a network namespace needs CAP_SYS_ADMIN");
        if (failure is SkipException skip)
        {
            throw new SkipException(skip.Message);
        }

        if (failure is not null)
        {
            throw new Xunit.Sdk.XunitException(failure.ToString());
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int unshare(int flags);
}
