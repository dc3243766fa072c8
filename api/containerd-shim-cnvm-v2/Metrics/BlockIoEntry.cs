using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>A disk's count of one kind of operation.</summary>
[ProtoMessage]
internal sealed partial record BlockIoEntry
{
    [ProtoMember(1)] public string Operation { get; init; } = "";

    [ProtoMember(2)] public string Device { get; init; } = "";

    [ProtoMember(3)] public ulong Major { get; init; }

    [ProtoMember(4)] public ulong Minor { get; init; }

    [ProtoMember(5)] public ulong Value { get; init; }
}
