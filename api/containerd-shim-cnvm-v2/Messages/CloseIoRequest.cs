using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Says that nothing more comes for a process's input.</summary>
[ProtoMessage]
internal sealed partial record CloseIoRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public string ExecId { get; init; } = "";

    [ProtoMember(3)] public bool Stdin { get; init; }
}
