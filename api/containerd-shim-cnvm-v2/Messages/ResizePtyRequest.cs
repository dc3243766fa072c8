using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Changes the size of a process's terminal, in characters.</summary>
[ProtoMessage]
internal sealed partial record ResizePtyRequest
{
    [ProtoMember(1)] public string Id { get; init; } = "";

    [ProtoMember(2)] public string ExecId { get; init; } = "";

    [ProtoMember(3)] public uint Width { get; init; }

    [ProtoMember(4)] public uint Height { get; init; }
}
