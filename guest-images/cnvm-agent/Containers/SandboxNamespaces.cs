using Cnvm.Linux;

namespace Cnvm.GuestAgent.Containers;

/// <summary>Host name and System V objects that the containers of a sandbox share, and the agent does not.</summary>
internal static class SandboxNamespaces
{
    /// <returns>UTS, then IPC; the caller owns them.</returns>
    /// <exception cref="IOException">The kernel lacks them.</exception>
    public static FileDescriptor[] Create(string hostName)
    {
        FileDescriptor[] made = [];
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                Namespaces.Unshare(Namespaces.CLONE_NEWUTS | Namespaces.CLONE_NEWIPC);
                if (hostName.Length > 0)
                {
                    Namespaces.SetHostName(hostName);
                }

                made = [Open("uts"), Open("ipc")];
            }
            catch (IOException e)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        return failure is null ? made : throw failure;
    }

    private static FileDescriptor Open(string kind)
    {
        string path = $"/proc/thread-self/ns/{kind}";
        return new FileDescriptor(LinuxError.Check(Libc.open(path, Libc.O_RDONLY | Libc.O_CLOEXEC, 0), $"open {path}"));
    }
}
