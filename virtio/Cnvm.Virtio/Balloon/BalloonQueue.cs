namespace Cnvm.Virtio.Balloon;

/// <summary>What a queue of a balloon is for (virtio 1.2 §5.5.2), in the order in which queues get their numbers.</summary>
internal enum BalloonQueue
{
    Inflate,
    Deflate,
    Statistics,
    Reporting,
}
