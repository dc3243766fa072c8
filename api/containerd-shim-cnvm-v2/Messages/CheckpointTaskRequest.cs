using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Saves a container's state into a folder.</summary>
[ProtoMessage]
internal sealed partial record CheckpointTaskRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public string Path { get; init; } = "";

    [ProtoMember(3)] public ProtoAny? Options { get; init; }
}
