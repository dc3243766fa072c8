using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A device of the guest that a container gets.</summary>
[ProtoMessage]
public sealed partial record Device
{
    /// <summary>What finds it in the guest, such as an address on a bus; may be empty.</summary>
    [ProtoMember(1)]
    public string Id { get; init; } = "";

    /// <summary>What kind it is: <c>blk</c>, <c>scsi</c>, <c>vfio</c> and so on.</summary>
    [ProtoMember(2)]
    public string Type { get; init; } = "";

    /// <summary>Its path in the guest, where that is known.</summary>
    [ProtoMember(3)]
    public string VmPath { get; init; } = "";

    /// <summary>Its path in the container; empty when the container does not see it.</summary>
    [ProtoMember(4)]
    public string ContainerPath { get; init; } = "";

    /// <summary>What else its kind needs.</summary>
    [ProtoMember(5)]
    public IReadOnlyList<string> Options { get; init; } = [];
}
