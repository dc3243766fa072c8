using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Limits of a container.</summary>
[ProtoMessage]
public sealed partial record LinuxResources
{
    /// <summary>Which devices it may use, in order.</summary>
    [ProtoMember(1)]
    public IReadOnlyList<LinuxDeviceCgroup> Devices { get; init; } = [];

    /// <summary>Memory.</summary>
    [ProtoMember(2)]
    public LinuxMemory? Memory { get; init; }

    /// <summary>Processor time.</summary>
    [ProtoMember(3)]
    public LinuxCPU? Cpu { get; init; }

    /// <summary>Processes.</summary>
    [ProtoMember(4)]
    public LinuxPids? Pids { get; init; }

    /// <summary>Disks.</summary>
    [ProtoMember(5)]
    public LinuxBlockIO? BlockIo { get; init; }

    /// <summary>Huge pages.</summary>
    [ProtoMember(6)]
    public IReadOnlyList<LinuxHugepageLimit> HugepageLimits { get; init; } = [];

    /// <summary>Packets.</summary>
    [ProtoMember(7)]
    public LinuxNetwork? Network { get; init; }
}
