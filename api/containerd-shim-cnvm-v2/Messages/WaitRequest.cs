using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Waits for the end of a process.</summary>
[ProtoMessage]
internal sealed partial record WaitRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public string ExecId { get; init; } = "";
}
