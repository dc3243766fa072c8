using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Containers;

namespace Cnvm.Sandbox.Oci;

/// <summary>Makes a specification that was written for a host one for a guest, as Kata does: what names things of the host means nothing there.</summary>
internal static class GuestSpec
{
    private const string SharedMemory = "/dev/shm";

    /// <param name="root">Path of the root file system in the guest.</param>
    /// <exception cref="SandboxException">What the specification names of the host is not there.</exception>
    public static Spec Of(Spec spec, string root, bool readOnly, ContainerPlace place, string id, IReadOnlyList<ContainerVolume> volumes)
    {
        var mounts = new List<Mount>();
        foreach (Mount mount in spec.Mounts)
        {
            mounts.Add(IsBind(mount) ? OfHost(mount, place) : mount);
        }

        foreach (ContainerVolume volume in volumes)
        {
            mounts.Add(place.AddVolume(volume, []));
        }

        OciLinux linux = spec.Linux ?? new OciLinux();
        return spec with
        {
            Root = new Root { Path = root, Readonly = readOnly || (spec.Root?.Readonly ?? false) },
            Mounts = mounts,
            Process = spec.Process! with { ApparmorProfile = "", SelinuxLabel = "" },
            Linux = linux with
            {
                // The network is the guest's; the other namespaces are made there.
                Namespaces = [.. linux.Namespaces.Where(n => n.Type != "network").Select(n => n with { Path = "" })],
                CgroupsPath = $"/{id}",
                MountLabel = "",
            },
        };
    }

    private static bool IsBind(Mount mount) => mount.Type == "bind" || mount.Options.Contains("bind") || mount.Options.Contains("rbind");

    private static Mount OfHost(Mount mount, ContainerPlace place) => mount.Destination == SharedMemory
        ? new Mount { Destination = SharedMemory, Type = "tmpfs", Source = "shm", Options = ["nosuid", "noexec", "nodev", "mode=1777"] }
        : place.AddVolume(new ContainerVolume(mount.Source, mount.Destination, mount.Options.Contains("ro")), mount.Options);
}
