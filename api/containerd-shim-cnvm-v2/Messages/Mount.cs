using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>A file system to mount (containerd api/types/mount.proto).</summary>
[ProtoMessage]
internal sealed partial record Mount
{
    [ProtoMember(1)] public string Type { get; init; } = "";

    [ProtoMember(2)] public string Source { get; init; } = "";

    [ProtoMember(3)] public string Target { get; init; } = "";

    [ProtoMember(4)] public IReadOnlyList<string> Options { get; init; } = [];
}
