using Cnvm.Ttrpc;

namespace Cnvm.Shim.Messages;

/// <summary>Options that containerd's configuration has for a runtime (package runtimeoptions.v1, message Options).</summary>
[ProtoMessage]
internal sealed partial record RuntimeOptions
{
    [ProtoMember(1)] public string TypeUrl { get; init; } = "";

    [ProtoMember(2)] public string ConfigPath { get; init; } = "";

    [ProtoMember(3)] public ReadOnlyMemory<byte> ConfigBody { get; init; }
}
