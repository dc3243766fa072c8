using System.Buffers.Binary;
using Cnvm.Devices.Bus;
using Cnvm.Virtio.Queues;
using Spec = Cnvm.Virtio.Transport.PciTransportSpec;

namespace Cnvm.Virtio.Transport;

/// <content>The BAR's structures, and the window to them through configuration space.</content>
public sealed partial class VirtioPciFunction
{
    protected override void OnConfigRead(int offset, int length)
    {
        if (!IsWindow(offset, length) || !TryGetWindow(out uint at, out int width))
        {
            return;
        }

        Span<byte> data = stackalloc byte[4];
        data.Clear();
        ReadBar(at, data[..width]);
        SetConfigBytes(_pciConfigCapability + Spec.CapData, data);
    }

    protected override void OnConfigWritten(int offset, int length)
    {
        if (IsWindow(offset, length) && TryGetWindow(out uint at, out int width))
        {
            WriteBar(at, GetConfigBytes(_pciConfigCapability + Spec.CapData, width));
        }
    }

    private bool IsWindow(int offset, int length) =>
        offset < _pciConfigCapability + Spec.CapData + 4 && offset + length > _pciConfigCapability + Spec.CapData;

    private bool TryGetWindow(out uint offset, out int width)
    {
        ReadOnlySpan<byte> cap = GetConfigBytes(_pciConfigCapability, Spec.CapData);
        offset = BinaryPrimitives.ReadUInt32LittleEndian(cap[Spec.CapOffset..]);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(cap[Spec.CapLengthField..]);
        width = (int)Math.Min(length, 4);
        return cap[Spec.CapBar] == Spec.Bar && length is 1 or 2 or 4 && offset < Spec.BarSize && offset % length == 0;
    }

    private IoResult ReadBar(ulong offset, Span<byte> data)
    {
        switch (offset)
        {
            case < Spec.CommonOffset + Spec.CommonLength:
                return ReadCommon((uint)offset, data);
            case Spec.IsrOffset:
                IoData.Set(data, TakeIsr());
                return IoResult.Ok;
            case >= Spec.DeviceOffset and < Spec.DeviceOffset + Spec.DeviceLength:
                _core.ReadConfiguration((uint)offset - Spec.DeviceOffset, data);
                return IoResult.Ok;
            case >= Spec.NotifyOffset and < Spec.NotifyOffset + Spec.NotifyLength:
                data.Clear();
                return IoResult.Ok;
            case >= Spec.MsixPbaOffset:
                return _msixTable.Pba.Read(offset - Spec.MsixPbaOffset, data);
            case >= Spec.MsixTableOffset:
                return _msixTable.Table.Read(offset - Spec.MsixTableOffset, data);
            default:
                return IoResult.InvalidRegister;
        }
    }

    private IoResult WriteBar(ulong offset, ReadOnlySpan<byte> data)
    {
        switch (offset)
        {
            case < Spec.CommonOffset + Spec.CommonLength:
                return WriteCommon((uint)offset, data);
            case Spec.IsrOffset:
                return IoResult.Ok;
            case >= Spec.DeviceOffset and < Spec.DeviceOffset + Spec.DeviceLength:
                _core.WriteConfiguration((uint)offset - Spec.DeviceOffset, data);
                return IoResult.Ok;
            case >= Spec.NotifyOffset and < Spec.NotifyOffset + Spec.NotifyLength:
                _core.Notify((uint)(offset - Spec.NotifyOffset) / Spec.NotifyMultiplier);
                return IoResult.Ok;
            case >= Spec.MsixPbaOffset:
                return _msixTable.Pba.Write(offset - Spec.MsixPbaOffset, data);
            case >= Spec.MsixTableOffset:
                return _msixTable.Table.Write(offset - Spec.MsixTableOffset, data);
            default:
                return IoResult.InvalidRegister;
        }
    }

    /// <summary>Width of each field of the common structure; 0 where no field begins (§4.1.4.3).</summary>
    private static int CommonWidth(uint offset) => offset switch
    {
        Spec.DeviceStatus or Spec.ConfigGeneration => 1,
        Spec.ConfigMsixVector or Spec.NumQueues or Spec.QueueSelect or Spec.QueueSize or Spec.QueueMsixVector or Spec.QueueEnable
            or Spec.QueueNotifyOff => 2,
        < Spec.ConfigMsixVector when offset % 4 == 0 => 4,
        >= Spec.QueueDescLow when offset % 4 == 0 => 4,
        _ => 0,
    };

