using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A weight for a disk.</summary>
[ProtoMessage]
public sealed partial record LinuxWeightDevice
{
    /// <summary>The device's major number.</summary>
    [ProtoMember(1)]
    public long Major { get; init; }

    /// <summary>The device's minor number.</summary>
    [ProtoMember(2)]
    public long Minor { get; init; }

    /// <summary>The weight, 10 to 1000.</summary>
    [ProtoMember(3)]
    public uint Weight { get; init; }

    /// <summary>The weight against groups below it.</summary>
    [ProtoMember(4)]
    public uint LeafWeight { get; init; }
}
