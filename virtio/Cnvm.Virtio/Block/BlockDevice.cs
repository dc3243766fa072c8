using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;
using Cnvm.Devices;
using Cnvm.Virtio.Queues;
using Cnvm.Virtio.RateLimits;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block;

/// <summary>Block device (virtio 1.2 §5.2) on an image, with a thread for each queue that the driver uses. Owns the image.</summary>
public sealed class BlockDevice : VirtioDevice
{
    /// <summary>Longest range of a discard or write-zeroes request, in sectors: 64 MiB, as some file systems zero by writing.</summary>
    internal const uint MaxRangeSectors = 64 * 1024 * 1024 / BlockSpec.SectorSize;

    private readonly ILogger _logger;
    private readonly byte[] _serial = new byte[BlockSpec.IdBytes];
    private readonly byte[] _config = new byte[BlockSpec.ConfigBytes];
    private readonly BlockWorker?[] _workers;
    private readonly SplitQueue?[] _queues;
    private readonly TransferCounter[] _reads;
    private readonly TransferCounter[] _writes;
    private readonly IReadOnlyDictionary<int, int[]> _affinity;
    private volatile DirtyBlocks? _changes;
    private ulong _negotiated;
    private volatile bool _isWriteBack = true;

    /// <exception cref="ArgumentException">Queue count or size is out of range.</exception>
    public BlockDevice(BlockOptions options, IBlockImage image, ILogger logger)
        : base((options ?? throw new ArgumentNullException(nameof(options))).Id)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (options.QueueCount is < 1 or > ushort.MaxValue)
        {
            throw new ArgumentException($"{options.Id}: {options.QueueCount} queues; 1 to 65535 are possible", nameof(options));
        }

        if (options.QueueSize is < 4 or > SplitRing.MaxQueueSize || !BitOperations.IsPow2((uint)options.QueueSize))
        {
            throw new ArgumentException(
                $"{options.Id}: queue size {options.QueueSize} is not a power of two from 4 to 32768", nameof(options));
        }

        Image = image;
        RateLimiter = options.RateLimiter;
        IsFirstSectorKept = options.IsFirstSectorKept;
        OutlivesProcess = options.OutlivesProcess;
        _affinity = options.QueueAffinity;
        Sectors = image.Size >> BlockSpec.SectorShift;
        _logger = logger;
        QueueSizes = [.. Enumerable.Repeat(options.QueueSize, options.QueueCount)];
        _workers = new BlockWorker?[options.QueueCount];
        _queues = new SplitQueue?[options.QueueCount];
        _reads = [.. QueueSizes.Select(_ => new TransferCounter())];
        _writes = [.. QueueSizes.Select(_ => new TransferCounter())];
        byte[] serial = Encoding.UTF8.GetBytes(options.Serial ?? options.Id);
        serial.AsSpan(0, Math.Min(serial.Length, _serial.Length)).CopyTo(_serial);
        BuildConfiguration();
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Block;

    public override ulong Features =>
        VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors
        | BlockSpec.Flush | BlockSpec.ConfigWce | BlockSpec.BlockSize | BlockSpec.Topology | BlockSpec.SegMax
        | (_workers.Length > 1 ? BlockSpec.MultiQueue : 0)
        | (Image.IsReadOnly ? BlockSpec.ReadOnly : BlockSpec.WriteZeroes)
        | (Image.CanDiscard ? BlockSpec.Discard : 0);

    public override IReadOnlyList<ushort> QueueSizes { get; }

    /// <summary>What has been done, over all queues.</summary>
    public BlockCounters Counters => new(
        Sum(_reads, c => c.Bytes),
        Sum(_writes, c => c.Bytes),
        Sum(_reads, c => c.Operations),
        Sum(_writes, c => c.Operations),
        Minimum(_reads),
        Maximum(_reads),
        Average(_reads),
        Minimum(_writes),
        Maximum(_writes),
        Average(_writes));

    /// <summary>The limit that it keeps to; null: none.</summary>
    public RateLimiter? RateLimiter { get; }

    internal IBlockImage Image { get; }

    /// <summary>Capacity in 512-byte sectors.</summary>
    internal ulong Sectors { get; private set; }

