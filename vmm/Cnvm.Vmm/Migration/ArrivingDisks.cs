using Cnvm.Linux;
using Cnvm.Vmm.Config;

namespace Cnvm.Vmm.Migration;

/// <summary>The disks of a guest that is on its way here.</summary>
internal static class ArrivingDisks
{
    /// <summary>
    /// Files that the guest's disks need here, before anybody has stopped anything for them; each that cannot be opened, by the disk's name.
    /// They are opened without asking for a lock of any kind: the source has its own on them, which network file systems do not tell apart.
    /// </summary>
    public static IEnumerable<string> Obstacles(VmConfig config)
    {
        foreach (DiskConfig disk in (config.Disks ?? []).Where(d => !d.VhostUser))
        {
            string? problem = null;
            try
            {
                using var file = new DiskFile(disk.Path!, disk.Readonly, direct: false);
            }
            catch (LinuxException e)
            {
                problem = $"disk {disk.Id}: {e.Message}";
            }

            if (problem is not null)
            {
                yield return problem;
            }
        }
    }
}
