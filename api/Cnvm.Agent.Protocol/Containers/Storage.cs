using Cnvm.Ttrpc;

namespace Cnvm.Agent.Protocol;

/// <summary>A file system to mount in the guest.</summary>
[ProtoMessage]
public sealed partial record Storage
{
    /// <summary>How the guest reaches it: <c>virtio-fs</c>, <c>blk</c>, <c>local</c>, <c>ephemeral</c> and so on.</summary>
    [ProtoMember(1)]
    public string Driver { get; init; } = "";

    /// <summary>What the driver needs.</summary>
    [ProtoMember(2)]
    public IReadOnlyList<string> DriverOptions { get; init; } = [];

    /// <summary>The tag, device or folder.</summary>
    [ProtoMember(3)]
    public string Source { get; init; } = "";

    /// <summary>The file system as mount(2) knows it.</summary>
    [ProtoMember(4)]
    public string Fstype { get; init; } = "";

    /// <summary>Mount options.</summary>
    [ProtoMember(5)]
    public IReadOnlyList<string> Options { get; init; } = [];

    /// <summary>Where in the guest.</summary>
    [ProtoMember(6)]
    public string MountPoint { get; init; } = "";

    /// <summary>The group that is to own it; null for as it is.</summary>
    [ProtoMember(7)]
    public FSGroup? FsGroup { get; init; }
}
