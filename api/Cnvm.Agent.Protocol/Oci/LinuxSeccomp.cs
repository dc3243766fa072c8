using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A filter of system calls.</summary>
[ProtoMessage]
public sealed partial record LinuxSeccomp
{
    /// <summary>What happens to others, such as <c>SCMP_ACT_ERRNO</c>.</summary>
    [ProtoMember(1)]
    public string DefaultAction { get; init; } = "";

    /// <summary>For which machines, such as <c>SCMP_ARCH_X86_64</c>.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<string> Architectures { get; init; } = [];

    /// <summary>Flags of seccomp(2), such as <c>SECCOMP_FILTER_FLAG_LOG</c>.</summary>
    [ProtoMember(3)]
    public IReadOnlyList<string> Flags { get; init; } = [];

    /// <summary>Rules, in order.</summary>
    [ProtoMember(4)]
    public IReadOnlyList<LinuxSyscall> Syscalls { get; init; } = [];
}
