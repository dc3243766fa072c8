using Cnvm.Shim.Messages;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>A container was made.</summary>
[ProtoMessage]
internal sealed partial record TaskCreate
{
    [ProtoMember(1)] public string ContainerId { get; init; } = "";

    [ProtoMember(2)] public string Bundle { get; init; } = "";

    [ProtoMember(3)] public IReadOnlyList<Mount> Rootfs { get; init; } = [];

    [ProtoMember(4)] public TaskIo? Io { get; init; }

    [ProtoMember(5)] public string Checkpoint { get; init; } = "";

    [ProtoMember(6)] public uint Pid { get; init; }
}
