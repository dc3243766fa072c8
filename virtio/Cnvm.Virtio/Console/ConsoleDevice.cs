using System.Buffers.Binary;
using Cnvm.Devices.Serial;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Console;

/// <summary>
/// Console device (virtio 1.2 §5.3), one port, on the same byte streams as a serial port. The stream's owner calls
/// <see cref="InputReady"/> and <see cref="OutputReady"/>; the device reads and writes on its own threads.
/// </summary>
public sealed class ConsoleDevice : VirtioDevice
{
    private readonly ISerialBackend _backend;
    private readonly ILogger _logger;
    private readonly byte[] _config = new byte[ConsoleSpec.ConfigBytes];
    private readonly SplitQueue?[] _queues = new SplitQueue?[2];
    private readonly Lock _lock = new();
    private ConsoleReceiveWorker? _receiver;
    private ConsoleTransmitWorker? _transmitter;
    private ulong _negotiated;
    private uint _transmitted;

    /// <param name="id">Name in configuration and threads, <c>__console</c> by convention.</param>
    /// <param name="backend">Where the bytes go to and come from. Not owned.</param>
    public ConsoleDevice(string id, ISerialBackend backend, ILogger logger)
        : base(id)
    {
        ArgumentNullException.ThrowIfNull(backend);
        _backend = backend;
        _logger = logger;
        BinaryPrimitives.WriteUInt32LittleEndian(_config.AsSpan(ConsoleSpec.ConfigMaxPorts), 1);
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Console;

    public override ulong Features => VirtioFeatures.EventIndex | VirtioFeatures.IndirectDescriptors | ConsoleSpec.Size;

    public override IReadOnlyList<ushort> QueueSizes { get; } = [ConsoleSpec.QueueSize, ConsoleSpec.QueueSize];

    /// <summary>The backend has input. Any thread.</summary>
    public void InputReady()
    {
        lock (_lock)
        {
            _receiver?.InputReady();
        }
    }

    /// <summary>The backend takes output again after it refused a byte. Any thread.</summary>
    public void OutputReady()
    {
        lock (_lock)
        {
            _transmitter?.OutputReady();
        }
    }

    /// <summary>The terminal has another size, in characters. Any thread.</summary>
    public void Resize(ushort columns, ushort rows)
    {
        lock (_lock)
        {
            SetSize(columns, rows);
            if ((_negotiated & ConsoleSpec.Size) == 0)
            {
                return;
            }
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

    public override void Activate(ulong features)
    {
        lock (_lock)
        {
            _negotiated = features;
        }
    }

    public override void StartQueue(int index, QueueResources resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        lock (_lock)
        {
            _queues[index] = resources.Queue;
            if (index == ConsoleSpec.ReceiveQueue)
            {
                _receiver = new ConsoleReceiveWorker($"{Id}_rx", resources, _backend, _logger);
                _receiver.Start();
            }
            else
            {
                _transmitter = new ConsoleTransmitWorker($"{Id}_tx", resources, _backend, _transmitted, _logger);
                _transmitter.Start();
            }
        }
    }

    public override QueueState? StopQueue(int index)
    {
        QueueWorker? worker;
        lock (_lock)
        {
            worker = index == ConsoleSpec.ReceiveQueue ? _receiver : _transmitter;
            if (index == ConsoleSpec.ReceiveQueue)
            {
                _receiver = null;
            }
            else
            {
                _transmitter = null;
            }
        }

        worker?.Dispose();
        if (worker is ConsoleTransmitWorker transmitter)
        {
            _transmitted = transmitter.PartialBytes;
        }

        QueueState? state = _queues[index]?.Save();
        _queues[index] = null;
        return state;
    }

    public override void Reset()
    {
        lock (_lock)
        {
            _negotiated = 0;
            _transmitted = 0;
        }
    }

    public override VirtioDeviceState Save()
    {
        lock (_lock)
        {
            return new ConsoleState
            {
                Columns = BinaryPrimitives.ReadUInt16LittleEndian(_config.AsSpan(ConsoleSpec.ConfigColumns)),
                Rows = BinaryPrimitives.ReadUInt16LittleEndian(_config.AsSpan(ConsoleSpec.ConfigRows)),
                TransmittedBytes = _transmitted,
            };
        }
    }

    public override void Restore(VirtioDeviceState state)
    {
        ConsoleState saved = Expect<ConsoleState>(state);
        lock (_lock)
        {
            SetSize(saved.Columns, saved.Rows);
            _transmitted = saved.TransmittedBytes;
        }
    }

    protected override void Dispose(bool disposing)
    {
        StopQueue(ConsoleSpec.ReceiveQueue);
        StopQueue(ConsoleSpec.TransmitQueue);
        base.Dispose(disposing);
    }

    private void SetSize(ushort columns, ushort rows)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_config.AsSpan(ConsoleSpec.ConfigColumns), columns);
        BinaryPrimitives.WriteUInt16LittleEndian(_config.AsSpan(ConsoleSpec.ConfigRows), rows);
    }
}
