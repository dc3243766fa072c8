using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Answer to Start.</summary>
[ProtoMessage]
internal sealed partial record StartResponse
{
    [ProtoMember(1)] public uint Pid { get; init; }
}
