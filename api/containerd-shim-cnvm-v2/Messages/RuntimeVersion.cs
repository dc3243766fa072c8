using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Version in the answer to -info (containerd api/types/introspection.proto).</summary>
[ProtoMessage]
internal sealed partial record RuntimeVersion
{
    [ProtoMember(1)] public string Version { get; init; } = "";

    [ProtoMember(2)] public string Revision { get; init; } = "";
}
