using Cnvm.Ttrpc;

namespace Cnvm.Shim.Metrics;

/// <summary>Bytes and requests of one disk.</summary>
[ProtoMessage]
internal sealed partial record UnifiedDisk
{
    [ProtoMember(1)] public ulong Major { get; init; }

    [ProtoMember(2)] public ulong Minor { get; init; }

    [ProtoMember(3)] public ulong ReadBytes { get; init; }

    [ProtoMember(4)] public ulong WrittenBytes { get; init; }

    [ProtoMember(5)] public ulong Reads { get; init; }

    [ProtoMember(6)] public ulong Writes { get; init; }
}
