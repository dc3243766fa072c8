using Cnvm.Devices;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;
using Cnvm.Hypervisor.Memory;
using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;
using Spec = Cnvm.Virtio.Transport.MmioTransportSpec;

namespace Cnvm.Virtio.Transport;

/// <summary>
/// A virtio device behind memory-mapped registers, version 2 (virtio 1.2 §4.2). Its interrupt line is level: high while
/// InterruptStatus is not zero. Owns the device. Any thread.
/// </summary>
public sealed class VirtioMmioTransport : IIoDevice, ITransportSignals, IDisposable
{
    /// <summary>Bytes that the registers and the configuration take.</summary>
    public const ulong Size = 0x200;

    private readonly TransportCore _core;
    private readonly IInterruptLine _line;
    private readonly IDisposable?[] _bound;
    private readonly Lock _lineLock = new();
    private int _interruptStatus;

    /// <param name="device">The device; disposed with this object.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="line">The device's interrupt.</param>
    /// <param name="logger">Takes what a driver does wrong, rate-limited.</param>
    public VirtioMmioTransport(VirtioDevice device, GuestMemory memory, IInterruptLine line, ILogger logger)
    {
        _core = new TransportCore(device, memory, this, logger);
        _line = line;
        _bound = new IDisposable?[_core.QueueCount];
    }

    /// <summary>The device behind the transport.</summary>
    public VirtioDevice Device => _core.Device;

    /// <summary>Binds the notifications to eventfds.</summary>
    /// <param name="address">Guest-physical address of the registers.</param>
    public void BindDoorbells(IDoorbellRegistrar doorbells, ulong address)
    {
        ArgumentNullException.ThrowIfNull(doorbells);
        for (int i = 0; i < _bound.Length; i++)
        {
            _bound[i]?.Dispose();
            _bound[i] = doorbells.TryRegister(address + Spec.QueueNotify, 4, (ulong)i, _core.Doorbell(i));
        }
    }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (offset >= Spec.Config)
        {
            _core.ReadConfiguration((uint)Math.Min(offset - Spec.Config, Size), data);
            return IoResult.Ok;
        }

        if (data.Length != 4)
        {
            return IoResult.InvalidSize;
        }

        if (offset % 4 != 0)
        {
            return IoResult.Unaligned;
        }

