using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Changes a container's limits.</summary>
[ProtoMessage]
internal sealed partial record UpdateTaskRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public ProtoAny? Resources { get; init; }

    [ProtoMember(3)] public IReadOnlyDictionary<string, string> Annotations { get; init; } = System.Collections.ObjectModel.ReadOnlyDictionary<string, string>.Empty;
}
