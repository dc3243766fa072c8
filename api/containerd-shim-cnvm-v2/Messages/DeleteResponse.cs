using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Answer to Delete, and what the delete command prints.</summary>
[ProtoMessage]
internal sealed partial record DeleteResponse
{
    [ProtoMember(1)] public uint Pid { get; init; }

    [ProtoMember(2)] public uint ExitStatus { get; init; }

    [ProtoMember(3)] public ProtoTimestamp? ExitedAt { get; init; }
}
