using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Makes a container; its first process does not run yet.</summary>
[ProtoMessage]
internal sealed partial record CreateTaskRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public string Bundle { get; init; } = "";

    [ProtoMember(3)] public IReadOnlyList<Mount> Rootfs { get; init; } = [];

    [ProtoMember(4)] public bool Terminal { get; init; }

    [ProtoMember(5)] public string Stdin { get; init; } = "";

    [ProtoMember(6)] public string Stdout { get; init; } = "";

    [ProtoMember(7)] public string Stderr { get; init; } = "";

    [ProtoMember(8)] public string Checkpoint { get; init; } = "";

    [ProtoMember(9)] public string ParentCheckpoint { get; init; } = "";

    [ProtoMember(10)] public ProtoAny? Options { get; init; }
}
