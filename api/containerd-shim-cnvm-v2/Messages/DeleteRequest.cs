using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Forgets a process that has ended.</summary>
[ProtoMessage]
internal sealed partial record DeleteRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public string ExecId { get; init; } = "";
}
