namespace Cnvm.Virtio.VhostUser;

/// <summary>How a vhost-user device looks and where its back end is.</summary>
public sealed record VhostUserOptions
{
    public required string Id { get; init; }

    /// <summary>Path of the Unix socket.</summary>
    public required string Socket { get; init; }

    /// <summary>The back end connects to the socket, rather than serving it.</summary>
    public bool IsServer { get; init; }

    /// <summary>Queues that the back end serves.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>Elements of each of them; a power of two.</summary>
    public ushort QueueSize { get; init; } = 128;

    /// <summary>How long the back end may take to be there when the device is made.</summary>
    public TimeSpan ConnectLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long the back end may take for all answers of one step: to set the device up, to start a queue, to stop it.</summary>
    public TimeSpan AnswerLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long requests in flight may take before a stop, those of all queues that stop together.</summary>
    public TimeSpan FinishLimit { get; init; } = TimeSpan.FromSeconds(5);
}
