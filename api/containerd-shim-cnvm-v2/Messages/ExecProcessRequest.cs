using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Makes a further process of a container; it does not run yet.</summary>
[ProtoMessage]
internal sealed partial record ExecProcessRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public string ExecId { get; init; } = "";

    [ProtoMember(3)] public bool Terminal { get; init; }

    [ProtoMember(4)] public string Stdin { get; init; } = "";

    [ProtoMember(5)] public string Stdout { get; init; } = "";

    [ProtoMember(6)] public string Stderr { get; init; } = "";

    [ProtoMember(7)] public ProtoAny? Spec { get; init; }
}
