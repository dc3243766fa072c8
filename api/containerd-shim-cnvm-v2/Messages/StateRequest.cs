using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Asks how a process is.</summary>
[ProtoMessage]
internal sealed partial record StateRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public string ExecId { get; init; } = "";
}
