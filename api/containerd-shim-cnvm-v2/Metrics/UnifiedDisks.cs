using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>Traffic with disks.</summary>
[ProtoMessage]
internal sealed partial record UnifiedDisks
{
    [ProtoMember(1)] public IReadOnlyList<UnifiedDisk> Usage { get; init; } = [];
}
