using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Snapshot;

/// <summary>The body of <c>vm.restore</c>, and what <c>--restore</c> says.</summary>
/// <param name="SourceUrl"><c>file:///FOLDER</c>.</param>
/// <param name="Prefault">Every page of RAM is there before the guest runs.</param>
/// <param name="NetFds">Open TAP queues for interfaces that had such; the descriptors come with the request, in this order.</param>
/// <param name="Resume">The guest goes on at once; otherwise the VM is paused.</param>
public sealed record RestoreConfig(
    [property: JsonRequired] string SourceUrl = "",
    bool Prefault = false,
    MemoryRestoreMode MemoryRestoreMode = MemoryRestoreMode.Copy,
    IReadOnlyList<RestoredNetConfig>? NetFds = null,
    bool Resume = false,
    IReadOnlyList<ZoneUpdateConfig>? ZoneUpdates = null);
