using Cnvm.Vmm.Config;
using Cnvm.Vmm.Platform;

namespace Cnvm.Vmm.Migration;

/// <summary>The shared folders of a guest that is on its way here.</summary>
internal static class ArrivingFolders
{
    /// <summary>Folders that the guest has mounted and that are not here, by the device's name, before anybody has stopped anything for them.</summary>
    public static IEnumerable<string> Obstacles(VmConfig config)
        => from fs in config.Fs ?? []
           where fs.Socket is null
           let problem = !Directory.Exists(fs.Path)
                   ? $"there is no folder {fs.Path}: make it, with what the guest expects in it, or share it from where the guest is"
               : DeviceFactory.OwnersObstacle(fs)
           where problem is not null
           select $"fs {fs.Id}: {problem}";
}
