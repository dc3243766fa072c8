using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Limits of disks.</summary>
[ProtoMessage]
public sealed partial record LinuxBlockIO
{
    /// <summary>Its weight, 10 to 1000; 0 for not set.</summary>
    [ProtoMember(1)]
    public uint Weight { get; init; }

    /// <summary>Its own weight against groups below it.</summary>
    [ProtoMember(2)]
    public uint LeafWeight { get; init; }

    /// <summary>Weights for some disks.</summary>
    [ProtoMember(3)]
    public IReadOnlyList<LinuxWeightDevice> WeightDevice { get; init; } = [];

    /// <summary>Bytes a second that are read.</summary>
    [ProtoMember(4)]
    public IReadOnlyList<LinuxThrottleDevice> ThrottleReadBpsDevice { get; init; } = [];

    /// <summary>Bytes a second that are written.</summary>
    [ProtoMember(5)]
    public IReadOnlyList<LinuxThrottleDevice> ThrottleWriteBpsDevice { get; init; } = [];

    /// <summary>Reads a second.</summary>
    [ProtoMember(6)]
    public IReadOnlyList<LinuxThrottleDevice> ThrottleReadIopsDevice { get; init; } = [];

    /// <summary>Writes a second.</summary>
    [ProtoMember(7)]
    public IReadOnlyList<LinuxThrottleDevice> ThrottleWriteIopsDevice { get; init; } = [];
}
