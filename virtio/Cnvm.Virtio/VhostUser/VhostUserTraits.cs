namespace Cnvm.Virtio.VhostUser;

/// <summary>What a kind of device makes of its back end.</summary>
internal sealed record VhostUserTraits
{
    /// <summary>virtio features that may be passed on from the back end to the driver.</summary>
    public required ulong Features { get; init; }

    /// <summary>Protocol features that are of use beyond those that all devices want.</summary>
    public ulong ProtocolFeatures { get; init; }

    /// <summary>Bytes of the configuration space.</summary>
    public required int ConfigurationBytes { get; init; }

    /// <summary>The configuration is the back end's; otherwise the device has its own.</summary>
    public bool ReadsConfiguration { get; init; }

    /// <summary>Bytes at the start of the configuration in which one back end must not differ from the one before it.</summary>
    public int FixedConfigurationBytes { get; init; }

    /// <summary>Every buffer stands for a request that the back end finishes in its own time: it is waited for before a stop.</summary>
    public bool FinishesRequests { get; init; }

    /// <summary>Buffers are used in order, or may be used twice: a new back end goes on at the used index without further knowledge.</summary>
    public bool IsOrdered { get; init; }

    /// <summary>
    /// The back end remembers what the driver did, and a new one does not know it: it refuses everything until the driver begins anew. While there
    /// is none, that is done here.
    /// </summary>
    public bool HasSession { get; init; }

    /// <summary>Queues of a back end that has no more than the protocol asks for.</summary>
    public required int PlainQueues { get; init; }

    /// <summary>What the back end counts as one when it says how many queues it has: 2 where it may mean pairs.</summary>
    public int QueuesPerUnit { get; init; } = 1;
}
