using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A rule about system calls.</summary>
[ProtoMessage]
public sealed partial record LinuxSyscall
{
    /// <summary>Their names.</summary>
    [ProtoMember(1)]
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>What happens, such as <c>SCMP_ACT_ALLOW</c>.</summary>
    [ProtoMember(2)]
    public string Action { get; init; } = "";

    /// <summary>The error that they return; null for EPERM.</summary>
    [ProtoMember(3)]
    public uint? Errnoret { get; init; }

    /// <summary>What all has to be true of their arguments.</summary>
    [ProtoMember(4)]
    public IReadOnlyList<LinuxSeccompArg> Args { get; init; } = [];
}
