using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;
using Cnvm.Devices;
using Cnvm.Linux;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Fs;

/// <summary>
/// File system device (virtio 1.2 §5.11): a folder of the host, served by a FUSE server of its own with a thread for each queue.
/// </summary>
public sealed partial class FsDevice : VirtioDevice
{
    private readonly ILogger _logger;
    private readonly string _tag;
    private readonly byte[] _config = new byte[FsSpec.ConfigBytes];
    private readonly SharedFolder _folder;
    private readonly FuseHandler[] _handlers;
    private readonly FsWorker?[] _workers;
    private readonly SplitQueue?[] _queues;

    // Buffers of requests for locks that waited when their queue stopped.
    private readonly IReadOnlyList<ushort>[] _waiting;

    /// <exception cref="ArgumentException">The tag, the queue count or size is out of range.</exception>
    /// <exception cref="LinuxException">The folder cannot be opened.</exception>
    public FsDevice(FsOptions options, ILogger logger)
        : base((options ?? throw new ArgumentNullException(nameof(options))).Id)
    {
        int tagBytes = Encoding.UTF8.GetByteCount(options.Tag);
        if (tagBytes is 0 or > FsSpec.TagBytes)
        {
            throw new ArgumentException($"{options.Id}: a tag has 1 to {FsSpec.TagBytes} bytes, not {tagBytes}", nameof(options));
        }

        if (options.RequestQueues is < 1 or >= ushort.MaxValue
            || options.QueueSize > SplitRing.MaxQueueSize || !BitOperations.IsPow2((uint)options.QueueSize))
        {
            throw new ArgumentException($"{options.Id}: {options.RequestQueues} queues of {options.QueueSize} are not possible", nameof(options));
        }

        _logger = logger;
        _tag = options.Tag;
        Encoding.UTF8.GetBytes(_tag, _config);
        BinaryPrimitives.WriteUInt32LittleEndian(_config.AsSpan(FsSpec.ConfigNumRequestQueues), (uint)options.RequestQueues);
        _folder = new SharedFolder(options);
        int queues = options.RequestQueues + 1;
        QueueSizes = [.. Enumerable.Repeat(options.QueueSize, queues)];
        _handlers = [.. Enumerable.Range(0, queues).Select(_ => new FuseHandler(_folder, logger))];
        _workers = new FsWorker?[queues];
        _queues = new SplitQueue?[queues];
        _waiting = new IReadOnlyList<ushort>[queues];
        ForgetWaiting();
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.FileSystem;

    public override ulong Features => VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors;

    public override IReadOnlyList<ushort> QueueSizes { get; }

    /// <summary>What has been done, over all queues. Any thread.</summary>
    public FsCounters Counters
    {
        get
        {
            var sum = new FsCounters { Nodes = _folder.NodeCount, Handles = _folder.HandleCount };
            foreach (FuseHandler handler in _handlers)
            {
                FsCounters c = handler.Counters;
                sum = sum with
                {
                    Requests = sum.Requests + c.Requests,
                    Errors = sum.Errors + c.Errors,
                    ReadOps = sum.ReadOps + c.ReadOps,
                    ReadBytes = sum.ReadBytes + c.ReadBytes,
                    WriteOps = sum.WriteOps + c.WriteOps,
                    WriteBytes = sum.WriteBytes + c.WriteBytes,
                };
            }

            return sum;
        }
    }

    public override void ReadConfiguration(uint offset, Span<byte> data) => CopyConfiguration(_config, offset, data);

    public override void StartQueue(int index, QueueResources resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        string name = string.Create(CultureInfo.InvariantCulture, $"{Id}_q{index}");

        // A queue whose driver has set it up anew meanwhile has nothing in flight.
        QueueState place = resources.Queue.Save();
        IReadOnlyList<ushort> waiting = (ushort)(place.NextAvail - place.NextUsed) == _waiting[index].Count ? _waiting[index] : [];
        _waiting[index] = [];
        FsWorker worker = new(name, _handlers[index], waiting, resources, _logger);
        _workers[index] = worker;
        _queues[index] = resources.Queue;
        worker.Start();
    }

    public override QueueState? StopQueue(int index)
    {
        if (_workers[index] is { } worker)
        {
            worker.Dispose();
            _waiting[index] = [.. worker.Kept];
            _workers[index] = null;
        }

        QueueState? state = _queues[index]?.Save();
        _queues[index] = null;
        return state;
    }

    public override void Reset()
    {
        ForgetWaiting();
        _folder.Clear();
    }

    /// <summary>Lets others have what the guest has locked of the folder. All queues are stopped until <see cref="TakeLocks"/>.</summary>
    public void LetLocksGo() => _folder.LetLocksGo();

    /// <summary>Takes the guest's locks again; those that it has stay.</summary>
    /// <exception cref="IOException">Somebody else has one of them.</exception>
    public void TakeLocks()
    {
        if (_folder.TakeLocks() is { } obstacle)
        {
            throw new IOException($"{Id}: {obstacle}");
        }
    }

    public override VirtioDeviceState Save() => _folder.Save(
        _tag, [.. _waiting.SelectMany((heads, queue) => heads.Select(head => new FsWaitState { Queue = (ushort)queue, Head = head }))]);

    public override void Restore(VirtioDeviceState state)
    {
        FsState saved = Expect<FsState>(state);
        if (saved.Tag != _tag)
        {
            throw new DeviceStateException(Id, nameof(FsState.Tag), $"the folder was '{saved.Tag}' and is '{_tag}' now");
        }

        FsWaitState[] waiting = saved.Locks?.Waiting ?? [];
        if (waiting.Length > FsLockWaits.Most || Array.Exists(waiting, w => w.Queue >= _waiting.Length) || waiting.Distinct().Count() != waiting.Length)
        {
            throw new DeviceStateException(Id, nameof(FsState.Locks), $"{waiting.Length} requests cannot wait, in these queues");
        }

        int lost = _folder.Restore(saved);
        for (int i = 0; i < _waiting.Length; i++)
        {
            _waiting[i] = [.. waiting.Where(w => w.Queue == i).Select(w => w.Head)];
        }

        if (lost > 0)
        {
            LogLost(_logger, Id, lost);
        }
    }

    protected override void Dispose(bool disposing)
    {
        foreach (FsWorker? worker in _workers)
        {
            worker?.Dispose();
        }

        foreach (FuseHandler handler in _handlers)
        {
            handler.Dispose();
        }

        _folder.Dispose();
        base.Dispose(disposing);
    }

    private void ForgetWaiting() => Array.Fill(_waiting, []);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Device}: {Count} files that the guest knew are not in the shared folder any more; it gets ESTALE for them")]
    private static partial void LogLost(ILogger logger, string device, int count);
}
