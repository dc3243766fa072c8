using Cnvm.Vmm.Config;
using Cnvm.Vmm.Platform;

namespace Cnvm.Vmm;

/// <content>Shared folders.</content>
internal sealed partial class VirtualMachine
{
    private void AddFolders(VmConfig config)
    {
        if (config.Fs is not { Count: > 0 } folders)
        {
            return;
        }

        int descriptors = DeviceFactory.DescriptorsForEach(folders.Count);
        foreach (FsConfig fs in folders)
        {
            _virtio.Add(DeviceFactory.CreateFs(fs, descriptors, _logger), fs.PciSegment, fs.PciDeviceId);
        }
    }
}
