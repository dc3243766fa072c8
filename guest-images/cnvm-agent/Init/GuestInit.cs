using Cnvm.GuestAgent.Cgroups;
using Cnvm.GuestAgent.Net;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Init;

/// <summary>What the first process of a machine does before anything else.</summary>
internal static class GuestInit
{
    /// <summary>Where the sandbox's control groups are.</summary>
    public const string ControlGroups = "/sys/fs/cgroup";

    private const string NewRoot = "/run/root";

    private static readonly (string Source, string Target, string Type, ulong Flags, string? Data)[] Tree =
    [
        ("proc", "/proc", "proc", Mounts.MS_NOSUID | Mounts.MS_NODEV | Mounts.MS_NOEXEC, null),
        ("sysfs", "/sys", "sysfs", Mounts.MS_NOSUID | Mounts.MS_NODEV | Mounts.MS_NOEXEC, null),
        ("dev", "/dev", "devtmpfs", Mounts.MS_NOSUID, "mode=0755"),
        ("devpts", "/dev/pts", "devpts", Mounts.MS_NOSUID | Mounts.MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666"),
        ("shm", "/dev/shm", "tmpfs", Mounts.MS_NOSUID | Mounts.MS_NODEV, null),
        ("run", "/run", "tmpfs", Mounts.MS_NOSUID | Mounts.MS_NODEV, "mode=0755"),
        ("tmp", "/tmp", "tmpfs", Mounts.MS_NOSUID | Mounts.MS_NODEV, "mode=1777"),
        ("cgroup2", ControlGroups, "cgroup2", Mounts.MS_NOSUID | Mounts.MS_NODEV | Mounts.MS_NOEXEC, null),
    ];

    /// <summary>Makes the machine ready for containers.</summary>
    /// <exception cref="IOException">The kernel lacks something, or refuses.</exception>
    public static void Run()
    {
        // The kernel's first root can be nobody's former root, and containers leave theirs by pivot_root(2): the same files as a mount of
        // their own can.
        Directory.CreateDirectory(NewRoot);
        Mounts.Mount("/", NewRoot, null, Mounts.MS_BIND, null);
        Mounts.SwitchRoot(NewRoot);
        foreach ((string source, string target, string type, ulong flags, string? data) in Tree)
        {
            Directory.CreateDirectory(target);
            Mounts.Mount(source, target, type, flags, data);
        }

        ControlGroup.EnableControllers(ControlGroups);
        Namespaces.SetHostName("cnvm-sandbox");
        NetworkSetup.BringLoopbackUp();
    }
}
