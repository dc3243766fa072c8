using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Sends a signal to a process, or to all of a container.</summary>
[ProtoMessage]
internal sealed partial record KillRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public string ExecId { get; init; } = "";

    [ProtoMember(3)] public uint Signal { get; init; }

    [ProtoMember(4)] public bool All { get; init; }
}
