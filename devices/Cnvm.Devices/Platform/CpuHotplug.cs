using System.Buffers.Binary;
using Cnvm.Arch.Acpi;
using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Platform;

/// <summary>
/// Registers by which the guest learns which vCPUs have come or are to go, and gives vCPUs up (<see cref="CpuHotplugDevice"/>). The first
/// vCPU always stays. Any thread.
/// </summary>
public sealed class CpuHotplug : IIoDevice
{
    public const ulong Size = CpuHotplugDevice.RegisterBytes;

    private const string Name = "cpu-hotplug";
    private const CpuHotplugFlags News = CpuHotplugFlags.Inserted | CpuHotplugFlags.RemovalNews;
    private const CpuHotplugFlags All = CpuHotplugFlags.Present | News | CpuHotplugFlags.Leaving | CpuHotplugFlags.Ejected;

    private readonly Lock _lock = new();
    private readonly GenericEventDevice _ged;
    private readonly Action _onEject;
    private readonly CpuHotplugFlags[] _vcpus;
    private uint _selected;
    private bool _isEjectKnown;

    /// <param name="vcpus">How many there can be.</param>
    /// <param name="present">How many there are: those with the lowest indices.</param>
    /// <param name="ged">Interrupts the guest.</param>
    /// <param name="onEject">
    /// The guest has given up vCPUs, which <see cref="TakeEjected"/> returns. Called on a vCPU's thread; not again before they have been
    /// taken, however often the guest writes.
    /// </param>
    public CpuHotplug(int vcpus, int present, GenericEventDevice ged, Action onEject)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(present, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(present, vcpus);
        _ged = ged;
        _onEject = onEject;
        _vcpus = new CpuHotplugFlags[vcpus];
        Array.Fill(_vcpus, CpuHotplugFlags.Present, 0, present);
    }

    /// <summary>The guest was asked to give vCPUs up, and they are still there.</summary>
    public bool IsRemovalPending
    {
        get
        {
            lock (_lock)
            {
                return Array.Exists(_vcpus, f => (f & (CpuHotplugFlags.Leaving | CpuHotplugFlags.Ejected)) != 0);
            }
        }
    }

    /// <summary>vCPUs have come.</summary>
    public void NotifyAdded(IEnumerable<int> vcpus) => Notify(vcpus, CpuHotplugFlags.Present | CpuHotplugFlags.Inserted);

    /// <summary>The guest is asked to give vCPUs up.</summary>
    public void RequestEject(IEnumerable<int> vcpus) => Notify(vcpus, CpuHotplugFlags.RemovalNews | CpuHotplugFlags.Leaving);

    /// <summary>The guest is asked once more for what it has not given up.</summary>
    public void RepeatRequests()
    {
        lock (_lock)
        {
            for (int i = 0; i < _vcpus.Length; i++)
            {
                _vcpus[i] |= (_vcpus[i] & CpuHotplugFlags.Leaving) != 0 ? CpuHotplugFlags.RemovalNews : CpuHotplugFlags.None;
            }
        }

        _ged.Notify(GedEvents.CpuChanged);
    }

    /// <summary>The vCPUs that the guest has given up since the last call.</summary>
    public IReadOnlyList<int> TakeEjected()
    {
        lock (_lock)
        {
            List<int> taken = [];
            for (int i = 0; i < _vcpus.Length; i++)
            {
                if ((_vcpus[i] & CpuHotplugFlags.Ejected) != 0)
                {
                    _vcpus[i] = CpuHotplugFlags.None;
                    taken.Add(i);
                }
            }

            _isEjectKnown = false;
            return taken;
        }
    }

    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (Check(offset, data.Length) is var check && check != IoResult.Ok)
        {
            return check;
        }

        lock (_lock)
        {
            switch ((int)offset)
            {
                case CpuHotplugDevice.FlagsRegister:
                    CpuHotplugFlags flags = _vcpus[_selected];
                    data[0] = (byte)(
                        (flags.HasFlag(CpuHotplugFlags.Present) ? CpuHotplugDevice.PresentFlag : 0)
                        | (flags.HasFlag(CpuHotplugFlags.Inserted) ? CpuHotplugDevice.InsertedFlag : 0)
                        | (flags.HasFlag(CpuHotplugFlags.RemovalNews) ? CpuHotplugDevice.RemovalFlag : 0));
                    break;
                case CpuHotplugDevice.NewsRegister:
                    int next = Array.FindIndex(_vcpus, f => (f & News) != 0);
                    _selected = next < 0 ? _selected : (uint)next;
                    BinaryPrimitives.WriteUInt32LittleEndian(data, next < 0 ? CpuHotplugDevice.NoNews : (uint)next);
                    break;
                default:
                    BinaryPrimitives.WriteUInt32LittleEndian(data, _selected);
                    break;
            }
        }

