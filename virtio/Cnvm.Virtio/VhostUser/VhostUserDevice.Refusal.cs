using Cnvm.Devices.Bus;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.VhostUser.Serving;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.VhostUser;

/// <content>
/// What becomes of a session that ended with its back end: requests fail here as long as there is no other back end, and there as long as
/// the driver has not begun another session.
/// </content>
public abstract partial class VhostUserDevice
{
    private readonly QueueWorker?[] _refusals;
    private readonly SplitQueue?[] _refused;
    private readonly LogRateLimit _notRefusedLimit = new();
    private SharedInflight? _notes;
    private bool _isSessionLost;

    /// <summary>Makes a worker that answers every request of a queue with an error. Only where <see cref="VhostUserTraits.HasSession"/>.</summary>
    private protected virtual QueueWorker CreateRefusal(string name, QueueResources resources) => throw new NotSupportedException();

    /// <summary>Answers requests with errors from now on, those in flight first.</summary>
    /// <param name="hasLeft">The back end has closed the connection, and so touches the queues no more.</param>
    /// <returns>False if that cannot be: nobody knows what is in flight.</returns>
    private bool TryRefuse(bool hasLeft)
    {
        bool isNoted = _inflight is { } inflight && MemoryFile.TryKeepWhole(inflight.File.Value);
        if (!hasLeft || (!isNoted && !AreIdle()))
        {
            return false;
        }

        try
        {
            // Memory that could be cut off is not mapped: an access would end this process.
            _notes = isNoted
                ? SharedInflight.Map(_inflight!.File, _inflight.MapSize, _inflight.MapOffset, _inflight.Queues, _inflight.QueueSize)
                : null;
            _isSessionLost = true;
            for (int i = 0; i < _rings.Length; i++)
            {
                Refuse(i);
            }

            return true;
        }
        catch (Exception e) when (e is VhostUserException or LinuxException)
        {
            if (_notRefusedLimit.TryTake(out long suppressed))
            {
                LogNotRefused(_logger, Id, e.Message, suppressed);
            }

            EndRefusal();
            return false;
        }
    }

    /// <summary>The same for one queue, if the driver has given it to the device.</summary>
    private void Refuse(int index)
    {
        if (_rings[index] is not { } ring)
        {
            return;
        }

        ushort used = ring.UsedIndex;
        InflightQueue? inflight = _notes?.Open(index, ring.Layout.Size, used);
        QueueState layout = ring.Layout with { NextAvail = (ushort)(used + (inflight?.Repeats ?? 0)), NextUsed = used };
        if (!SplitQueue.TryCreate(ring.Memory, layout, index, _accepted, Interrupts!, out SplitQueue? queue, out string? error))
        {
            throw new VhostUserException($"queue {index}: {error}");
        }

        if (inflight is not null)
        {
            queue.Track(inflight);
        }

        QueueWorker worker = CreateRefusal($"{Id}_gone{index}", new QueueResources(queue, ring.Memory, Interrupts!, ring.Kick));
        (_refusals[index], _refused[index]) = (worker, queue);
        worker.Start();

        // Whether the driver was told of what the back end did last is not known.
        Interrupts!.SignalQueue(index);
    }

    /// <summary>Leaves a queue to others.</summary>
    /// <returns>Where the next available element is taken; null if the queue was not refused.</returns>
    private ushort? StopRefusing(int index)
    {
        _refusals[index]?.Dispose();
        ushort? next = _refused[index]?.Save().NextAvail;
        (_refusals[index], _refused[index]) = (null, null);
        return next;
    }

    /// <summary>Another back end has the queues from now on, or nobody.</summary>
    private void EndRefusal()
    {
        for (int i = 0; i < _refusals.Length; i++)
        {
            StopRefusing(i);
        }

        _notes?.Dispose();
        _notes = null;
        _isSessionLost = false;
    }

    /// <summary>No queue has requests that were not given back.</summary>
    private bool AreIdle() => Array.TrueForAll(_rings, static r => r is null || r.UsedIndex == r.AvailIndex);

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "{Device}: requests to the vhost-user back end that has gone cannot be refused: {Reason} ({Suppressed} like it not shown)")]
    private static partial void LogNotRefused(ILogger logger, string device, string reason, long suppressed);
}
