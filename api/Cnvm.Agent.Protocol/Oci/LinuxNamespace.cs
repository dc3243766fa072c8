using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A namespace of a container.</summary>
[ProtoMessage]
public sealed partial record LinuxNamespace
{
    /// <summary><c>pid</c>, <c>network</c>, <c>mount</c>, <c>ipc</c>, <c>uts</c>, <c>user</c>, <c>cgroup</c> or <c>time</c>.</summary>
    [ProtoMember(1)]
    public string Type { get; init; } = "";

    /// <summary>An existing one to join; empty for a new one.</summary>
    [ProtoMember(2)]
    public string Path { get; init; } = "";
}