        return IoResult.Ok;
    }

    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (Check(offset, data.Length) is var check && check != IoResult.Ok)
        {
            return check;
        }

        bool isNews = false;
        lock (_lock)
        {
            switch ((int)offset)
            {
                // A vCPU that cannot be is not selected.
                case CpuHotplugDevice.SelectRegister when BinaryPrimitives.ReadUInt32LittleEndian(data) is var vcpu && vcpu < _vcpus.Length:
                    _selected = vcpu;
                    break;
                case CpuHotplugDevice.FlagsRegister:
                    isNews = WriteFlags(data[0]);
                    break;
            }
        }

        if (isNews)
        {
            _onEject();
        }

        return IoResult.Ok;
    }

    /// <summary>The state; nothing changes.</summary>
    public CpuHotplugState Save()
    {
        lock (_lock)
        {
            return new CpuHotplugState { Vcpus = Array.ConvertAll(_vcpus, f => (byte)f), Selected = _selected };
        }
    }

    /// <summary>Takes a saved state; <c>onEject</c> is called for what the guest had given up.</summary>
    /// <exception cref="DeviceStateException">It is of a machine with another number of vCPUs, or damaged.</exception>
    public void Restore(CpuHotplugState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.Vcpus is null || state.Vcpus.Length != _vcpus.Length)
        {
            throw new DeviceStateException(Name, nameof(state.Vcpus), $"does not fit a machine of at most {_vcpus.Length} vCPUs");
        }

        for (int i = 0; i < state.Vcpus.Length; i++)
        {
            if (!IsPossible(i, (CpuHotplugFlags)state.Vcpus[i]))
            {
                throw new DeviceStateException(Name, nameof(state.Vcpus), $"0x{state.Vcpus[i]:x2} cannot be of vCPU {i}");
            }
        }

        if (state.Selected >= _vcpus.Length)
        {
            throw new DeviceStateException(Name, nameof(state.Selected), $"{state.Selected}; the machine has at most {_vcpus.Length} vCPUs");
        }

        bool isNews;
        lock (_lock)
        {
            for (int i = 0; i < _vcpus.Length; i++)
            {
                _vcpus[i] = (CpuHotplugFlags)state.Vcpus[i];
            }

            _selected = state.Selected;
            isNews = _isEjectKnown = Array.Exists(_vcpus, f => (f & CpuHotplugFlags.Ejected) != 0);
        }

        if (isNews)
        {
            _onEject();
        }
    }

    private static bool IsPossible(int vcpu, CpuHotplugFlags flags) =>
        (flags & ~All) == 0
        && (vcpu == 0 ? flags is CpuHotplugFlags.Present or (CpuHotplugFlags.Present | CpuHotplugFlags.Inserted)
            : flags.HasFlag(CpuHotplugFlags.Present) ? !flags.HasFlag(CpuHotplugFlags.Ejected) : flags is CpuHotplugFlags.None or CpuHotplugFlags.Ejected);

    private static IoResult Check(ulong offset, int length) => offset switch
    {
        CpuHotplugDevice.FlagsRegister => length == sizeof(byte) ? IoResult.Ok : IoResult.InvalidSize,
        CpuHotplugDevice.SelectRegister or CpuHotplugDevice.NewsRegister => length == sizeof(uint) ? IoResult.Ok : IoResult.InvalidSize,
        _ => IoResult.InvalidRegister,
    };

    /// <summary>Returns whether the owner has to hear of a vCPU that was given up.</summary>
    private bool WriteFlags(byte written)
    {
        ref CpuHotplugFlags flags = ref _vcpus[_selected];
        if ((written & CpuHotplugDevice.InsertedFlag) != 0)
        {
            flags &= ~CpuHotplugFlags.Inserted;
        }

        if ((written & CpuHotplugDevice.RemovalFlag) != 0)
        {
            flags &= ~CpuHotplugFlags.RemovalNews;
        }

        if ((written & CpuHotplugDevice.EjectFlag) == 0 || _selected == 0 || !flags.HasFlag(CpuHotplugFlags.Present))
        {
            return false;
        }

        flags = CpuHotplugFlags.Ejected;
        bool isNews = !_isEjectKnown;
        _isEjectKnown = true;
        return isNews;
    }

    private void Notify(IEnumerable<int> vcpus, CpuHotplugFlags flags)
    {
        lock (_lock)
        {
            foreach (int vcpu in vcpus)
            {
                _vcpus[vcpu] |= flags;
            }
        }

        _ged.Notify(GedEvents.CpuChanged);
    }
}
