using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Requests;

/// <summary>The body of <c>vm.restore</c>.</summary>
/// <param name="SourceUrl"><c>file://</c> and the directory of a snapshot.</param>
/// <param name="Prefault">All memory is touched before the guest goes on.</param>
/// <param name="NetFds">Whose the first descriptors of the request are.</param>
/// <param name="VfioFds">Whose the following descriptors are, one each.</param>
/// <param name="IommufdFd">The last descriptor is the I/O MMU's; in JSON only that it is there means something.</param>
/// <param name="NetOverrides">cnvm's own: interfaces that are others than they were, for one of several VMs of a snapshot.</param>
/// <param name="Clock">cnvm's own: whether the guest's clocks go on where they stood.</param>
/// <param name="DiskOverrides">cnvm's own: disks that lie elsewhere than they did, such as what was made of a snapshot's copies.</param>
/// <param name="VsockSocket">cnvm's own: where the virtio socket device is served instead, for one of several VMs of a snapshot.</param>
/// <param name="Resume">The guest runs afterwards; otherwise it is left paused.</param>
public sealed record RestoreConfig(
    [property: JsonRequired] string SourceUrl = "",
    bool Prefault = false,
    MemoryRestoreMode MemoryRestoreMode = MemoryRestoreMode.Copy,
    IReadOnlyList<RestoredNet>? NetFds = null,
    IReadOnlyList<RestoredVfio>? VfioFds = null,
    int? IommufdFd = null,
    bool Resume = false,
    IReadOnlyList<MemoryZoneUpdate>? ZoneUpdates = null,
    IReadOnlyList<NetOverride>? NetOverrides = null,
    ClockRestoreMode Clock = ClockRestoreMode.Hold,
    IReadOnlyList<DiskOverride>? DiskOverrides = null,
    string? VsockSocket = null)
{
    /// <summary>Descriptors that must come along with the request.</summary>
    internal ulong ExpectedDescriptors
    {
        get
        {
            ulong count = (ulong)(VfioFds?.Count ?? 0) + (IommufdFd is null ? 0UL : 1);
            foreach (RestoredNet net in NetFds ?? [])
            {
                count += net.NumFds;
            }

            return count;
        }
    }
}
