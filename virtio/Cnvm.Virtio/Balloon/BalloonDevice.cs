using System.Buffers.Binary;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Balloon;

/// <summary>
/// Memory balloon (virtio 1.2 §5.5): the guest gives up as many pages as it is asked for, and tells of pages that it does not use. What it
/// gives up goes back to the host and reads as zero. One thread serves all queues.
/// </summary>
public sealed class BalloonDevice : VirtioDevice
{
    private readonly BalloonOptions _options;
    private readonly BalloonWorker _worker;
    private readonly QueueResources?[] _queues = new QueueResources?[BalloonSpec.MaxQueues];
    private readonly List<BalloonQueue> _kinds = [];
    private readonly byte[] _config = new byte[BalloonSpec.ConfigBytes];
    private readonly Lock _lock = new();

    public BalloonDevice(BalloonOptions options, ILogger logger)
        : base((options ?? throw new ArgumentNullException(nameof(options))).Id)
    {
        _options = options;
        _worker = new BalloonWorker(options.Id, logger);
        BinaryPrimitives.WriteUInt32LittleEndian(_config.AsSpan(BalloonSpec.ConfigTarget), Pages(options.Size));
        NumberQueues(Features);
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Balloon;

    public override ulong Features => VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors
        | (_options.DeflateOnOom ? BalloonSpec.DeflateOnOom : 0)
        | (_options.FreePageReporting ? BalloonSpec.PageReporting : 0)
        | (_options.Statistics ? BalloonSpec.StatisticsQueue : 0);

    public override IReadOnlyList<ushort> QueueSizes => [.. Enumerable.Repeat(BalloonSpec.QueueSize, QueueCount)];

    /// <summary>Figures of the balloon.</summary>
    public BalloonCounters Counters
    {
        get
        {
            lock (_lock)
            {
                return new BalloonCounters(
                    (ulong)Word(BalloonSpec.ConfigTarget) << BalloonSpec.PageShift,
                    (ulong)Word(BalloonSpec.ConfigActual) << BalloonSpec.PageShift,
                    _worker.InflatedBytes,
                    _worker.ReportedBytes);
            }
        }
    }

    /// <summary>
    /// The guest's own figures of its memory, by name, as it told them last. Asking brings new ones, which are there a little later. Empty
    /// unless it was made with statistics and the driver tells them.
    /// </summary>
    public IReadOnlyList<KeyValuePair<string, ulong>> Statistics
    {
        get
        {
            List<KeyValuePair<string, ulong>> known = [.. _worker.Statistics.Known];
            _worker.RefreshStatistics();
            return known;
        }
    }

    private int QueueCount => 2 + (_options.Statistics ? 1 : 0) + (_options.FreePageReporting ? 1 : 0);

    /// <summary>Asks the guest to give up so much. Any thread.</summary>
    /// <param name="bytes">Rounded down to pages of 4 KiB.</param>
    public void Resize(ulong bytes)
    {
        lock (_lock)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_config.AsSpan(BalloonSpec.ConfigTarget), Pages(bytes));
        }

        Interrupts?.SignalConfiguration();
    }

    public override void ReadConfiguration(uint offset, Span<byte> data)
    {
        lock (_lock)
        {
            CopyConfiguration(_config, offset, data);
        }
    }

    public override void WriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
        // §5.5.6.1: the driver writes how much it has given up, and nothing else.
        if (offset == BalloonSpec.ConfigActual && data.Length == sizeof(uint))
        {
            lock (_lock)
            {
                data.CopyTo(_config.AsSpan(BalloonSpec.ConfigActual));
            }
        }
    }

    public override void Activate(ulong features) => NumberQueues(features);

    public override void StartQueue(int index, QueueResources resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        _worker.Stop();
        _queues[index] = resources;
        if (index < _kinds.Count)
        {
            _worker.SetQueue(_kinds[index], resources);
        }

        _worker.Start();
    }

    public override QueueState? StopQueue(int index)
    {
        if (_queues[index] is not { } resources)
        {
            return null;
        }

        _worker.Stop();
        _queues[index] = null;
        if (index < _kinds.Count)
        {
            _worker.SetQueue(_kinds[index], null);
        }

        if (Array.Exists(_queues, q => q is not null))
        {
            _worker.Start();
        }

        return resources.Queue.Save();
    }

    public override void Reset()
    {
        // What the guest had given up is its own again: it does not know of a balloon any more.
        lock (_lock)
        {
            _config.AsSpan(BalloonSpec.ConfigActual, sizeof(uint)).Clear();
        }

        _worker.Statistics.Clear();
        NumberQueues(Features);
    }

    public override VirtioDeviceState Save()
    {
        lock (_lock)
        {
            return new BalloonState { TargetPages = Word(BalloonSpec.ConfigTarget), ActualPages = Word(BalloonSpec.ConfigActual) };
        }
    }

    public override void Restore(VirtioDeviceState state)
    {
        BalloonState saved = Expect<BalloonState>(state);
        lock (_lock)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_config.AsSpan(BalloonSpec.ConfigTarget), saved.TargetPages);
            BinaryPrimitives.WriteUInt32LittleEndian(_config.AsSpan(BalloonSpec.ConfigActual), saved.ActualPages);
        }
    }

    protected override void Dispose(bool disposing)
    {
        _worker.Dispose();
        base.Dispose(disposing);
    }

    private static uint Pages(ulong bytes) => (uint)Math.Min(bytes >> BalloonSpec.PageShift, uint.MaxValue);

    private uint Word(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_config.AsSpan(offset));

    /// <summary>Queues of features that are not in use have no number, so those behind them move up (as drivers have it, and QEMU).</summary>
    private void NumberQueues(ulong features)
    {
        _kinds.Clear();
        _kinds.AddRange([BalloonQueue.Inflate, BalloonQueue.Deflate]);
        if ((features & BalloonSpec.StatisticsQueue) != 0)
        {
            _kinds.Add(BalloonQueue.Statistics);
        }

        if ((features & BalloonSpec.PageReporting) != 0)
        {
            _kinds.Add(BalloonQueue.Reporting);
        }
    }
}
