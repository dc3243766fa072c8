using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Starts a process that was made.</summary>
[ProtoMessage]
internal sealed partial record StartRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public string ExecId { get; init; } = "";
}
