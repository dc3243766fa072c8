using Cnvm.Ttrpc;

namespace Cnvm.Shim.Events;

/// <summary>Where a process's input and output are.</summary>
[ProtoMessage]
internal sealed partial record TaskIo
{
    [ProtoMember(1)] public string Stdin { get; init; } = "";

    [ProtoMember(2)] public string Stdout { get; init; } = "";

    [ProtoMember(3)] public string Stderr { get; init; } = "";

    [ProtoMember(4)] public bool Terminal { get; init; }
}