    private static IoResult CheckCommon(uint offset, int length)
    {
        int width = CommonWidth(offset);
        if (width == 0)
        {
            return IoResult.Unaligned;
        }

        // §4.1.3.1: a 64-bit field may be accessed whole or in halves.
        bool isWhole = length == 8 && offset is Spec.QueueDescLow or Spec.QueueDriverLow or Spec.QueueDeviceLow;
        return length == width || isWhole ? IoResult.Ok : IoResult.InvalidSize;
    }

    private IoResult ReadCommon(uint offset, Span<byte> data)
    {
        IoResult check = CheckCommon(offset, data.Length);
        if (check == IoResult.Ok)
        {
            ulong value = ReadCommonField(offset);
            if (data.Length == 8)
            {
                value |= (ulong)ReadCommonField(offset + 4) << 32;
            }

            IoData.Set(data, value);
        }

        return check;
    }

    private uint ReadCommonField(uint offset)
    {
        // One read each: another vCPU may change the selector at any time.
        QueueState? queue = _core.SelectedQueue;
        ushort selected = _core.QueueSelect;
        return offset switch
        {
            Spec.DeviceFeatureSelect => _core.DeviceFeatureSelect,
            Spec.DeviceFeature => _core.DeviceFeatures,
            Spec.DriverFeatureSelect => _core.DriverFeatureSelect,
            Spec.DriverFeature => _core.DriverFeatures,
            Spec.ConfigMsixVector => _configVector,
            Spec.NumQueues => (uint)_core.QueueCount,
            Spec.DeviceStatus => _core.Status,
            Spec.ConfigGeneration => (byte)_core.ConfigGeneration,
            Spec.QueueSelect => _core.QueueSelect,

            // §4.1.4.3: a queue that does not exist has size 0.
            Spec.QueueSize => queue?.Size ?? 0,
            Spec.QueueMsixVector => selected < _queueVectors.Length ? _queueVectors[selected] : Spec.NoVector,
            Spec.QueueEnable => queue is { Enabled: true } ? 1u : 0,
            Spec.QueueNotifyOff => selected < _queueVectors.Length ? selected : 0u,
            Spec.QueueDescLow => (uint)(queue?.DescriptorTable ?? 0),
            Spec.QueueDescHigh => (uint)((queue?.DescriptorTable ?? 0) >> 32),
            Spec.QueueDriverLow => (uint)(queue?.AvailRing ?? 0),
            Spec.QueueDriverHigh => (uint)((queue?.AvailRing ?? 0) >> 32),
            Spec.QueueDeviceLow => (uint)(queue?.UsedRing ?? 0),
            _ => (uint)((queue?.UsedRing ?? 0) >> 32),
        };
    }

    private IoResult WriteCommon(uint offset, ReadOnlySpan<byte> data)
    {
        IoResult check = CheckCommon(offset, data.Length);
        if (check == IoResult.Ok)
        {
            ulong value = IoData.Get(data);
            WriteCommonField(offset, (uint)value);
            if (data.Length == 8)
            {
                WriteCommonField(offset + 4, (uint)(value >> 32));
            }
        }

        return check;
    }

    private void WriteCommonField(uint offset, uint value)
    {
        switch (offset)
        {
            case Spec.DeviceFeatureSelect:
                _core.DeviceFeatureSelect = value;
                break;
            case Spec.DriverFeatureSelect:
                _core.DriverFeatureSelect = value;
                break;
            case Spec.DriverFeature:
                _core.DriverFeatures = value;
                break;
            case Spec.ConfigMsixVector:
                Volatile.Write(ref _configVector, CheckVector(value));
                break;
            case Spec.DeviceStatus:
                _core.WriteStatus((byte)value);
                if ((byte)value == 0)
                {
                    ForgetVectors();
                }

                break;
            case Spec.QueueSelect:
                _core.QueueSelect = (ushort)value;
                break;
            case Spec.QueueSize:
                _core.ConfigureQueue(QueueRegister.Size, value);
                break;
            case Spec.QueueMsixVector:
                if (_core.QueueSelect is var queue && queue < _queueVectors.Length)
                {
                    Volatile.Write(ref _queueVectors[queue], CheckVector(value));
                }

                break;
            case Spec.QueueEnable:
                if (value == 1)
                {
                    _core.EnableQueue();
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
                // The other fields are read-only: the write is ignored.
                break;
        }
    }

    /// <summary>A vector that the table does not have reads back as none, which tells the driver so (§4.1.5.1.2).</summary>
    private ushort CheckVector(uint value) => value < _msixTable.Count ? (ushort)value : Spec.NoVector;

    private sealed class Region(VirtioPciFunction function) : IIoDevice
    {
        public IoResult Read(ulong offset, Span<byte> data) => function.ReadBar(offset, data);

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data) => function.WriteBar(offset, data);
    }
}