    /// <inheritdoc cref="BlockOptions.IsFirstSectorKept"/>
    internal bool IsFirstSectorKept { get; }

    /// <inheritdoc cref="BlockOptions.OutlivesProcess"/>
    internal bool OutlivesProcess { get; }

    internal ulong Negotiated => _negotiated;

    internal bool IsWriteBack => _isWriteBack;

    internal ReadOnlySpan<byte> SerialBytes => _serial;

    /// <inheritdoc cref="IBlockImage.Size"/>
    public ulong ImageSize => Image.Size;

    /// <summary>The image has no format of its own: its bytes are the disk's.</summary>
    public bool IsRaw => Image is RawImage;

    /// <inheritdoc cref="IBlockImage.MemoryAlignment"/>
    public uint MemoryAlignment => Image.MemoryAlignment;

    /// <inheritdoc cref="IBlockImage.LogicalBlockSize"/>
    public uint LogicalBlockSize => Image.LogicalBlockSize;

    /// <summary>Where writes are marked; null while nobody wants to know.</summary>
    internal DirtyBlocks? Changes => _changes;

    /// <summary>Marks from now on what the guest writes, discards or zeroes, each when it has been done. One at a time.</summary>
    public DirtyBlocks TrackChanges() => _changes = new DirtyBlocks(Image.Size);

    /// <summary>Ends <see cref="TrackChanges"/>.</summary>
    public void StopTrackingChanges() => _changes = null;

    /// <inheritdoc cref="IBlockImage.Read"/>
    public void ReadImage(ulong offset, Span<byte> buffer) => Image.Read(offset, buffer);

    /// <inheritdoc cref="IBlockImage.TryFindData"/>
    public bool TryFindData(ulong offset, ulong end, out ulong start, out ulong length) => Image.TryFindData(offset, end, out start, out length);

    /// <inheritdoc cref="IBlockImage.Flush"/>
    public void FlushImage() => Image.Flush();

    /// <summary>Whether the guest cannot change the disk.</summary>
    public bool IsReadOnly => Image.IsReadOnly;

    /// <inheritdoc cref="IBlockImage.CopyTo"/>
    public void CopyImage(SafeFileHandle file) => Image.CopyTo(file);

    /// <inheritdoc cref="IBlockImage.Unlock"/>
    public void UnlockImage() => Image.Unlock();

    /// <inheritdoc cref="IBlockImage.Lock"/>
    public void LockImage() => Image.Lock();

    /// <summary>Gives the disk another size and tells the driver. Its queues are stopped.</summary>
    /// <param name="bytes">A multiple of 512, more than 0.</param>
    /// <exception cref="BlockImageException">The image cannot have it; nothing has changed.</exception>
    public void Resize(ulong bytes)
    {
        Image.Resize(bytes);
        Sectors = Image.Size >> BlockSpec.SectorShift;
        BinaryPrimitives.WriteUInt64LittleEndian(_config.AsSpan(BlockSpec.ConfigCapacity), Sectors);
        Interrupts?.SignalConfiguration();
    }

    public override void ReadConfiguration(uint offset, Span<byte> data) => CopyConfiguration(_config, offset, data);

