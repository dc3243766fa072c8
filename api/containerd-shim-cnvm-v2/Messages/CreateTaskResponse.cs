using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Answer to Create.</summary>
[ProtoMessage]
internal sealed partial record CreateTaskResponse
{
    [ProtoMember(1)] public uint Pid { get; init; }
}
