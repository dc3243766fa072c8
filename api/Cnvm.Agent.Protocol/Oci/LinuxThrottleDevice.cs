using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A limit for a disk.</summary>
[ProtoMessage]
public sealed partial record LinuxThrottleDevice
{
    /// <summary>The device's major number.</summary>
    [ProtoMember(1)]
    public long Major { get; init; }

    /// <summary>The device's minor number.</summary>
    [ProtoMember(2)]
    public long Minor { get; init; }

    /// <summary>Bytes or requests a second.</summary>
    [ProtoMember(3)]
    public ulong Rate { get; init; }
}