    public override void WriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
        // §5.2.5.2: the driver may write nothing but the cache mode, and that only if it was negotiated.
        if ((_negotiated & BlockSpec.ConfigWce) != 0 && offset == BlockSpec.ConfigWriteBack && data.Length == 1)
        {
            SetWriteBack(data[0] != 0);
        }
    }

    public override void Activate(ulong features)
    {
        _negotiated = features;

        // §5.2.5.2: with FLUSH alone the cache is write-back; without either the driver cannot flush, so it is write-through.
        SetWriteBack((features & (BlockSpec.ConfigWce | BlockSpec.Flush)) != 0);
    }

    public override void StartQueue(int index, QueueResources resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        string name = string.Create(CultureInfo.InvariantCulture, $"{Id}_q{index}");
        BlockWorker worker = new(name, this, resources, _reads[index], _writes[index], _affinity.GetValueOrDefault(index), _logger);
        _workers[index] = worker;
        _queues[index] = resources.Queue;
        worker.Start();
    }

    public override QueueState? StopQueue(int index)
    {
        _workers[index]?.Dispose();
        _workers[index] = null;
        QueueState? state = _queues[index]?.Save();
        _queues[index] = null;
        return state;
    }

    public override void Reset()
    {
        _negotiated = 0;
        SetWriteBack(true);
    }

    public override VirtioDeviceState Save() => new BlockState { IsWriteBack = _isWriteBack, Sectors = Sectors };

    public override void Restore(VirtioDeviceState state)
    {
        BlockState saved = Expect<BlockState>(state);
        if (saved.Sectors != Sectors)
        {
            throw new DeviceStateException(Id, nameof(BlockState.Sectors), $"the disk had {saved.Sectors} sectors and has {Sectors} now");
        }

        SetWriteBack(saved.IsWriteBack);
    }

    protected override void Dispose(bool disposing)
    {
        foreach (BlockWorker? worker in _workers)
        {
            worker?.Dispose();
        }

        Image.Dispose();
        base.Dispose(disposing);
    }

    private static ulong Sum(TransferCounter[] counters, Func<TransferCounter, ulong> value)
    {
        ulong sum = 0;
        foreach (TransferCounter counter in counters)
        {
            sum += value(counter);
        }

        return sum;
    }

    private static ulong Minimum(TransferCounter[] counters)
    {
        long ticks = counters.Min(c => c.MinimumTicks);
        return ticks == long.MaxValue ? 0 : TransferCounter.Microseconds(ticks);
    }

    private static ulong Maximum(TransferCounter[] counters) => TransferCounter.Microseconds(counters.Max(c => c.MaximumTicks));

    private static ulong Average(TransferCounter[] counters)
    {
        ulong operations = Sum(counters, c => c.Operations);
        return operations == 0 ? 0 : TransferCounter.Microseconds(counters.Sum(c => c.TotalTicks) / (long)operations);
    }

    private void SetWriteBack(bool isWriteBack)
    {
        _isWriteBack = isWriteBack;
        _config[BlockSpec.ConfigWriteBack] = isWriteBack ? (byte)1 : (byte)0;
    }

    private void BuildConfiguration()
    {
        Span<byte> c = _config;
        uint block = Image.LogicalBlockSize;
        BinaryPrimitives.WriteUInt64LittleEndian(c[BlockSpec.ConfigCapacity..], Sectors);

        // Header and status take two descriptors.
        uint segments = (uint)Math.Min(QueueSizes[0], DescriptorChain.CapacityFor(QueueSizes[0])) - 2;
        BinaryPrimitives.WriteUInt32LittleEndian(c[BlockSpec.ConfigSegMax..], segments);
        BinaryPrimitives.WriteUInt32LittleEndian(c[BlockSpec.ConfigBlockSize..], block);
        c[BlockSpec.ConfigPhysicalExponent] = (byte)BitOperations.Log2(Image.PhysicalBlockSize / block);
        c[BlockSpec.ConfigAlignmentOffset] = Image.AlignmentOffset;
        BinaryPrimitives.WriteUInt16LittleEndian(c[BlockSpec.ConfigMinIo..], Image.MinimumIoBlocks);
        BinaryPrimitives.WriteUInt32LittleEndian(c[BlockSpec.ConfigOptIo..], Image.OptimalIoBlocks);
        c[BlockSpec.ConfigWriteBack] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(c[BlockSpec.ConfigNumQueues..], (ushort)QueueSizes.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(c[BlockSpec.ConfigMaxDiscardSectors..], MaxRangeSectors);
        BinaryPrimitives.WriteUInt32LittleEndian(c[BlockSpec.ConfigMaxDiscardSegments..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(c[BlockSpec.ConfigDiscardAlignment..], Image.DiscardGranularity >> BlockSpec.SectorShift);
        BinaryPrimitives.WriteUInt32LittleEndian(c[BlockSpec.ConfigMaxZeroSectors..], MaxRangeSectors);
        BinaryPrimitives.WriteUInt32LittleEndian(c[BlockSpec.ConfigMaxZeroSegments..], 1);
        c[BlockSpec.ConfigZeroMayUnmap] = Image.CanDiscard ? (byte)1 : (byte)0;
    }
}
