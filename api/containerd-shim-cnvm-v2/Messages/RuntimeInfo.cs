using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>What -info prints (containerd api/types/introspection.proto).</summary>
[ProtoMessage]
internal sealed partial record RuntimeInfo
{
    [ProtoMember(1)] public string Name { get; init; } = "";

    [ProtoMember(2)] public RuntimeVersion? Version { get; init; }
}
