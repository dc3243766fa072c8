using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>A container's first process runs.</summary>
[ProtoMessage]
internal sealed partial record TaskStart
{
    [ProtoMember(1)] public string ContainerId { get; init; } = "";

    [ProtoMember(2)] public uint Pid { get; init; }
}
