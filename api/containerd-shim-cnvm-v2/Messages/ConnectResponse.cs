using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Answer to Connect.</summary>
[ProtoMessage]
internal sealed partial record ConnectResponse
{
    [ProtoMember(1)] public uint ShimPid { get; init; }

    [ProtoMember(2)] public uint TaskPid { get; init; }

    [ProtoMember(3)] public string Version { get; init; } = "";
}
