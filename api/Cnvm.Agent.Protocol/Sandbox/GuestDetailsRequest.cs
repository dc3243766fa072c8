using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>Asks about the guest, answered by <see cref="GuestDetailsResponse"/>.</summary>
[ProtoMessage]
public sealed partial record GuestDetailsRequest
{
    /// <summary>Whether the size of blocks of memory is wanted.</summary>
    [ProtoMember(1)]
    public bool MemBlockSize { get; init; }

    /// <summary>Whether it is wanted if memory can be announced by probe.</summary>
    [ProtoMember(2)]
    public bool MemHotplugProbe { get; init; }
}