        IoData.Set(data, ReadRegister((uint)offset));
        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset >= Spec.Config)
        {
            _core.WriteConfiguration((uint)Math.Min(offset - Spec.Config, Size), data);
            return IoResult.Ok;
        }

        if (data.Length != 4)
        {
            return IoResult.InvalidSize;
        }

        if (offset % 4 != 0)
        {
            return IoResult.Unaligned;
        }

        WriteRegister((uint)offset, (uint)IoData.Get(data));
        return IoResult.Ok;
    }

    /// <summary>Stops every queue; requests in flight are finished first. No vCPU runs.</summary>
    public void Pause() => _core.Pause();

    /// <summary>Lets the queues go on after <see cref="Pause"/> or <see cref="Restore"/>.</summary>
    public void Resume() => _core.Resume();

    /// <inheritdoc cref="TransportCore.AwaitRings"/>
    public void AwaitRings() => _core.AwaitRings();

    /// <summary>Power-on state.</summary>
    public void Reset()
    {
        _core.Reset();
        Acknowledge(-1);
    }

    /// <summary>The state; nothing changes. Paused.</summary>
    public MmioTransportState Save() => new()
    {
        Transport = _core.Save(),
        InterruptStatus = (byte)Volatile.Read(ref _interruptStatus),
    };

    /// <summary>Takes a state over and stays paused: <see cref="Resume"/> starts the queues.</summary>
    /// <exception cref="DeviceStateException">It does not fit; nothing was changed.</exception>
    public void Restore(MmioTransportState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        _core.Restore(state.Transport);
        lock (_lineLock)
        {
            _interruptStatus = state.InterruptStatus;
            _line.SetLevel(_interruptStatus != 0);
        }
    }

    public void Dispose()
    {
        foreach (IDisposable? bound in _bound)
        {
            bound?.Dispose();
        }

        _core.Dispose();
    }

    void ITransportSignals.SignalQueue(int queue) => Raise(Spec.UsedBuffer);

    void ITransportSignals.SignalConfiguration() => Raise(Spec.ConfigChange);

    private void Raise(int bit)
    {
        lock (_lineLock)
        {
            _interruptStatus |= bit;
            _line.SetLevel(true);
        }
    }

    private void Acknowledge(int bits)
    {
        lock (_lineLock)
        {
            _interruptStatus &= ~bits;
            _line.SetLevel(false);
            if (_interruptStatus != 0)
            {
                // What came since the driver looked: where the line's edges count, it would never be heard of, nor anything after it.
                _line.SetLevel(true);
            }
        }
    }

    private uint ReadRegister(uint offset)
    {
        QueueState? queue = _core.SelectedQueue;
        return offset switch
        {
            Spec.MagicValue => Spec.Magic,
            Spec.VersionRegister => Spec.Version,
            Spec.DeviceId => (uint)_core.Device.DeviceType,
            Spec.VendorId => Spec.Vendor,
            Spec.DeviceFeatures => _core.DeviceFeatures,
            Spec.QueueNumMax => _core.SelectedMaxSize,
            Spec.QueueReady => queue is { Enabled: true } ? 1u : 0,
            Spec.InterruptStatus => (uint)Volatile.Read(ref _interruptStatus),
            Spec.Status => _core.Status,

            // §4.2.2: a shared memory region that does not exist has length -1.
            Spec.ShmLenLow or Spec.ShmLenHigh or Spec.ShmBaseLow or Spec.ShmBaseHigh => uint.MaxValue,
            Spec.ConfigGeneration => _core.ConfigGeneration,

            // Write-only and reserved registers.
            _ => 0,
        };
    }

    private void WriteRegister(uint offset, uint value)
    {
        switch (offset)
        {
            case Spec.DeviceFeaturesSel:
                _core.DeviceFeatureSelect = value;
                break;
            case Spec.DriverFeatures:
                _core.DriverFeatures = value;
                break;
            case Spec.DriverFeaturesSel:
                _core.DriverFeatureSelect = value;
                break;
            case Spec.QueueSel:
                _core.QueueSelect = (ushort)Math.Min(value, ushort.MaxValue);
                break;
            case Spec.QueueNum:
                // A size that does not fit is kept as 0, which no queue can have, and refused when the queue starts.
                _core.ConfigureQueue(QueueRegister.Size, value <= ushort.MaxValue ? value : 0);
                break;
            case Spec.QueueReady:
                if (value == 1)
                {
                    _core.EnableQueue();
                }
                else if (value == 0)
                {
                    _core.DisableQueue();
                }

                break;
            case Spec.QueueNotify:
                _core.Notify(value);
                break;
            case Spec.InterruptAck:
                Acknowledge((int)value);
                break;
            case Spec.Status:
                _core.WriteStatus((byte)value);
                if (value == 0)
                {
                    Acknowledge(-1);
                }

                break;
            case Spec.QueueDescLow:
                _core.ConfigureQueue(QueueRegister.DescriptorLow, value);
                break;
            case Spec.QueueDescHigh:
                _core.ConfigureQueue(QueueRegister.DescriptorHigh, value);
                break;
            case Spec.QueueDriverLow:
                _core.ConfigureQueue(QueueRegister.AvailLow, value);
                break;
            case Spec.QueueDriverHigh:
                _core.ConfigureQueue(QueueRegister.AvailHigh, value);
                break;
            case Spec.QueueDeviceLow:
                _core.ConfigureQueue(QueueRegister.UsedLow, value);
                break;
            case Spec.QueueDeviceHigh:
                _core.ConfigureQueue(QueueRegister.UsedHigh, value);
                break;
            default:
                // Read-only and reserved registers: the write is ignored.
                break;
        }
    }
}
